"""Ties in insertion order: a second pass over the database, in its order, gives every relevant item its rank.

The first pass has counted the items at each distance, so an item's rank is the number of nearer items plus the number
of items at its own distance met so far. Nothing is sorted and no permutation is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation import native, reference
from udsph.evaluation.cells import Graded
from udsph.evaluation.counts import Counts
from udsph.evaluation.gains import gains_of, ideal_blocks
from udsph.evaluation.ordered_sums import OrderedSums
from udsph.evaluation.problem import Problem
from udsph.evaluation.ranking import Values, normalized
from udsph.hamming import distances

Walk = Callable[[Problem, Counts, OrderedSums], None]


class OrderedRanking:
    """Values in insertion order, from the sums of the second pass. Only the ranks it was told of can be asked for."""

    def __init__(self, sums: OrderedSums, counts: Counts, ideal: Graded | None = None) -> None:
        self._sums, self._ideal = sums, ideal
        self.counts, self.n_queries = counts, counts.n_queries

    def relevant(self) -> Values:
        return self.counts.relevant.sum(axis=1).astype(np.float64)

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

    def reciprocal_rank(self, cutoffs: Values) -> Values:
        within = self.success(cutoffs)
        return within / np.maximum(self._sums.first_rank, 1)[:, None]

    def success(self, cutoffs: Values) -> Values:
        rank = self._sums.first_rank[:, None]
        return ((rank > 0) & (rank <= cutoffs)).astype(np.float64)

    def ndcg(self, cutoffs: Values, gain: str) -> Values:
        cutoffs = np.broadcast_to(cutoffs, (self.n_queries, cutoffs.shape[-1]))
        value = self._at(cutoffs, self._sums.stops, self._sums.dcg[gain])
        assert self._ideal is not None
        return normalized(value, ideal_blocks(self._ideal, gain, False).dcg(np.ascontiguousarray(cutoffs)))

    def _at(self, wanted: Values, stops: NDArray[np.int64], values: NDArray) -> NDArray:
        wanted = np.minimum(np.broadcast_to(wanted, (self.n_queries, wanted.shape[-1])), stops[:, -1:])
        out = np.zeros(wanted.shape, values.dtype)
        for row, value, stop, k in zip(out, values, stops, wanted, strict=True):
            row[:] = value[np.searchsorted(stop, k)]
        return out


def ordered_ranking(
    checked: Problem,
    counts: Counts,
    ideal: Graded | None,
    cutoffs: Sequence[int],
    by_relevant: bool,
    gains: Sequence[str],
    walk: Walk | None = None,
) -> OrderedRanking:
    """Walk through the database once more, in order.

    Parameters
    ----------
    counts : Counts
        Of the whole database; by grade where the native kernels collect for NDCG.
    ideal : Graded or None
        All items by grade, at one distance, for NDCG.
    cutoffs : ranks at which sums will be asked for; the whole database and each query's R are always among them
    by_relevant : bool
        Collect the precisions at the first ``min(k, R)`` relevant items too.
    gains : gains of NDCG ("exponential", "linear") to collect discounted sums of
    walk : who walks; ``fill`` by default
    """
    total = counts.relevant.sum(axis=1)
    fixed = np.array(sorted({*cutoffs, counts.n_items}), np.int64)
    stops = np.sort(np.concatenate([np.broadcast_to(fixed, (len(total), len(fixed))), total[:, None]], axis=1), axis=1)
    wanted = np.minimum(fixed[None, :] if by_relevant else np.zeros((1, 0), np.int64), total[:, None])
    sums = OrderedSums.empty(stops, wanted, gains)
    (walk or fill)(checked, counts, sums)
    return OrderedRanking(sums, counts.without_grades(), ideal)


def fill(checked: Problem, counts: Counts, sums: OrderedSums) -> None:
    """Fill sums by a walk through the database in its order, here."""
    if natively(checked, list(sums.dcg)):
        native.walk(checked, counts, sums)
        if sums.dcg:
            native.walk_discounts(checked, counts, sums)
    else:
        walk_in_numpy(checked, *before(counts), sums)


def before(counts: Counts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Items and relevant items at lesser distances, which ``walk_in_numpy`` moves on."""
    seen, hits = (np.cumsum(table, axis=1) - table for table in (counts.items, counts.relevant))
    return seen, hits


def passes(checked: Problem, gains: Sequence[str]) -> int:
    """Walks through the database, the one that counts included."""
    return 3 if gains and natively(checked, gains) else 2


def natively(checked: Problem, gains: Sequence[str]) -> bool:
    """Whether the native kernels walk."""
    return native.serves(checked, native.grade_levels(checked) if gains else 0)


def walk_in_numpy(checked: Problem, seen: NDArray[np.int64], hits: NDArray[np.int64], sums: OrderedSums) -> None:
    """Add the relevant items of the next piece of a database to sums.

    seen, hits : as ``reference.ordered_ranks`` takes them for each query, and moves them on
    """
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
            if sums.dcg:
                ordered = grade[np.argsort(distance, kind="stable")]
            for gain, collected in sums.dcg.items():
                discounted = gains_of(ordered[ordered > 0], gain) / np.log2(ranks + 1)
                collected[q] += np.concatenate(([0.0], np.cumsum(discounted)))[within]


def refuse_counts_alone() -> InputError:
    """Why merged counts cannot say anything about insertion order."""
    return InputError(
        "ties='insertion' needs every item's place in the database, which counts do not keep: evaluate codes and "
        "labels with evaluate(), or choose ties 'expected', 'optimistic' or 'pessimistic'"
    )
