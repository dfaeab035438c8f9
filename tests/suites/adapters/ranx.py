"""ranx's metrics computed here, on its arrays of (document, grade) and (document, score) in rank order."""

from __future__ import annotations

import sys

import numpy as np
import ranx.metrics

from udsph.evaluation import evaluate_run
from udsph.evaluation.gains import gains_of
from udsph.evaluation.metrics import dcg_at


def _query(truth, found):
    judged = {int(row[0]): float(row[1]) for row in truth}
    return judged, list(dict.fromkeys(int(row[0]) for row in found))


def _function(name, *, cut=True, times_k=False):
    def metric(qrels, run, k=0, rel_lvl=1):
        values = []
        for truth, found in zip(qrels, run, strict=True):
            judged, documents = _query(truth, found)
            depth = k or max(1, len(documents))
            key = f"{name}@{depth}" if cut else name
            options = {"metrics": [key], "cutoffs": (), "ranks": (), "relevance_level": rel_lvl}
            values.append(evaluate_run([documents], [judged or [None]], **options)[key] * (depth if times_k else 1))
        return np.array(values)

    return metric


def _dcg(gain):
    def metric(qrels, run, k=0, rel_lvl=1):
        values = []
        for truth, found in zip(qrels, run, strict=True):
            judged, documents = _query(truth, found)
            grades = np.array([judged.get(document, 0.0) for document in documents])
            cutoff = np.array([float(k or len(documents))])
            values.append(dcg_at(np.ones(len(grades)), gains_of(grades, gain), cutoff)[0])
        return np.array(values)

    return metric


FUNCTIONS = {
    "hits": _function("precision", times_k=True),
    "hit_rate": _function("success"),
    "precision": _function("precision"),
    "recall": _function("recall"),
    "f1": _function("f1"),
    "r_precision": _function("r_precision", cut=False),
    "reciprocal_rank": _function("mrr"),
    "average_precision": _function("map"),
    "ndcg": _function("ndcg_linear"),
    "ndcg_burges": _function("ndcg"),
    "dcg": _dcg("linear"),
    "dcg_burges": _dcg("exponential"),
}
for name, function in FUNCTIONS.items():
    assert hasattr(ranx.metrics, name), name
    setattr(ranx.metrics, name, function)
    home = sys.modules.get(f"ranx.metrics.{name}")
    if home is not None:  # the module of the same name, from which some of the tests import
        setattr(home, name, function)
