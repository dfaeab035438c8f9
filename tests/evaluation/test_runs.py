"""Runs and judgements, held against trec_eval by the same numbers bit for bit."""

import numpy as np
import pytest
import pytrec_eval

from udsph.errors import InputError
from udsph.evaluation import evaluate, evaluate_ranking, evaluate_run, evaluate_scores, read_qrels, read_run
from udsph.hamming import FlatIndex

from .cases import random_case

CUTOFFS = (1, 2, 3, 10, 30)
NAMES = {"map": "map", "mrr": "recip_rank", "r_precision": "Rprec", "ndcg_linear": "ndcg"}
for ours, theirs in (
    ("map", "map_cut"),
    ("precision", "P"),
    ("recall", "recall"),
    ("ndcg_linear", "ndcg_cut"),
    ("success", "success"),
):
    NAMES |= {f"{ours}@{k}": f"{theirs}_{k}" for k in CUTOFFS}
METRICS = ["map", "mrr", "r_precision", "ndcg_linear", "precision", "recall", "success"]
MEASURES = {"map", "recip_rank", "Rprec", "ndcg"} | {
    f"{name}.{','.join(map(str, CUTOFFS))}" for name in ("map_cut", "P", "recall", "ndcg_cut", "success")
}


def random_run(rng, most=30):
    """A run and judgements that share some queries and documents, with ties, also of scores that differ in float64."""

    def documents():
        return [f"d{d}" for d in rng.choice(40, rng.integers(1, most), replace=False)]

    def score():
        return float(rng.choice([rng.integers(0, 5), rng.normal(), 1 + 1e-9 * rng.integers(0, 3)]))

    qrels = {f"q{q}": {d: int(rng.integers(0, 4)) for d in documents()} for q in range(rng.integers(1, 6))}
    return {f"q{q}": {d: score() for d in documents()} for q in range(rng.integers(1, 6))}, qrels


def assert_same(result, truth):
    assert set(result.queries) == set(truth)
    for ours, theirs in NAMES.items():
        expected = [truth[query][theirs] for query in result.queries]
        assert result.per_query[ours].tolist() == expected, ours
        assert result[ours] == pytest.approx(np.mean(expected), rel=1e-14)


@pytest.mark.parametrize("level", [None, 2])
def test_random_runs_have_the_values_of_trec_eval(level):
    rng = np.random.default_rng(0)
    for _ in range(12):
        run, qrels = random_run(rng)
        truth = pytrec_eval.RelevanceEvaluator(qrels, MEASURES, relevance_level=level or 1).evaluate(run)
        assert_same(evaluate_run(run, qrels, relevance_level=level, metrics=METRICS, cutoffs=CUTOFFS), truth)


def test_files_are_read_as_trec_evals_tools_read_them(tmp_path):
    run, qrels = random_run(np.random.default_rng(1))
    lines = [f"{query}\t0 {document} {grade}\n" for query, found in qrels.items() for document, grade in found.items()]
    (tmp_path / "qrels").write_text("".join(lines))
    (tmp_path / "commented").write_text("# judged by hand\n" + "#\n\n".join(lines))
    assert read_qrels(tmp_path / "commented") == qrels
    rows = [(query, document, score) for query, found in run.items() for document, score in found.items()]
    lines = [f"{query} Q0 {document} 7 {score!r} a tag\n" for query, document, score in rows]
    (tmp_path / "run").write_text("\ufeff" + "\n".join(lines))
    assert read_run(tmp_path / "run") == run
    with open(tmp_path / "qrels") as file:
        assert read_qrels(tmp_path / "qrels") == pytrec_eval.parse_qrel(file) == qrels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q Q0 d 1 0.5\n", r"run: .*file, line 1: 5 columns, 6 expected \(query Q0 document rank score tag\)"),
        ("q Q0 d 1 0.5 t\n\nq Q0 e 1 high t\n", "line 3: 'high' is not a number"),
        ("q Q0 d 1 0.5 t\nq Q0 d 2 0.4 t\n", "line 2: query q has document d twice"),
        ("\n", "is empty; expected lines of query Q0"),
        (b"\xff\xfe1\x00", "is not a text file in UTF-8"),
    ],
)
def test_a_file_of_another_form_is_one_clear_line(tmp_path, text, message):
    path = tmp_path / "file"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_run(path)


def test_files_that_cannot_be_read_are_one_clear_line(tmp_path):
    with pytest.raises(InputError, match=r"qrels: .*none cannot be read: No such file"):
        read_qrels(tmp_path / "none")
    with pytest.raises(InputError, match=r"qrels: .* cannot be read: Is a directory"):
        read_qrels(tmp_path)


def test_a_judged_query_without_a_relevant_document_counts_zero():
    run, qrels = {"a": {"x": 1.0}, "b": {"x": 1.0}}, {"a": {"x": 1}, "b": {"x": 0}}
    truth = pytrec_eval.RelevanceEvaluator(qrels, {"map"}).evaluate(run)
    mean = np.mean([values["map"] for values in truth.values()])
    assert evaluate_run(run, qrels)["map"] == mean == 0.5
    ranking = evaluate_ranking([[1, 0], [0, 0]], convention="trec_eval", n_relevant="listed")
    assert ranking["map"] == mean
    codes = np.array([[0], [1]], np.uint8)
    labels = np.array([[1, 0], [0, 1]]), np.array([[1, 0], [0, 0]])
    assert evaluate(codes[[0, 0]], codes, *labels, convention="trec_eval")["map"] == mean


def test_queries_in_one_of_both_are_left_out_and_named_or_count_zero():
    run, qrels = {"a": {"x": 1.0}, "c": {"x": 1.0}, "d": {"x": 1.0}}, {"a": {"x": 1}, "b": {"x": 1}, "d": {}}
    result = evaluate_run(run, qrels)
    assert result.queries == ["a"] and sorted(result.left_out) == ["b", "c", "d"]
    assert "3 queries without results or without judgements are left out: b, d, c" in repr(result)
    result = evaluate_run(run, qrels, complete=True)
    assert result.queries == ["a", "b"] and result["map"] == 0.5
    assert result.to_frame().loc["b", "map"] == 0
    with pytest.raises(InputError, match="no query in common: run has 'a', 'c', 'd', qrels has 'z'"):
        evaluate_run(run, {"z": {"x": 1}})


def test_grades_below_zero_are_not_relevant():
    run = {"a": {"x": 3.0, "y": 2.0, "z": 1.0}}
    below = evaluate_run(run, {"a": {"x": -1, "y": 2, "z": 1}}).to_dict()
    assert below == evaluate_run(run, {"a": {"x": 0, "y": 2, "z": 1}}).to_dict()


def test_results_of_a_search_are_evaluated_against_all_relevant_items():
    case = random_case(np.random.default_rng(2), 6, 300, width=8, density=0.2)
    index = FlatIndex(64)
    index.add(case.database_codes)
    ids = index.search(case.query_codes, 20).ids
    relevant = [np.flatnonzero(row) for row in case.grades]
    metrics = ["map@20", "precision@20", "recall@20", "mrr@20", "success@20", "r_precision"]
    truth = evaluate(*case, ties="insertion", denominator="relevant", metrics=metrics).to_dict()
    del truth["r_precision"]  # deeper than 20
    for form in (relevant, [set(row.tolist()) for row in relevant], dict(enumerate(relevant))):
        result = evaluate_run(ids, form, metrics=metrics)
        assert {key: result[key] for key in truth} == pytest.approx(truth, rel=1e-13)
    assert result["recall@20"] < 0.5


def test_missing_neighbours_are_no_documents():
    index = FlatIndex(8)
    index.add(np.zeros((2, 1), np.uint8))
    ids = index.search(np.zeros((1, 1), np.uint8), 4).ids
    assert ids.tolist() == [[0, 1, -1, -1]]
    for run in (ids, ids.tolist()):
        assert evaluate_run(run, [[1, 5]], metrics=["map@4", "recall@4"]).to_dict() == {"map@4": 0.25, "recall@4": 0.5}


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic", "insertion"])
def test_other_orders_of_ties_are_those_of_scores(ties):
    rng = np.random.default_rng(3)
    scores, grades = rng.integers(0, 4, (3, 20)), rng.integers(0, 3, (3, 20))
    run = [{f"d{i}": float(score) for i, score in enumerate(row)} for row in scores]
    qrels = [{f"d{i}": int(grade) for i, grade in enumerate(row)} for row in grades]
    result = evaluate_run(run, qrels, ties=ties, cutoffs=(3, 10)).to_dict()
    truth = evaluate_scores(scores, grades, ties=ties, cutoffs=(3, 10), convention="trec_eval").to_dict()
    assert result == pytest.approx(truth, rel=1e-13)


@pytest.mark.parametrize(
    ("run", "qrels", "error", "message"),
    [
        ({"a": {"x": np.nan}}, {"a": {"x": 1}}, InputError, r"run\['a'\] has a score that is NaN"),
        ({"a": {"x": "1"}}, {"a": {"x": 1}}, InputError, r"run\['a'\] must hold a number for each document"),
        ({"a": ["x", "y", "x"]}, {"a": {"x": 1}}, InputError, r"run\['a'\] holds 'x' twice"),
        ({"a": {"x": 1}}, {"a": {"x": np.inf}}, InputError, r"qrels\['a'\] must be finite"),
        ({"a": {"x": 1}}, {"a": "x"}, TypeError, r"qrels\['a'\] must be a mapping, a list"),
        ("run.txt", {"a": {"x": 1}}, TypeError, "run must be a mapping by query, a list or an array, got str"),
        ([[0.5, 1.5]], [[1]], InputError, r"run\[0\]"),
    ],
)
def test_runs_and_judgements_of_another_form(run, qrels, error, message):
    run = np.array(run) if isinstance(run, list) else run
    with pytest.raises(error, match=message):
        evaluate_run(run, qrels)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ties": "docno"}, InputError, "ties='docno' is unknown; choose one of: name, expected"),
        ({"relevance_level": "2"}, TypeError, "relevance_level must be a number, got str"),
        ({"metrics": ["precision_radius_2"]}, InputError, "'precision_radius_2' needs codes"),
        ({"convention": "trec"}, InputError, "convention='trec' is unknown"),
    ],
)
def test_options_that_do_not_exist(options, error, message):
    with pytest.raises(error, match=message):
        evaluate_run({"a": ["x"]}, {"a": ["x"]}, **options)
