"""Counting with the native kernels: pieces of the database are sliced once and counted for every query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.evaluation.counts import Counts
from udsph.evaluation.gains import gains_of
from udsph.evaluation.ordered_sums import OrderedSums
from udsph.evaluation.problem import Problem
from udsph.evaluation.relevance import ClassNumbers, MultiHotLabels
from udsph.hamming import backend, simd_level
from udsph.threads import thread_count

try:
    from udsph.evaluation import _native  # type: ignore[attr-defined]
except ImportError:
    _native = None

# Sliced codes and labels of a piece; more than this of scratch for one query is counted in NumPy instead.
_PIECE_BYTES = 4 << 20
_QUERY_BYTES = 4 << 20


def serves(checked: Problem, levels: int = 0) -> bool:
    """Whether the native kernels count this: they are built, chosen, and the relevance is by labels."""
    if _native is None or backend.name() != "native":
        return False
    if not isinstance(checked.relevance, (MultiHotLabels, ClassNumbers)):
        return False
    return 32 * (checked.bins + 7) * max(levels, 2) <= _QUERY_BYTES


def grade_levels(checked: Problem) -> int:
    """One more than the most labels that a query can share with an item."""
    labels = checked.relevance
    if isinstance(labels, MultiHotLabels):
        return labels.most + 1
    return 2


def count(checked: Problem, shared: bool) -> Counts:
    """Joint counts of a problem that ``serves`` accepts."""
    bins = checked.bins
    level, threads, labels = simd_level(), thread_count(checked.threads), query_labels(checked)
    if shared:
        table = np.zeros((checked.n_queries, bins, grade_levels(checked)), np.int64)
        for piece in pieces(checked, level):
            _native.count_shared(level, piece, checked.query, *labels, threads, table)
        return Counts(table.sum(axis=2), table[:, :, 1:].sum(axis=2), table)
    items, relevant = np.zeros((2, checked.n_queries, bins), np.int64)
    for piece in pieces(checked, level):
        _native.count_relevant(level, piece, checked.query, *labels, threads, items, relevant)
    return Counts(items, relevant)


class Ranks(NamedTuple):
    """What a second pass collects, in whole numbers: those of two pieces of a database add up.

    totals, first_totals : (nq, stops + 1, 3), (nq, limits + 1, 3) uint64
        Precisions, low and high words in units of 2**-52, and hits between two stops (numbers of hits).
    first_rank : (nq,) uint64
        Rank of the first relevant item, 0 without one.
    """

    totals: NDArray[np.uint64]
    first_totals: NDArray[np.uint64]
    first_rank: NDArray[np.uint64]

    def plus(self, other: Ranks) -> Ranks:
        """Of both pieces."""
        firsts = np.where(self.first_rank == 0, other.first_rank, self.first_rank)
        both = (self.first_rank > 0) & (other.first_rank > 0)
        firsts[both] = np.minimum(self.first_rank, other.first_rank)[both]
        return Ranks(added(self.totals, other.totals), added(self.first_totals, other.first_totals), firsts)


def added(ours: NDArray[np.uint64], theirs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sums of (low, high, ...) words."""
    total = ours + theirs
    total[..., 1] += total[..., 0] < ours[..., 0]
    return total


def walk(checked: Problem, counts: Counts, sums: OrderedSums) -> None:
    """Fill the sums of a second pass in insertion order, for a problem that ``serves`` accepts."""
    fill_ranks(sums, ranks(checked, before(counts.items), before(counts.relevant), sums))


def before(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of counts by distance: those at lesser distances, as ``ranks`` and ``discounts`` take them."""
    return _before(table, _native.rank_cells(table.shape[1] - 1))


def ranks(checked: Problem, seen: NDArray[np.int64], hits: NDArray[np.int64], sums: OrderedSums) -> Ranks:
    """What a piece of the database adds to the stops of sums.

    seen, hits : items and relevant items that stand before the piece's first at each distance
    """
    stops, wanted = sums.stops.astype(np.uint64), sums.wanted.astype(np.uint64)
    # The first stop at or beyond the next rank (number of hits) at each distance.
    segment, first = _places(sums.stops, seen), _places(sums.wanted, hits)
    totals, first_totals = (np.zeros((*(table.shape + np.array([0, 1])), 3), np.uint64) for table in (stops, wanted))
    first_rank = np.zeros(checked.n_queries, np.uint64)
    level, threads, labels = simd_level(), thread_count(checked.threads), query_labels(checked)
    state = (seen.astype(np.uint64), hits.astype(np.uint64), segment, first)
    results = (totals, first_totals, first_rank)
    for piece in pieces(checked, level):
        _native.rank_relevant(level, piece, checked.query, *labels, threads, *state, stops, wanted, *results)
    return Ranks(*results)


def fill_ranks(sums: OrderedSums, found: Ranks) -> None:
    """Write what all pieces collected."""
    sums.hits[:] = np.cumsum(found.totals[:, :-1, 2], axis=1)
    sums.precision[:] = _running_sums(found.totals)
    sums.first_precision[:] = _running_sums(found.first_totals)
    sums.first_rank[:] = found.first_rank


def walk_discounts(checked: Problem, counts: Counts, sums: OrderedSums) -> None:
    """Fill the DCG of such sums, by counts that are by grade; a pass of its own."""
    assert counts.shared is not None
    fill_discounts(sums, counts, discounts(checked, before(counts.items), sums.stops, counts.shared.shape[2]))


def discounts(checked: Problem, seen: NDArray[np.int64], stops: NDArray[np.int64], levels: int) -> NDArray[np.uint64]:
    """Sums of 1 / log2(rank + 1) of a piece's items by grade between two stops, (nq, stops + 1, levels, 2) words."""
    state = (seen.astype(np.uint64), _places(stops, seen), stops.astype(np.uint64))
    found = np.zeros((checked.n_queries, stops.shape[1] + 1, levels, 2), np.uint64)
    level, threads, labels = simd_level(), thread_count(checked.threads), query_labels(checked)
    for piece in pieces(checked, level):
        _native.discount_relevant(level, piece, checked.query, *labels, threads, *state, found)
    return found


def fill_discounts(sums: OrderedSums, counts: Counts, found: NDArray[np.uint64]) -> None:
    """Write the DCG of what all pieces collected."""
    assert counts.shared is not None
    levels = counts.shared.shape[2]
    # no query shares more labels with an item than some do, and what is beyond has no gain
    most = int(np.flatnonzero(counts.shared.any(axis=(0, 1)))[-1]) if counts.shared.any() else 0
    gains = {gain: np.pad(gains_of(np.arange(most + 1), gain), (0, levels - most - 1)) for gain in sums.dcg}
    by_grade = _running_sums(found)
    for gain, of_grade in gains.items():
        sums.dcg[gain][:] = by_grade @ of_grade


def _places(limits: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.uint32]:
    """How many of a row's limits do not exceed each of its numbers."""
    pairs = zip(limits, numbers, strict=True)
    return np.array([np.searchsorted(row, at, side="right") for row, at in pairs], np.uint32).reshape(numbers.shape)


def _before(table: NDArray[np.int64], cells: int) -> NDArray[np.int64]:
    """Sums of the columns before each of ``cells`` columns; those beyond the table are 0."""
    wide = np.pad(table, ((0, 0), (0, cells - table.shape[1])))
    return np.cumsum(wide, axis=1) - wide


def _running_sums(totals: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Over the segments, of (low, high, ...) in units of 2**-52, without the last segment, which no stop ends."""
    return np.cumsum(totals[:, :-1, ..., 0] * 2.0**-52 + totals[:, :-1, ..., 1] * 2.0**12, axis=1)


def pieces(checked: Problem, level: str) -> Iterator[Any]:
    """Sliced pieces of the database, in order."""
    labels, threads = checked.relevance, thread_count(checked.threads)
    assert isinstance(labels, (MultiHotLabels, ClassNumbers))
    class_bits = int(labels.query.max(initial=0) + 1).bit_length() if labels.classes == 0 else 0
    row = checked.database.shape[1] + (labels.classes or 8)  # bytes of an item while its piece is made
    step = min(_native.ITEMS_PER_PIECE, max(512, _PIECE_BYTES // row // 512 * 512))
    for begin in range(0, checked.n_items, step):
        items = slice(begin, min(begin + step, checked.n_items))
        codes = checked.database[items]
        if isinstance(labels, MultiHotLabels):
            yield _native.Piece.of_labels(level, codes, labels.items(items), threads)
        else:
            yield _native.Piece.of_classes(level, codes, labels.items(items), class_bits, threads)
        checked.report(items.stop * checked.n_queries)


def query_labels(checked: Problem) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """Labels of all queries one after the other, and where those of each query begin."""
    labels = checked.relevance
    if isinstance(labels, MultiHotLabels):
        query, label = np.nonzero(labels.query)
        begin = np.concatenate(([0], np.cumsum(np.bincount(query, minlength=checked.n_queries))))
        return label.astype(np.uint32), begin.astype(np.uint64)
    assert isinstance(labels, ClassNumbers)
    return labels.query.astype(np.uint32), np.arange(checked.n_queries + 1, dtype=np.uint64)
