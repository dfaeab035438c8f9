"""Ties in insertion order: a second pass over the database, in its order, gives every relevant item its rank.

The first pass has counted the items at each distance, so an item's rank is the number of nearer items plus the number
of items at its own distance met so far. Nothing is sorted and no permutation is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation import metrics, native, reference
from udsph.evaluation.counts import Counts
from udsph.evaluation.ordered_sums import OrderedSums
from udsph.evaluation.problem import Problem
from udsph.evaluation.ranking import Values, gains_of
from udsph.hamming import distances


class OrderedRanking:
    """Values in insertion order, from the sums of the second pass. Only the ranks it was told of can be asked for."""

    def __init__(self, sums: OrderedSums, counts: Counts) -> None:
        self._sums, self._counts = sums, counts
        self.n_queries, self.n_items = counts.n_queries, counts.n_items

    def relevant(self) -> Values:
        return self._counts.relevant.sum(axis=1).astype(np.float64)

    def hits(self, cutoffs: Values) -> Values:
        return self._at(cutoffs, self._sums.stops, self._sums.hits).astype(np.float64)

    def average_precision(self, cutoffs: Values, denominator: str) -> Values:
        cutoffs = np.broadcast_to(cutoffs, (self.n_queries, cutoffs.shape[-1]))
        found, total = self.hits(cutoffs), self.relevant()[:, None]
        if denominator == "first":
            numerator = self._at(np.minimum(cutoffs, total), self._sums.wanted, self._sums.first_precision)
        else:
            numerator = self._at(cutoffs, self._sums.stops, self._sums.precision)
        by = {"retrieved": found, "relevant": total + 0 * found}.get(denominator, np.minimum(cutoffs, total))
        return np.divide(numerator, by, out=np.zeros_like(numerator), where=by > 0)

    def reciprocal_rank(self) -> Values:
        rank = self._sums.first_rank
        return np.divide(1.0, rank, out=np.zeros(len(rank)), where=rank > 0)

    def ndcg(self, cutoffs: Values, gain: str) -> Values:
        cutoffs = np.broadcast_to(cutoffs, (self.n_queries, cutoffs.shape[-1]))
        value = self._at(cutoffs, self._sums.stops, self._sums.dcg[gain])
        assert self._counts.shared is not None
        totals = self._counts.shared.sum(axis=1).astype(np.float64)
        gains = gains_of(totals.shape[1], gain)
        ideal = np.array(
            [metrics.ideal_dcg_at(t[None, :], gains, k.copy()) for t, k in zip(totals, cutoffs, strict=True)]
        ).reshape(value.shape)
        return np.divide(value, ideal, out=np.zeros_like(value), where=ideal > 0)

    def _at(self, wanted: Values, stops: NDArray[np.int64], values: NDArray) -> NDArray:
        wanted = np.broadcast_to(wanted, (self.n_queries, wanted.shape[-1]))
        out = np.zeros(wanted.shape, values.dtype)
        for row, value, stop, k in zip(out, values, stops, wanted, strict=True):
            row[:] = value[np.searchsorted(stop, k)]
        return out


def ordered_ranking(
    checked: Problem, counts: Counts, cutoffs: Sequence[int], by_relevant: bool, gains: Sequence[str]
) -> OrderedRanking:
    """Walk through the database once more, in order.

    Parameters
    ----------
    counts : Counts
        Of the whole database.
    cutoffs : ranks at which sums will be asked for; the whole database and each query's R are always among them
    by_relevant : bool
        Collect the precisions at the first ``min(k, R)`` relevant items too.
    gains : gains of NDCG ("exponential", "linear") to collect discounted sums of
    """
    total = counts.relevant.sum(axis=1)
    fixed = np.array(sorted({*cutoffs, counts.n_items}), np.int64)
    stops = np.sort(np.concatenate([np.broadcast_to(fixed, (len(total), len(fixed))), total[:, None]], axis=1), axis=1)
    wanted = np.minimum(fixed[None, :] if by_relevant else np.zeros((1, 0), np.int64), total[:, None])
    sums = OrderedSums.empty(stops, wanted, gains)
    if _natively(checked, gains):
        native.walk(checked, counts, sums)
        if gains:
            native.walk_discounts(checked, counts, sums)
    else:
        _walk_in_numpy(checked, counts, sums)
    return OrderedRanking(sums, counts)


def passes(checked: Problem, gains: Sequence[str]) -> int:
    """Walks through the database, the one that counts included."""
    return 3 if gains and _natively(checked, gains) else 2


def _natively(checked: Problem, gains: Sequence[str]) -> bool:
    return native.serves(checked, native.grade_levels(checked) if gains else 0)


def _walk_in_numpy(checked: Problem, counts: Counts, sums: OrderedSums) -> None:
    seen, hits = (np.cumsum(table, axis=1) - table for table in (counts.items, counts.relevant))
    gain_tables = {}
    if sums.dcg:
        assert counts.shared is not None
        gain_tables = {gain: gains_of(counts.shared.shape[2], gain) for gain in sums.dcg}
    for queries, piece in checked.pieces():
        grades = checked.relevance.grades(queries, piece)
        matrix = distances(checked.query[queries], checked.database[piece])
        for q, distance, grade in zip(range(queries.start, queries.stop), matrix, grades, strict=True):
            relevant = grade > 0
            ranks, at = reference.ordered_ranks(distance, relevant, seen[q], hits[q])
            if not len(ranks):
                continue
            first = sums.first_rank[q]
            sums.first_rank[q] = ranks[0] if first == 0 else min(first, ranks[0])
            within = np.searchsorted(ranks, sums.stops[q], side="right")
            sums.hits[q] += within
            precisions = np.concatenate(([0.0], np.cumsum(at / ranks)))
            sums.precision[q] += precisions[within]
            sums.first_precision[q] += precisions[np.searchsorted(at, sums.wanted[q], side="right")]
            for gain, table in gain_tables.items():
                ordered = grade[np.argsort(distance, kind="stable")]
                discounted = table[ordered[ordered > 0]] / np.log2(ranks + 1)
                sums.dcg[gain][q] += np.concatenate(([0.0], np.cumsum(discounted)))[within]


def refuse_counts_alone() -> InputError:
    """Why merged counts cannot say anything about insertion order."""
    return InputError(
        "ties='insertion' needs every item's place in the database, which counts do not keep: evaluate codes and "
        "labels with evaluate(), or choose ties 'expected', 'optimistic' or 'pessimistic'"
    )
