"""What scikit-learn and trec_eval say of random rankings, asked of codes on every backend and of scores.

scikit-learn's NDCG is the mean over all orders of tied scores, as ours in expectation is; its average precision is that
of a ranking only without ties, and so is its label ranking average precision. ``adapters`` drives their own tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import pytrec_eval
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, ndcg_score

from udsph.evaluation import evaluate, evaluate_scores
from udsph.hamming import backend, distances


@pytest.fixture(autouse=True, params=backend.available())
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test on the native, the Numba and the NumPy backend."""
    backend.use(request.param)
    yield request.param
    backend.use(None)


def problem(rng: np.random.Generator, n_items: int, width: int, classes: int = 6) -> tuple[np.ndarray, ...]:
    codes = [rng.integers(0, 256, (n, width), dtype=np.uint8) for n in (8, n_items)]
    labels = [rng.random((n, classes)) < 0.3 for n in (8, n_items)]
    labels[0][:, 0] = labels[1][0] = True  # at least one relevant item for each query
    return *codes, *labels


@pytest.mark.parametrize(("n_items", "width"), [(2, 1), (50, 1), (700, 4), (700, 16)])
def test_ndcg_of_codes_is_that_of_scikit_learn(n_items, width):
    case = problem(np.random.default_rng(n_items + width), n_items, width)
    grades, scores = case[2].astype(int) @ case[3].astype(int).T, -distances(*case[:2])
    cutoffs = (1, 5, 20, 10_000)
    result = evaluate(*case, metrics=["ndcg", "ndcg_linear"], cutoffs=cutoffs, ranks=())
    for key, gains in (("ndcg_linear", grades), ("ndcg", 2.0**grades - 1)):
        for k in (None, *cutoffs):
            name = key if k is None else f"{key}@{k}"
            assert result[name] == pytest.approx(ndcg_score(gains, scores, k=k), rel=1e-12), name


def test_average_precision_of_untied_rankings_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    n = 96
    order = rng.permutation(n)  # as many bits as the rank says stand apart from the queries
    codes = np.packbits(np.arange(n)[None, :] < order[:, None], axis=1, bitorder="little")
    labels = rng.random((n, 5)) < 0.2
    labels[0] = True
    queries, query_labels = np.zeros((5, n // 8), np.uint8), np.eye(5, dtype=int)
    truth = [average_precision_score(labels[:, q], -order) for q in range(5)]
    scores = np.tile(-order.astype(float), (5, 1))
    for ties in ("expected", "insertion", "optimistic", "pessimistic"):
        result = evaluate(queries, codes, query_labels, labels, metrics=["map"], cutoffs=(), ranks=(), ties=ties)
        assert result.per_query["map"] == pytest.approx(truth, rel=1e-13)
        found = evaluate_scores(scores, labels.T, metrics=["map"], cutoffs=(), ranks=(), ties=ties)
        assert found.per_query["map"] == pytest.approx(truth, rel=1e-13)
    assert np.mean(truth) == pytest.approx(label_ranking_average_precision_score(labels.T, scores))


def test_codes_in_insertion_order_are_a_run_of_trec_eval():
    """trec_eval orders tied documents by name from the greatest down: names that descend keep the insertion order."""
    rng = np.random.default_rng(2)
    case = problem(rng, 300, 2)
    near = distances(*case[:2])
    grades = case[2].astype(int) @ case[3].astype(int).T
    names = [f"d{999 - i}" for i in range(300)]
    run = {str(q): dict(zip(names, (-row).astype(float).tolist(), strict=True)) for q, row in enumerate(near)}
    qrels = {str(q): dict(zip(names, row.tolist(), strict=True)) for q, row in enumerate(grades)}
    measures = {"map", "recip_rank", "Rprec", "ndcg", "P.10,200", "recall.10,200", "ndcg_cut.10,200", "map_cut.10,200"}
    truth = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    result = evaluate(*case, cutoffs=(10, 200), convention="trec_eval")
    pairs = {"map": "map", "mrr": "recip_rank", "r_precision": "Rprec", "ndcg_linear": "ndcg"}
    for ours, theirs in (("precision", "P"), ("recall", "recall"), ("ndcg_linear", "ndcg_cut"), ("map", "map_cut")):
        pairs |= {f"{ours}@{k}": f"{theirs}_{k}" for k in (10, 200)}
    for ours, theirs in pairs.items():
        expected = [truth[str(q)][theirs] for q in range(8)]
        assert result.per_query[ours] == pytest.approx(expected, rel=1e-13), ours
