"""Evaluation: time and rate of the ways to a MAP, 200 queries against 200,000 items, 64 bits, 24 labels, one thread."""

from __future__ import annotations

import time

import numpy as np

from udsph.evaluation import evaluate, mean_average_precision

from .common import skip_unsupported_level

QUERIES, ITEMS = 200, 200_000
KINDS = {
    "map": lambda case: mean_average_precision(*case, threads=1),
    "insertion": lambda case: mean_average_precision(*case, ties="insertion", threads=1),
    "all but NDCG": lambda case: evaluate(*case, metrics=["map", "precision", "recall", "f1", "mrr"], threads=1),
    "ndcg": lambda case: evaluate(*case, metrics=["ndcg"], threads=1),
    "ndcg, insertion": lambda case: evaluate(*case, metrics=["ndcg"], ties="insertion", threads=1),
}


class Evaluation:
    """One column per kind of evaluation."""

    params = tuple(KINDS)
    param_names = ("kind",)

    def setup_cache(self):
        rng = np.random.default_rng(0)
        codes = [rng.integers(0, 256, (n, 8), dtype=np.uint8) for n in (QUERIES, ITEMS)]
        labels = [(rng.random((n, 24)) < 0.1).astype(np.uint8) for n in (QUERIES, ITEMS)]
        return *codes, *labels

    def setup(self, case, kind):
        skip_unsupported_level()
        self.case = tuple(array[:100] for array in case)
        KINDS[kind](self.case)  # compile

    def time_evaluation(self, case, kind):
        KINDS[kind](case)

    def track_gpairs_per_second(self, case, kind):
        start = time.perf_counter()
        KINDS[kind](case)
        return QUERIES * ITEMS / (time.perf_counter() - start) / 1e9

    def peakmem_evaluation(self, case, kind):
        KINDS[kind](case)


Evaluation.track_gpairs_per_second.unit = "Gpairs/s"
