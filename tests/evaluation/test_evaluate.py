"""``evaluate`` and ``mean_average_precision`` against plain rankings of every item."""

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from udsph.errors import InputError
from udsph.evaluation import (
    METRICS,
    Evaluation,
    count,
    evaluate,
    evaluate_ranking,
    evaluate_scores,
    from_codes,
    from_rankings,
    mean_average_precision,
    native,
)
from udsph.evaluation.conventions import DENOMINATORS
from udsph.hamming import backend

from .brute_force import average_precision, hits, ndcg, reciprocal_rank
from .cases import Case, random_case


def ranked_grades(case):
    """Grades in rank order by a stable sort of all distances, (nq, n)."""
    order = np.argsort(case.distances, axis=1, kind="stable")
    return np.take_along_axis(case.grades, order, axis=1)


def plain_average_precision(grades, k, denominator):
    """Of one ranking, in NumPy."""
    relevant = grades > 0
    total = relevant.sum()
    if denominator == "first":
        ranks = np.flatnonzero(relevant)[:k] + 1
    else:
        ranks = np.flatnonzero(relevant[:k]) + 1
    by = {"retrieved": len(ranks), "relevant": total, "min": min(k, total), "first": min(k, total)}[denominator]
    return (np.arange(1, len(ranks) + 1) / ranks).sum() / by if by else 0.0


def test_insertion_order_is_a_stable_sort_on_thousands_of_cases():
    rng = np.random.default_rng(0)
    for trial in range(2000):
        case = random_case(rng, rng.integers(1, 5), rng.integers(1, 60), classes=rng.integers(0, 4))
        denominator, k = DENOMINATORS[trial % 4], int(rng.integers(1, 70))
        rows = ranked_grades(case)
        truth = np.mean([plain_average_precision(row, k, denominator) for row in rows])
        value = mean_average_precision(*case, cutoff=k, ties="insertion", denominator=denominator)
        assert value == pytest.approx(truth, abs=1e-13)
        truth = np.mean([plain_average_precision(row, len(row), "relevant") for row in rows])
        assert mean_average_precision(*case, ties="insertion") == pytest.approx(truth, abs=1e-13)


@pytest.mark.parametrize("classes", [0, 5])
def test_every_metric_in_insertion_order(classes):
    case = random_case(np.random.default_rng(1), n_items=150, classes=classes)
    result = evaluate(*case, ties="insertion", cutoffs=(1, 7, 40))
    rows = [tuple(row) for row in ranked_grades(case)]
    relevant = [hits(row, len(row)) for row in rows]

    def expect(key, values):
        assert result.per_query[key] == pytest.approx([float(value) for value in values], rel=1e-12), key
        assert result[key] == pytest.approx(float(np.mean([float(value) for value in values])), rel=1e-12), key

    for k in (1, 7, 40):
        expect(f"map@{k}", [average_precision(row, k, "retrieved") for row in rows])
        expect(f"precision@{k}", [hits(row, k) / k for row in rows])
        expect(f"recall@{k}", [hits(row, k) / max(r, 1) for row, r in zip(rows, relevant, strict=True)])
        expect(f"f1@{k}", [2 * hits(row, k) / (k + r) for row, r in zip(rows, relevant, strict=True)])
        expect(f"ndcg@{k}", [ndcg(row, k, "exponential") for row in rows])
        expect(f"ndcg_linear@{k}", [ndcg(row, k, "linear") for row in rows])
    expect("map", [average_precision(row, len(row), "relevant") for row in rows])
    expect("ndcg", [ndcg(row, len(row), "exponential") for row in rows])
    expect("mrr", [reciprocal_rank(row) for row in rows])
    expect("r_precision", [hits(row, int(r)) / max(r, 1) for row, r in zip(rows, relevant, strict=True)])


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
def test_tied_values_are_those_of_the_tied_scores(case, ties):
    """Counting agrees with grouping equal scores, metric by metric."""
    by_codes = evaluate(*case, ties=ties)
    by_scores = evaluate_scores(-case.distances, case.grades, ties=ties)
    for key, value in by_scores.per_query.items():
        assert by_codes.per_query[key] == pytest.approx(value, rel=1e-12), key


def test_expected_values_are_the_mean_over_database_orders(case):
    rng = np.random.default_rng(2)
    values = []
    for _ in range(400):
        order = rng.permutation(len(case.database_codes))
        shuffled = case._replace(database_codes=case.database_codes[order], database_labels=case.database_labels[order])
        values.append([mean_average_precision(*shuffled, cutoff=k, ties="insertion") for k in (20, 300)])
    mean, error = np.mean(values, axis=0), np.std(values, axis=0) / np.sqrt(len(values))
    for k, m, e in zip((20, 300), mean, error, strict=True):
        assert abs(mean_average_precision(*case, cutoff=k) - m) < 5 * e


def test_the_order_of_the_database_changes_no_tied_value(case):
    order = np.random.default_rng(3).permutation(len(case.database_codes))
    shuffled = case._replace(database_codes=case.database_codes[order], database_labels=case.database_labels[order])
    for ties in ("expected", "optimistic", "pessimistic"):
        assert evaluate(*case, ties=ties).to_dict() == evaluate(*shuffled, ties=ties).to_dict()


def test_radius_curves_are_lookups(case):
    result = evaluate(*case, empty_lookup="skip")
    precision, recall = result.by_radius()
    pooled_precision, pooled_recall = result.by_radius("micro")
    relevant = case.grades > 0
    for radius in range(17):
        found = case.distances <= radius
        hit = (found & relevant).sum(axis=1)
        looked = found.any(axis=1)
        if looked.any():
            assert precision[radius] == pytest.approx((hit[looked] / found.sum(axis=1)[looked]).mean())
            assert pooled_precision[radius] == pytest.approx(hit.sum() / found.sum())
        assert recall[radius] == pytest.approx((hit / np.maximum(relevant.sum(axis=1), 1)).mean())
        assert pooled_recall[radius] == pytest.approx(hit.sum() / relevant.sum())
    assert result["precision_radius_2"] == precision[2]


def test_an_empty_lookup_counts_as_chosen():
    case = Case(*(np.array(x, np.uint8) for x in ([[0], [255]], [[0], [0]], [[1], [1]], [[1], [0]])))
    values = {empty: evaluate(*case, empty_lookup=empty)["precision_radius_2"] for empty in ("zero", "skip", "one")}
    assert values == {"zero": 0.25, "skip": 0.5, "one": 0.75}


def test_curve_by_rank_is_precision_and_recall_at_those_ranks(case):
    result = evaluate(*case, ranks=(3, 50), cutoffs=(3, 50))
    assert result.ranks.tolist() == [3, 50]
    assert result.precision_by_rank == pytest.approx([result["precision@3"], result["precision@50"]])
    assert result.recall_by_rank == pytest.approx([result["recall@3"], result["recall@50"]])


@pytest.mark.parametrize("ties", ["expected", "insertion"])
def test_queries_without_a_relevant_item(ties):
    query_codes, database_codes = np.zeros((2, 1), np.uint8), np.array([[1], [2], [0]], np.uint8)
    query_labels, database_labels = np.array([[1, 0], [0, 1]]), np.array([[1, 0], [1, 0], [0, 0]])
    case = (query_codes, database_codes, query_labels, database_labels)
    full = mean_average_precision(query_codes[:1], database_codes, query_labels[:1], database_labels, ties=ties)
    assert full == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert mean_average_precision(*case, ties=ties) == pytest.approx(full / 2)
    assert mean_average_precision(*case, ties=ties, empty="skip") == pytest.approx(full)
    assert mean_average_precision(*case, ties=ties, empty="one") == pytest.approx((full + 1) / 2)
    nothing = (query_codes, database_codes, query_labels, np.zeros_like(database_labels))
    assert mean_average_precision(*nothing, ties=ties) == 0.0
    assert evaluate(*nothing, ties=ties)["ndcg"] == 0.0
    assert np.isnan(mean_average_precision(*nothing, ties=ties, empty="skip"))
    assert evaluate(*case, ties=ties, empty="skip")["precision@1"] == 0.0
    assert np.isnan(evaluate(*case, ties=ties, empty="skip").per_query["precision@1"][1])


def test_empty_database_and_no_queries():
    codes, labels = np.zeros((3, 2), np.uint8), np.ones((3, 4), int)
    assert mean_average_precision(codes, codes[:0], labels, labels[:0]) == 0.0
    assert np.isnan(mean_average_precision(codes[:0], codes, labels[:0], labels))
    for ties in ("expected", "insertion"):
        assert set(evaluate(codes, codes[:0], labels, labels[:0], ties=ties).to_dict().values()) == {0.0}


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "uint32", "int64", "uint64"])
def test_labels_of_any_dtype_are_left_as_they_were(case, dtype):
    labels = case.query_labels.astype(dtype), case.database_labels.astype(dtype)
    copies = [array.copy() for array in labels]
    for array in labels:
        array.flags.writeable = False
    assert evaluate(case.query_codes, case.database_codes, *labels).to_dict() == evaluate(*case).to_dict()
    assert all(np.array_equal(a, b) for a, b in zip(labels, copies, strict=True))


def test_class_numbers_equal_their_one_hot_labels():
    rng = np.random.default_rng(4)
    case = random_case(rng, 8, 200, classes=0)
    numbers = 1000 * case.query_labels + 7, 1000 * case.database_labels + 7
    one_hot = np.eye(4, dtype=int)[case.query_labels], np.eye(4, dtype=int)[case.database_labels]
    codes = case.query_codes, case.database_codes
    assert evaluate(*codes, *numbers).to_dict() == evaluate(*codes, *one_hot).to_dict()


def test_own_relevance_as_matrix_sparse_matrix_and_function(case):
    sparse = pytest.importorskip("scipy.sparse")
    grades = case.grades
    codes = case.query_codes, case.database_codes
    for ties in ("expected", "insertion"):
        truth = evaluate(*case, ties=ties).to_dict()
        for relevance in (grades, sparse.coo_matrix(grades), lambda queries, items: grades[queries, items]):
            assert evaluate(*codes, relevance=relevance, ties=ties).to_dict() == pytest.approx(truth, rel=1e-13)


def test_a_cutoff_beyond_the_database_adds_no_item(case):
    result = evaluate(*case, cutoffs=(300, 1000))
    assert result["map@1000"] == result["map@300"] == pytest.approx(result["map"])
    assert result["precision@1000"] == pytest.approx(result["precision@300"] * 300 / 1000)
    assert result["recall@1000"] == pytest.approx((case.grades > 0).any(axis=1).mean())
    assert result["ndcg@1000"] == result["ndcg"]


def test_chosen_metrics_only(case):
    result = evaluate(*case, metrics=["map@50", "precision", "mrr"], cutoffs=(2, 3))
    assert list(result.to_dict()) == ["map@50", "precision@2", "precision@3", "mrr"]
    everything = evaluate(*case, cutoffs=(2, 50))
    assert result["map@50"] == everything["map@50"]
    assert {key.partition("@")[0] for key in everything.to_dict()} == set(METRICS)
    with pytest.raises(KeyError, match="map@51"):
        result["map@51"]


def test_evaluate_ranking_reads_relevance_in_rank_order(case):
    by_codes = evaluate(*case, ties="insertion").to_dict()
    del by_codes["precision_radius_2"]
    result = evaluate_ranking(ranked_grades(case), n_relevant="listed")
    assert result.to_dict() == pytest.approx(by_codes, rel=1e-12)


def test_scores_rank_the_greatest_first_and_tie_in_column_order():
    scores, relevance = np.array([[0.5, 2.0, 0.5, -1.0]]), np.array([[0, 0, 1, 1]])
    for ties, truth in {
        "insertion": (1 / 3 + 2 / 4) / 2,
        "optimistic": (1 / 2 + 2 / 4) / 2,
        "pessimistic": (1 / 3 + 2 / 4) / 2,
        "expected": (5 / 12 + 2 / 4) / 2,
    }.items():
        assert evaluate_scores(scores, relevance, metrics=["map"], ties=ties)["map"] == pytest.approx(truth)
    with pytest.raises(InputError, match="NaN"):
        evaluate_scores(scores * np.nan, relevance)
    with pytest.raises(InputError, match="scores has shape"):
        evaluate_scores(scores[:, :3], relevance)


def test_rankings_are_evaluated_some_queries_at_a_time(case, monkeypatch):
    """Nine queries, at once and in pieces of one and of four."""
    for options in ({"ties": "expected"}, {"ties": "insertion", "metrics": ["map"]}, {"empty": "skip"}):
        results = []
        for pairs in (1 << 20, 1, 4 * 300):
            monkeypatch.setattr(from_rankings, "_PLACES_AT_A_TIME", pairs)
            results.append(evaluate_scores(-case.distances, case.grades, ranks=(5, 70), **options))
        for other in results[1:]:
            assert other.to_dict() == results[0].to_dict()
            assert other.recall_by_rank.tolist() == results[0].recall_by_rank.tolist()
            assert (other.n_queries, other.n_items) == (9, 300)


def test_progress_counts_the_pairs_of_every_walk(case):
    for options, walks in (({}, 1), ({"ties": "insertion"}, 3), ({"ties": "insertion", "metrics": ["map"]}, 2)):
        calls = []
        evaluate(*case, **options, progress=lambda done, total, calls=calls: calls.append((done, total)))
        walks = min(walks, 2) if native._native is None or backend.name() != "native" else walks
        assert calls == sorted(set(calls))
        assert calls[-1] == (walks * 9 * 300, walks * 9 * 300)


def test_without_numba_the_same_values_come_from_numpy(case, tmp_path):
    """In a process of its own, where Numba cannot be imported."""
    np.savez(tmp_path / "case.npz", *case)
    code = """
import json, sys
sys.modules["numba"] = None
import numpy as np
from udsph.evaluation import evaluate, jit
case = np.load(sys.argv[1]).values()
values = [evaluate(*case, cutoffs=(3, 40), ties=ties).to_dict() for ties in ("expected", "pessimistic", "insertion")]
assert not jit.HAVE_NUMBA
print(json.dumps(values))
"""
    environment = {name: value for name, value in os.environ.items() if name != "UDSPH_BACKEND"}
    command = [sys.executable, "-c", code, tmp_path / "case.npz"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    for values, ties in zip(json.loads(done.stdout), ("expected", "pessimistic", "insertion"), strict=True):
        assert values == pytest.approx(evaluate(*case, cutoffs=(3, 40), ties=ties).to_dict(), rel=1e-12)


def test_report(case):
    pandas = pytest.importorskip("pandas")
    result = evaluate(*case, cutoffs=(10,))
    assert result.to_dict() == result.values
    text = repr(result)
    assert "9 queries against 300 items" in text and f"{result['map@10']:.4f}" in text and "ties=expected" in text
    frame = result.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["map@10"].mean() == pytest.approx(result["map@10"])


@pytest.mark.parametrize("classes", [5, 0])
def test_the_mean_of_a_class_is_that_of_its_queries_alone(classes):
    case = random_case(np.random.default_rng(3), n_queries=40, classes=classes)
    whole = evaluate(*case, metrics=["map", "precision@5"], cutoffs=(), empty="skip")
    numbers, queries, means = whole.by_class(case.query_labels)
    assert np.array_equal(whole.by_class(case.query_labels.reshape(40, -1))[2], means), "a column of numbers as well"
    assert len(numbers) == (5 if classes else 4)
    for number, n, found in zip(numbers, queries, means, strict=True):
        own = case.query_labels[:, number] > 0 if classes else case.query_labels == number
        alone = evaluate(case.query_codes[own], case.database_codes, case.query_labels[own], case.database_labels,
                         metrics=["map"], empty="skip")  # fmt: skip
        assert found == pytest.approx(alone["map"], rel=1e-12, nan_ok=True)
        assert n == np.count_nonzero(~np.isnan(alone.per_query["map"]))
    with pytest.raises(KeyError, match="'ndcg' was not evaluated; there are: map, precision@5"):
        whole.by_class(case.query_labels, "ndcg")
    with pytest.raises(InputError, match="query_labels has 39 rows, but 40 queries"):
        whole.by_class(case.query_labels[1:])


def test_a_class_without_a_query_has_no_mean():
    codes, labels = np.zeros((2, 1), np.uint8), np.array([[1, 0, 1], [1, 0, 0]], bool)
    numbers, queries, means = evaluate(codes, codes, labels, labels, metrics=["map"]).by_class(labels)
    assert (numbers.tolist(), queries.tolist()) == ([0, 1, 2], [2, 0, 1])
    assert np.isnan(means).tolist() == [False, True, False]


def test_plot(case):
    pytest.importorskip("matplotlib").use("Agg")
    ax = evaluate(*case).plot()
    by_rank, by_radius = ax.get_lines()
    assert len(by_radius.get_xdata()) == 17 and len(by_rank.get_xdata()) > 10


def test_more_than_a_thousand_shared_labels_have_no_exponential_gain():
    codes, labels = np.zeros((2, 1), np.uint8), np.ones((2, 1001), np.uint8)
    with pytest.raises(InputError, match="labels that a query and an item share, is 1001: the gain"):
        evaluate(codes, codes, labels, labels, metrics=["ndcg"])
    assert evaluate(codes, codes, labels, labels, metrics=["ndcg_linear"])["ndcg_linear"] == pytest.approx(1.0)
    fewer = labels[:, :1000]
    assert evaluate(codes, codes, fewer, fewer, metrics=["ndcg"])["ndcg"] == pytest.approx(1.0)


def test_from_counts_refuses_what_counts_do_not_know(case):
    counts = count(*case)
    with pytest.raises(InputError, match="counts do not keep"):
        Evaluation.from_counts(counts, ties="insertion")
    with pytest.raises(InputError, match="shared=True"):
        Evaluation.from_counts(counts, metrics=["ndcg"])
    without = Evaluation.from_counts(counts).to_dict()
    everything = evaluate(*case).to_dict()
    assert without == {key: value for key, value in everything.items() if not key.startswith("ndcg")}
    assert Evaluation.from_counts(count(*case, shared=True)).to_dict() == everything


@pytest.mark.parametrize("ties", ["expected", "insertion"])
@pytest.mark.parametrize("native_code", [True, False])
def test_memory_of_ndcg_does_not_grow_with_queries_times_bits_times_grades(ties, native_code, monkeypatch):
    """1500 queries, 129 distances and 101 grades are a table of 156 MB, of which some queries are held at a time."""
    rng = np.random.default_rng(5)
    codes, labels = rng.integers(0, 256, (1540, 16), dtype=np.uint8), rng.random((1540, 100)) < 0.9
    labels[0] = True
    if not native_code:
        codes, labels = codes[:200], labels[:200]
        monkeypatch.setattr(from_codes, "TABLE_BYTES", 1 << 16)
        monkeypatch.setattr(native, "serves", lambda *arguments: False)
    else:
        monkeypatch.setattr(from_codes, "TABLE_BYTES", 8 << 20)
    case = (codes[:-40], codes[-40:], labels[:-40], labels[-40:])
    options = {"metrics": ["ndcg"], "cutoffs": (10,), "ranks": (), "ties": ties}
    calls: list[int] = []
    evaluate(*case, **options)  # compiles
    tracemalloc.start()
    try:
        result = evaluate(*case, **options, progress=lambda done, total: calls.append(done / total))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20
    assert calls == sorted(calls) and calls[-1] == 1
    some = [0, 700, 1499] if native_code else [0, 100, 159]
    grades = labels[some].astype(int) @ labels[-40:].astype(int).T
    truth = evaluate(codes[some], codes[-40:], relevance=grades, **options)
    assert result.per_query["ndcg@10"][some] == pytest.approx(truth.per_query["ndcg@10"], rel=1e-12)


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic", "insertion"])
def test_own_gains_are_those_of_scores(case, ties):
    """Every pair with a gain of its own, also in pieces."""
    gains = np.random.default_rng(6).random((9, 300)) * (case.grades > 0)
    options = {"metrics": ["ndcg", "ndcg_linear", "map", "success", "mrr@5"], "cutoffs": (5, 100), "ties": ties}
    value = evaluate(case.query_codes, case.database_codes, relevance=gains, **options).to_dict()
    assert value == pytest.approx(evaluate_scores(-case.distances, gains, **options).to_dict(), rel=1e-12)


def test_counts_by_own_grades_add_up(case):
    grades = case.grades * 0.5
    codes = case.query_codes, case.database_codes
    whole = count(*codes, relevance=grades, shared=True)
    assert whole.grades.tolist() == sorted({0.0, 1.0, *np.unique(grades)})
    parts = [
        count(codes[0], codes[1][part], relevance=grades[:, part] * 1.0, shared=True)
        for part in (slice(0, 7), slice(7, 300))
    ]
    total = sum(parts)
    np.testing.assert_array_equal(total.shared, whole.shared)
    value = Evaluation.from_counts(total, metrics=["ndcg", "ndcg_linear"]).to_dict()
    assert value == pytest.approx(evaluate(*codes, relevance=grades, metrics=["ndcg", "ndcg_linear"]).to_dict())
