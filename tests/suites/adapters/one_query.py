"""The values of one ranking, by scores or by codes that have the same order."""

from __future__ import annotations

import numpy as np

from udsph.evaluation import evaluate, evaluate_scores

from . import BY_CODES


def value(key: str, scores: np.ndarray, grades: np.ndarray, **options) -> float:
    """A metric of one query, which has a grade and a score for every item."""
    chosen = {"metrics": [key], "cutoffs": (), "ranks": (), **options}
    if BY_CODES and set(np.unique(grades)) <= {0, 1}:
        # codes of so many ones that their distances from 0 are the ranks: labels, and so the native kernels, serve
        order = np.argsort(-scores, kind="stable")
        codes = np.packbits(np.tri(len(order), 8 * (len(order) // 8 + 1), -1, dtype=np.uint8), axis=1)
        return evaluate(np.zeros_like(codes[:1]), codes, np.ones(1, int), grades[order].astype(int), **chosen)[key]
    return evaluate_scores(scores[None], grades[None], **chosen)[key]
