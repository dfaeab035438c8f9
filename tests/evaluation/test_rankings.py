"""Given rankings: of any lengths, of the first k of many, with grades of any kind."""

import tracemalloc
import warnings

import numpy as np
import pytest

from udsph.errors import InputError
from udsph.evaluation import evaluate, evaluate_ranking, evaluate_run, evaluate_scores

from .brute_force import average_precision, hits, ndcg

WHOLE = np.random.default_rng(0).random((4, 60)) < 0.3


@pytest.mark.parametrize("denominator", ["retrieved", "relevant", "min", "first"])
def test_the_first_k_with_the_number_of_all_relevant_items_have_the_values_of_the_whole(denominator):
    options = {"denominator": denominator, "cutoffs": (1, 5, 20), "ranks": (3, 20)}
    whole = evaluate_ranking(WHOLE, n_relevant="listed", **options)
    first = evaluate_ranking(WHOLE[:, :20], n_relevant=WHOLE.sum(axis=1), **options)
    known = [key for key in whole.values if "@" in key and not (denominator == "first" and key.startswith("map"))]
    assert {key: first[key] for key in known} == pytest.approx({key: whole[key] for key in known}, rel=1e-14)
    assert first.recall_by_rank == pytest.approx(whole.recall_by_rank)
    assert first["recall@20"] == pytest.approx((WHOLE[:, :20].sum(axis=1) / WHOLE.sum(axis=1)).mean())


def test_relevant_items_that_are_not_listed_add_nothing():
    """As if they came at the very end of an endless ranking: all denominators agree without a cutoff."""
    expected = (1 + 2 / 3) / 10
    for denominator in ("retrieved", "relevant", "min", "first"):
        result = evaluate_ranking([1, 0, 1], n_relevant=10, denominator=denominator, cutoffs=(3, 4))
        assert result["map"] == pytest.approx(expected, rel=1e-15)
        by = {"retrieved": 2, "relevant": 10, "min": 3, "first": 3}[denominator]
        assert result["map@3"] == pytest.approx((1 + 2 / 3) / by)
    assert (result["recall@3"], result["r_precision"], result["f1@3"]) == (0.2, 0.2, 2 * 2 / 13)
    assert result["ndcg@3"] == pytest.approx((1 + 1 / 2) / (1 + 1 / np.log2(3) + 1 / 2))


def test_a_list_that_says_nothing_of_the_others_is_remarked_on():
    top = np.ones((2, 5), int)
    with pytest.warns(UserWarning, match=r"map, recall, f1, ndcg, ndcg_linear, r_precision, recall_by_rank take"):
        assert evaluate_ranking(top)["recall@10"] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_ranking(top, n_relevant="listed")
        evaluate_ranking(top, n_relevant=250)
        evaluate_ranking(top, metrics=["precision", "mrr", "success", "map@3"], ranks=())
        with pytest.raises(UserWarning, match=r"^map take"):
            evaluate_ranking(top, metrics=["map@3"], ranks=(), denominator="min")


@pytest.mark.parametrize(
    ("n_relevant", "message"),
    [
        (1, "n_relevant is 1 for query 0, but its list holds 2"),
        ([3, 3, 3], "n_relevant has 3 numbers, relevance has 2 queries"),
        (2.5, "n_relevant must be 'listed', a whole number"),
        ("all", "n_relevant must be 'listed', a whole number"),
    ],
)
def test_numbers_of_relevant_items_that_cannot_be(n_relevant, message):
    with pytest.raises(InputError, match=message):
        evaluate_ranking([[1, 1], [0, 0]], n_relevant=n_relevant)


def test_grades_of_what_is_not_listed_are_needed_for_ndcg():
    with pytest.raises(InputError, match=r"give the judgements to evaluate_run"):
        evaluate_ranking([[2, 1]], n_relevant=3)
    assert evaluate_ranking([[2, 1]], n_relevant=3, metrics=["recall@2"])["recall@2"] == 2 / 3
    qrels = [{"a": 2, "b": 1, "c": 3}]
    assert evaluate_run([["a", "b"]], qrels, metrics=["ndcg@2"])["ndcg@2"] == ndcg((2, 1, 3), 2, "exponential") * (
        ndcg((3, 2, 1), 2, "exponential")
    )


@pytest.mark.parametrize("form", [list, tuple, np.array])
def test_lists_of_any_lengths(form):
    lists = [form([0, 1, 1]), form([1]), form([]), form([0, 0, 0, 2])]
    result = evaluate_ranking(lists, n_relevant="listed", cutoffs=(1, 3))
    for q, row in enumerate(lists):
        row = tuple(int(grade) for grade in row)
        assert result.per_query["map"][q] == pytest.approx(float(average_precision(row, 9, "relevant")))
        for k in (1, 3):
            assert result.per_query[f"precision@{k}"][q] == float(hits(row, k) / k)
            assert result.per_query[f"ndcg@{k}"][q] == pytest.approx(ndcg(row, k, "exponential"))
    scores = [form(range(len(row), 0, -1)) for row in lists]
    assert evaluate_scores(scores, lists, cutoffs=(1, 3)).to_dict() == result.to_dict()
    with pytest.raises(InputError, match=r"scores has shape \(2,\) in query 1, relevance \(1,\)"):
        evaluate_scores([[1, 2, 3], [1, 2], [], [1, 2, 3, 4]], lists)


def test_an_untied_ranking_has_exact_values():
    assert evaluate_ranking([1, 0], n_relevant="listed")["map"] == 1.0
    for n in (1, 2, 3, 50, 1000, 100_000):
        perfect = np.arange(n) < max(1, n // 3)
        for values in (
            evaluate_ranking(perfect, n_relevant="listed", cutoffs=(10,)),
            evaluate_ranking(3.5 * perfect, n_relevant="listed", cutoffs=(10,)),
            evaluate_scores(-np.arange(n), perfect, cutoffs=(10,)),
        ):
            for key in ("map", "map@10", "mrr", "ndcg", "ndcg@10", "ndcg_linear", "r_precision"):
                assert values[key] == 1.0, (n, key)
    row = np.random.default_rng(1).random(200) < 0.4
    value, count = 0.0, 0
    for rank in np.flatnonzero(row) + 1:
        count += 1
        value += count / rank
    assert evaluate_ranking(row, n_relevant="listed")["map"] == value / count


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic", "insertion"])
def test_a_perfect_ranking_of_codes_has_exact_values(ties):
    codes = np.array([[0], [0], [0], [1], [1], [3], [7], [7]], np.uint8)
    labels = np.array([1, 1, 1, 1, 1, 0, 0, 0])
    for denominator in ("retrieved", "min", "first"):
        result = evaluate(
            codes[:1], codes, labels[:1], labels, ties=ties, denominator=denominator, cutoffs=(1, 2, 4, 5, 7)
        )
        keys = [key for key in result.values if key.startswith(("map", "mrr", "success", "r_p"))]
        assert {key: result[key] for key in keys} == dict.fromkeys(keys, 1.0)
        gains = {key: value for key, value in result.values.items() if key.startswith("ndcg")}
        # walked in insertion order the discounts are whole numbers of 2**-52
        assert gains == pytest.approx(dict.fromkeys(gains, 1.0), abs=1e-15 if ties == "insertion" else 0, rel=0)


@pytest.mark.parametrize("scale", [0.25, 1, 1e30])
def test_grades_may_be_fractions_and_large(scale):
    """NDCG with linear gains does not depend on their unit, and every grade above 0 is relevant."""
    rng = np.random.default_rng(2)
    grades = rng.integers(0, 4, (3, 40))
    scores = rng.integers(0, 6, (3, 40))
    metrics = ["map", "ndcg_linear", "recall"]
    for ties in ("expected", "optimistic", "pessimistic", "insertion"):
        truth = evaluate_scores(scores, grades, metrics=metrics, ties=ties, cutoffs=(7,)).to_dict()
        value = evaluate_scores(scores, grades * scale, metrics=metrics, ties=ties, cutoffs=(7,)).to_dict()
        assert value == pytest.approx(truth, rel=1e-13)


@pytest.mark.parametrize("large", [1e30, 2**63, np.uint64(2**63 + 5), 10**25])
def test_a_large_grade_is_relevant(large):
    relevance = np.array([[0, large]])
    assert evaluate_ranking(relevance, n_relevant="listed", metrics=["map", "ndcg_linear"])["map"] == 0.5
    codes = np.zeros((2, 1), np.uint8)
    assert evaluate(codes[:1], codes, relevance=relevance, metrics=["recall@2"])["recall@2"] == 1
    with pytest.raises(InputError, match=r"the gain 2\*\*grade - 1 is defined up to 1000"):
        evaluate_ranking(relevance, n_relevant="listed", metrics=["ndcg"])


def test_memory_does_not_grow_with_the_grades():
    tracemalloc.start()
    try:
        value = evaluate_ranking([0, 10**9], n_relevant="listed", metrics=["ndcg_linear"])["ndcg_linear"]
        graded = evaluate_scores(np.arange(20_000) % 500, np.arange(20_000) % 999, metrics=["ndcg"], ties="optimistic")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert value == 1 / np.log2(3) and 0 < graded["ndcg"] < 1
    assert peak < 16 << 20
