"""scikit-learn's NDCG and DCG computed here: like ours they are the mean over all orders of tied scores."""

from __future__ import annotations

import numpy as np
from sklearn.metrics.tests import test_ranking

from udsph.evaluation import evaluate_scores
from udsph.evaluation.cells import Cells
from udsph.evaluation.gains import tied_blocks
from udsph.evaluation.metrics import EXPECTED, dcg_at

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
        return THEIRS["ndcg_score"](
            y_true, y_score, k=k, sample_weight=sample_weight, ignore_ties=ignore_ties
        )  # errors
    return np.average(_ndcg_sample_scores(y_true, y_score, k, ignore_ties), weights=sample_weight)


def _ndcg_sample_scores(y_true, y_score, k=None, ignore_ties=False):
    key = "ndcg_linear" if k is None else f"ndcg_linear@{k}"
    options = {"metrics": [key], "cutoffs": (), "ranks": ()}
    return evaluate_scores(_untied(np.asarray(y_score), ignore_ties), y_true, **options).per_query[key]


def _dcg_sample_scores(y_true, y_score, k=None, log_base=2, ignore_ties=False):
    values = []
    for grades, scores in zip(y_true, _untied(np.asarray(y_score), ignore_ties), strict=True):
        place = np.unique(-scores, return_inverse=True)[1]
        blocks = tied_blocks(Cells.of(place, grades), np.bincount(place).astype(float), "linear", EXPECTED)
        values.append(dcg_at(*blocks, np.array([np.inf if k is None else float(k)]))[0] * np.log2(log_base))
    return np.array(values)


def dcg_score(y_true, y_score, *, k=None, log_base=2, sample_weight=None, ignore_ties=False):
    values = _dcg_sample_scores(np.asarray(y_true), y_score, k, log_base, ignore_ties)
    return np.average(values, weights=sample_weight)


for function in (ndcg_score, _ndcg_sample_scores, dcg_score, _dcg_sample_scores):
    assert hasattr(test_ranking, function.__name__)
    setattr(test_ranking, function.__name__, function)
