"""torchmetrics' retrieval functions computed here: MAP, MRR, NDCG, precision, recall, hit rate and R-precision."""

from __future__ import annotations

import importlib

import numpy as np
import torch
from torchmetrics.utilities.checks import _check_retrieval_functional_inputs

from .one_query import value

HOME = "torchmetrics.functional.retrieval"


def _function(key, *, empty=0.0, cut_in_key=True, **options):
    def metric(preds, target, top_k=None, **given):
        preds, target = _check_retrieval_functional_inputs(
            preds, target, allow_non_binary_target=key.startswith("ndcg")
        )
        if top_k is not None and not (isinstance(top_k, int) and top_k > 0):
            raise ValueError(f"`top_k` has to be a positive integer or None, but got {top_k}.")
        if not isinstance(given.get("adaptive_k", False), bool):
            raise ValueError("`adaptive_k` has to be a boolean")
        scores, grades = preds.detach().cpu().numpy().astype(np.float64), target.detach().cpu().numpy()
        if key == "map":
            grades = np.where(scores > 0, grades, 0)  # theirs: a score of 0 is no retrieval
        k = len(scores) if top_k is None or (given.get("adaptive_k") and top_k > len(scores)) else top_k
        if not grades.sum():
            return torch.tensor(empty)
        name = f"{key}@{k}" if cut_in_key else key
        return torch.tensor(value(name, scores, grades, **options), dtype=torch.float32)

    return metric


FUNCTIONS = {
    "average_precision": _function("map", denominator="retrieved"),
    "reciprocal_rank": _function("mrr"),
    "normalized_dcg": _function("ndcg_linear"),
    "precision": _function("precision"),
    "recall": _function("recall"),
    "hit_rate": _function("success"),
}


def _r_precision(preds, target):
    return _function("r_precision", cut_in_key=False)(preds, target)


FILES = {"normalized_dcg": "ndcg"}
for name, function in {**FUNCTIONS, "r_precision": _r_precision}.items():
    file = FILES.get(name, name)
    for module in (f"{HOME}.{file}", HOME, f"torchmetrics.retrieval.{file}"):
        found = importlib.import_module(module)
        assert hasattr(found, f"retrieval_{name}"), (module, name)
        setattr(found, f"retrieval_{name}", function)
