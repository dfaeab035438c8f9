"""scikit-learn's NDCG and DCG computed here: like ours they are the mean over all orders of tied scores."""

from __future__ import annotations

import numpy as np
from sklearn.metrics.tests import test_ranking

from udsph.evaluation import evaluate_scores
from udsph.evaluation.cells import Cells, Graded
from udsph.evaluation.gains import tied_blocks
from udsph.evaluation.metrics import EXPECTED

THEIRS = test_ranking.ndcg_score


def _untied(scores, ignore_ties):
    """Scores without ties, in the order that scikit-learn's sort leaves tied ones in."""
    if not ignore_ties:
        return scores
    order = np.argsort(scores, axis=1)[:, ::-1]
    out = np.empty(scores.shape)
    np.put_along_axis(out, order, np.arange(scores.shape[1], 0, -1.0)[None, :], axis=1)
    return out


def ndcg_score(y_true, y_score, *, k=None, sample_weight=None, ignore_ties=False):
    y_true, y_score = np.asarray(y_true), np.asarray(y_score)
    if y_true.ndim != 2 or y_true.shape[1] < 2 or (y_true < 0).any():
        return THEIRS(y_true, y_score, k=k, sample_weight=sample_weight, ignore_ties=ignore_ties)  # the errors
    return np.average(_ndcg_sample_scores(y_true, y_score, k, ignore_ties), weights=sample_weight)


def _ndcg_sample_scores(y_true, y_score, k=None, ignore_ties=False):
    key = "ndcg_linear" if k is None else f"ndcg_linear@{k}"
    options = {"metrics": [key], "cutoffs": (), "ranks": ()}
    return evaluate_scores(_untied(np.asarray(y_score), ignore_ties), y_true, **options).per_query[key]


def _dcg_sample_scores(y_true, y_score, k=None, log_base=2, ignore_ties=False):
    scores = _untied(np.asarray(y_score), ignore_ties)
    cells = [
        Cells.of(np.unique(-of, return_inverse=True)[1], grades) for of, grades in zip(scores, y_true, strict=True)
    ]
    cutoffs = np.full((len(cells), 1), np.inf if k is None else float(k))
    return tied_blocks(Graded.of(cells), "linear", EXPECTED).dcg(cutoffs)[:, 0] * np.log2(log_base)


def dcg_score(y_true, y_score, *, k=None, log_base=2, sample_weight=None, ignore_ties=False):
    values = _dcg_sample_scores(np.asarray(y_true), y_score, k, log_base, ignore_ties)
    return np.average(values, weights=sample_weight)


for function in (ndcg_score, _ndcg_sample_scores, dcg_score, _dcg_sample_scores):
    assert hasattr(test_ranking, function.__name__)
    setattr(test_ranking, function.__name__, function)
