"""Rankings: what a metric asks of one, whatever it was made from.

``TiedRanking`` is a sequence of tied groups per query (from counts, scores or a given order) read in expectation or at
its bounds; ``OrderedRanking`` holds the sums that a pass over the database in insertion order has collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation import metrics
from udsph.evaluation.conventions import DENOMINATORS
from udsph.evaluation.counts import Counts

Values = NDArray[np.float64]

MAX_SHARED = 1000  # 2**1024 is beyond float64
TIE_CODES = {"expected": metrics.EXPECTED, "optimistic": metrics.OPTIMISTIC, "pessimistic": metrics.PESSIMISTIC}


class Ranking(Protocol):
    """Values per query. Cutoffs are float64 of shape (nq, cutoffs) or (cutoffs,)."""

    n_queries: int
    n_items: int

    def relevant(self) -> Values: ...
    def hits(self, cutoffs: Values) -> Values: ...
    def average_precision(self, cutoffs: Values, denominator: str) -> Values: ...
    def reciprocal_rank(self) -> Values: ...
    def ndcg(self, cutoffs: Values, gain: str) -> Values: ...


@dataclass(frozen=True)
class QueryGroups:
    """Tied groups of one query, nearest first, none of them empty."""

    n: Values
    r: Values
    joint: Values | None = None


class TiedRanking:
    """Groups per query, with ties read as "expected", "optimistic" or "pessimistic"."""

    def __init__(self, queries: Sequence[QueryGroups], n_items: int, ties: str) -> None:
        self._queries = queries
        self.n_queries, self.n_items = len(queries), n_items
        self._ties = TIE_CODES[ties]

    @classmethod
    def from_counts(cls, counts: Counts, ties: str) -> TiedRanking:
        held = counts.items > 0
        # All groups side by side, of which each query has a view: one selection instead of one a query.
        n, r = counts.items[held].astype(np.float64), counts.relevant[held].astype(np.float64)
        ends = np.cumsum(held.sum(axis=1)).tolist()
        queries = []
        for q, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
            joint = None if counts.shared is None else counts.shared[q, held[q]].astype(np.float64)
            queries.append(QueryGroups(n[begin:end], r[begin:end], joint))
        return cls(queries, counts.n_items, ties)

    def relevant(self) -> Values:
        return np.array([query.r.sum() for query in self._queries], np.float64)

    def hits(self, cutoffs: Values) -> Values:
        rows = self._rows(cutoffs)
        if rows.shape[1] == 0:
            return rows
        return _stack(
            [metrics.hits_at(q.n, q.r, k, self._ties) for q, k in zip(self._queries, rows, strict=True)], rows
        )

    def average_precision(self, cutoffs: Values, denominator: str) -> Values:
        rows, code = self._rows(cutoffs), DENOMINATORS.index(denominator)
        pairs = zip(self._queries, rows, strict=True)
        return _stack([metrics.average_precision_at(q.n, q.r, k, self._ties, code) for q, k in pairs], rows)

    def reciprocal_rank(self) -> Values:
        return np.array([metrics.reciprocal_rank(q.n, q.r, self._ties) for q in self._queries], np.float64)

    def ndcg(self, cutoffs: Values, gain: str) -> Values:
        rows, values = self._rows(cutoffs), []
        for query, k in zip(self._queries, rows, strict=True):
            if query.joint is None:
                raise InputError("NDCG needs counts by number of shared labels: count(..., shared=True)")
            gains = gains_of(query.joint.shape[1], gain)
            ideal = metrics.ideal_dcg_at(query.joint, gains, k)
            value = metrics.dcg_at(query.joint, gains, k, self._ties)
            values.append(np.divide(value, ideal, out=np.zeros_like(value), where=ideal > 0))
        return _stack(values, rows)

    def _rows(self, cutoffs: Values) -> Values:
        return np.ascontiguousarray(np.broadcast_to(cutoffs, (self.n_queries, cutoffs.shape[-1])))


def gains_of(levels: int, gain: str) -> Values:
    """Gain of each grade from 0 to ``levels - 1``: ``2**grade - 1`` ("exponential") or the grade ("linear")."""
    grade = np.arange(levels, dtype=np.float64)
    if gain == "linear":
        return grade
    if levels - 1 > MAX_SHARED:
        raise InputError(
            f"a query and an item share {levels - 1} labels: the gain 2**shared - 1 is defined up to {MAX_SHARED} "
            "(the metric ndcg_linear has no such limit)"
        )
    return np.exp2(grade) - 1


def _stack(rows: list[Values], like: Values) -> Values:
    return np.array(rows, np.float64).reshape(like.shape)
