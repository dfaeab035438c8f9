"""A run of an index's positions as a snapshot of its own, which lies in the same memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import backend
from udsph.hamming.filters import BLOCK, Alive, Bitmap, Words, words_of_mask, words_of_positions
from udsph.hamming.ids import Ids, Unknown
from udsph.hamming.multi import Multi
from udsph.hamming.names import Column, Integers, Strings
from udsph.hamming.segments import Segment, Snapshot
from udsph.hamming.where import Few

Positions = NDArray[np.int64]

_FEW = 256  # as in udsph.hamming.where: fewer than one in so many are searched by themselves


class Bits(NamedTuple):
    """A filter: a bit per code that is there, in insertion order, packed in little order."""

    data: NDArray[np.uint8]
    n: int

    def between(self, begin: int, end: int) -> Bits:
        """Those of a run of codes."""
        return Bits(cut_bits(self.data, begin, end), end - begin)


class Ranks(NamedTuple):
    """A filter: few codes by their places among those that are there, ascending."""

    places: Positions

    def between(self, begin: int, end: int) -> Ranks:
        """Those within a run of codes, counted from where it begins."""
        first, last = np.searchsorted(self.places, [begin, end])
        return Ranks(self.places[first:last] - begin)


Filter = Bits | Ranks | None


class Part(Snapshot):
    """Some positions of an index. A search gives positions within the part; ``names`` are the ids.

    A code that is there has a **rank**: its place among those that were not removed.
    """

    def __init__(self, whole: Snapshot, names: Ids | None = None) -> None:
        super().__init__(whole.empty, whole.segments, Ids(whole.n), whole.alive)
        self.names = whole.ids if names is None else names
        self._living: Positions | None = None

    def allowed(self, where: Any, unknown: Unknown) -> Words | Few | None:
        """What a filter lets through."""
        if where is None:
            return self.alive_words()
        if isinstance(where, Ranks):
            positions = self.at_ranks(where.places)
            return Few(positions) if _FEW * len(positions) <= self.n else words_of_positions(positions, self.n)
        bits = Bitmap(where.data, where.n)
        if self.alive is None:
            return bits.words()
        mask = self.alive.mask(0, self.n)
        mask[mask] = bits.mask()
        return words_of_mask(mask)

    def at_ranks(self, ranks: Positions) -> Positions:
        """Positions of the codes that are there, by rank."""
        return ranks if self.alive is None else self.living()[ranks]

    def ranks_of(self, positions: Positions) -> Positions:
        """Ranks of positions that hold a code."""
        return positions if self.alive is None else np.searchsorted(self.living(), positions)

    def living(self) -> Positions:
        """Positions that hold a code, kept once asked for."""
        if self._living is None:
            self._living = self.positions()
        return self._living

    def with_tables(self, threads: int) -> Part:
        """The same with tables over its codes, where they help (``Index.optimize``)."""
        from udsph.hamming.index import Index
        from udsph.hamming.storage import Contents

        index = Index._of(Contents("little", Snapshot(self.empty, self.segments, Ids(self.n), self.alive)))
        index.optimize(threads=threads, new_only=True)  # so that positions stay
        return Part(index._snapshot, self.names)


def between(whole: Snapshot, begin: int, end: int) -> Part:
    """The positions from ``begin``, a whole block, to ``end``, another or the last."""
    if begin == 0 and end == whole.n:
        return Part(whole)
    segments, base = [], 0
    for segment in whole.segments:
        low, high = max(0, begin - base), min(len(segment), end - base)
        if low < high:
            segments.append(_cut(segment, low, high))
        base += len(segment)
    alive = None if whole.alive is None else alive_between(whole.alive, begin, end)
    return Part(Snapshot(whole.empty, tuple(segments), Ids(end - begin), alive), _ids_between(whole.ids, begin, end))


def alive_between(alive: Alive, begin: int, end: int) -> Alive | None:
    """Which of the positions from ``begin``, a whole byte, to ``end`` still hold a code; None: all."""
    data = np.packbits(alive.mask(begin, end), bitorder="little")
    here = int(np.bitwise_count(data).sum()) if hasattr(np, "bitwise_count") else int(np.unpackbits(data).sum())
    return None if here == end - begin else Alive(data, end - begin, end - begin - here)


def cut_bits(data: NDArray[np.uint8], begin: int, end: int) -> NDArray[np.uint8]:
    """Bits from ``begin`` to ``end`` of packed ones, packed from bit 0 on; bits beyond the last are of no meaning."""
    first, shift = divmod(begin, 8)
    count = (end - begin + 7) // 8
    if shift == 0:
        return data[first : first + count]
    low = data[first : first + count] >> np.uint8(shift)
    high = data[first + 1 : first + 1 + count]
    low[: len(high)] |= high << np.uint8(8 - shift)
    return low


def _cut(segment: Segment, low: int, high: int) -> Segment:
    if low == 0 and high == len(segment):
        return segment
    if isinstance(segment, Multi):
        segment = segment.segment
    first, last = low // BLOCK, -(-high // BLOCK)
    if hasattr(segment, "part"):
        return segment.part(first, last)
    return backend.map_segment(segment.bits, high - low, segment.words(first, last))


def _ids_between(ids: Ids, begin: int, end: int) -> Ids:
    """Ids of a run of positions; those that are positions are counted from where the run begins."""
    cut = Ids(end - begin, custom=ids.custom, next_id=end - begin, multi=ids.multi)
    if ids.positional:
        return cut
    column: Column | None = None
    base = 0
    for chunk in ids.columns():
        low, high = max(0, begin - base), min(len(chunk), end - base)
        if low < high:
            piece = _column_between(chunk, low, high)
            column = piece if column is None else type(piece).joined([column, piece])
        base += len(chunk)
    return Ids(end - begin, column, custom=ids.custom, next_id=ids.next_id, multi=ids.multi)


def _column_between(column: Column, low: int, high: int) -> Column:
    if isinstance(column, Integers):
        return Integers(column.values[low:high])
    first, last = int(column.offsets[low]), int(column.offsets[high])
    return Strings(column.offsets[low : high + 1] - first, column.data[first:last])
