"""Codes that never change, and what a search sees of an index.

A **segment** is immutable; adding codes gives another that shares its memory. A **snapshot** is a tuple of segments,
the positions that still hold a code, and the ids: one state of an index. Whoever holds a snapshot reads it without a
lock and without regard to what happens to the index meanwhile; a change makes a new snapshot and publishes it by one
assignment.

Positions count the codes of all segments from 0, removed ones included. Every segment but the last ends with a whole
block of 512 codes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.filters import BLOCK, Alive, Words
from udsph.hamming.ids import Ids, Unknown
from udsph.hamming.multi import join_native
from udsph.hamming.names import Column, check_ids
from udsph.hamming.results import NO_ID, RangeResult, SearchResult, merge_range, merge_search
from udsph.hamming.where import Few, resolve
from udsph.threads import thread_count

Codes = NDArray[np.uint8]
Positions = NDArray[np.int64]
Duplicates = Literal["error", "keep", "replace"]

_WORTH_THREADS = 1 << 27  # bits compared, below which native code starts no second thread (csrc/hamming/job.cpp)
_BYTES_PER_STEP = 1 << 24  # of codes that are copied or written at a time


class Segment(Protocol):
    """Codes of one width that never change. ``tests/hamming/test_segments.py`` is the contract of every kind.

    Codes and queries are C-contiguous packed rows (n, bytes) uint8, queries also one row (bytes,), whose nearest are
    (k,); positions are those within the segment. ``allowed`` has a bit per code in 64-bit words, padded to whole
    blocks; another length is a ``ValueError``.
    """

    @property
    def bits(self) -> int:
        """Width of a code."""

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""

    @property
    def full(self) -> bool:
        """Whether more codes should begin a segment of their own."""

    def __len__(self) -> int: ...

    def extended(self, rows: Codes) -> Segment:
        """A segment with more codes at its end; this one stays as it is."""

    def search(
        self, queries: Codes, k: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int32], Positions]:
        """Distances and positions of the k nearest, (nq, k), sorted by (distance, position) and padded."""

    def range_search(
        self, queries: Codes, radius: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], Positions]:
        """Offsets, distances and positions of all codes within the radius."""

    def read(self, positions: Positions) -> Codes:
        """Packed rows at positions."""

    def words(self, begin: int, end: int) -> Words:
        """The blocks [begin, end) in slices, (blocks, bits * 8)."""

    @staticmethod
    def joined(parts: Sequence[Any]) -> Any:
        """One segment of several of this kind, or None where that would copy the codes."""


class Snapshot:
    """One state of an index."""

    def __init__(
        self,
        empty: Segment,
        segments: tuple[Segment, ...],
        ids: Ids,
        alive: Alive | None = None,
        closings: int = 0,
    ) -> None:
        self.empty = empty  # what a new segment is made from
        self.segments = segments
        self.ids = ids
        self.alive = alive  # None: all
        self.closings = closings  # how often the positions of this index have closed up
        self.n = sum(map(len, segments))  # positions
        self._searched: tuple[tuple[Segment, int], ...] | None = None
        self._together: Any = None
        self._alive_words: Words | None = None

    @property
    def bits(self) -> int:
        """Width of the codes."""
        return self.empty.bits

    @property
    def nbytes(self) -> int:
        """Bytes of codes, ids and the positions in use."""
        alive = 0 if self.alive is None else self.alive.nbytes
        return sum(segment.nbytes for segment in self.segments) + self.ids.nbytes + alive

    def __len__(self) -> int:
        return self.n - (0 if self.alive is None else self.alive.dead)

    def search(self, queries: Codes, k: int, where: Any, threads: int, unknown: Unknown = "error") -> SearchResult:
        """The k nearest codes, by id."""
        allowed = None if where is None and self.alive is None else self.allowed(where, unknown)
        searched = self._searched or self.searched()
        if isinstance(allowed, Few):
            near, places = self.segment_of(allowed.positions).search(queries, k, None, threads)
            positions = np.full(places.shape, NO_ID, np.int64)
            found = places >= 0
            positions[found] = allowed.positions[places[found]]
        elif len(searched) == 1:
            near, positions = searched[0][0].search(queries, k, allowed, threads)
        elif (together := self._together or self.together()) is not None:
            near, positions = together.search(queries, k, allowed, threads)
        else:
            parts = [part.search(queries, k, words, threads) for part, words in self.parts(allowed)]
            near, positions = merge_search(parts, [base for _, base in searched])
        return SearchResult(near, positions if self.ids.positional else self.ids.at(positions))

    def range_search(
        self, queries: Codes, radius: int, where: Any, threads: int, unknown: Unknown = "error"
    ) -> RangeResult:
        """All codes within the radius, by id."""
        allowed = None if where is None and self.alive is None else self.allowed(where, unknown)
        searched = self._searched or self.searched()
        if isinstance(allowed, Few):
            offsets, near, places = self.segment_of(allowed.positions).range_search(queries, radius, None, threads)
            positions = allowed.positions[places]
        elif len(searched) == 1:
            offsets, near, positions = searched[0][0].range_search(queries, radius, allowed, threads)
        elif (together := self._together or self.together()) is not None:
            offsets, near, positions = together.range_search(queries, radius, allowed, threads)
        else:
            parts = [part.range_search(queries, radius, words, threads) for part, words in self.parts(allowed)]
            offsets, near, positions = merge_range(parts, [base for _, base in searched])
        return RangeResult(offsets, near, positions if self.ids.positional else self.ids.at(positions))

    def threads(self, queries: Codes, asked: int | None) -> int:
        """Threads for these queries; where there is work for one only, the environment is not looked at."""
        if asked is None and queries.size * 8 * self.n < _WORTH_THREADS:
            return 1
        return thread_count(asked)

    def read(self, ids: Any) -> Codes:
        """Packed rows of ids."""
        return self.read_positions(self.ids.positions(check_ids(ids), self.alive))

    def extended(self, rows: Codes, ids: Any) -> Snapshot:
        """This state and more codes."""
        named = self.ids.extended(len(rows), ids, self.alive)
        if len(rows) == 0:
            return type(self)(self.empty, self.segments, named, self.alive, self.closings)
        return type(self)(self.empty, extended(self.segments, self.empty, rows), named, self.alive, self.closings)

    def without(self, ids: Any, unknown: Unknown = "error") -> Snapshot:
        """This state less the codes of these ids; where less than half of the positions hold a code, they close up."""
        gone = self.ids.positions(check_ids(ids), self.alive, unknown=unknown)
        if len(gone) == 0:
            return self
        alive = Alive.without(self.alive, self.n, gone)
        rest = type(self)(self.empty, self.segments, self.ids, alive, self.closings)
        return rest.compacted() if 2 * alive.dead > self.n else rest

    def cleared(self) -> Snapshot:
        """A state without codes, whose positions begin anew."""
        return type(self)(self.empty, (), self.ids.cleared(), None, self.closings + 1)

    def merged(self, other: Snapshot, duplicates: Duplicates) -> Snapshot:
        """This state and the codes of another."""
        places = other.positions()
        if len(places) == 0:
            return self
        ours, theirs = self.ids.kind if len(self) else None, other.ids.kind
        if ours is not None and ours != theirs:
            kinds = [kind if kind != "positions" else "positions of their codes" for kind in (ours, theirs)]
            raise TypeError(f"the ids of this index are {kinds[0]}, those of the other {kinds[1]}; give all one kind")
        if theirs == "positions":
            return self.extended(other.read_positions(places), None)
        base, ids = self, other.ids.column().subset(places).array()
        if not self.ids.multi and duplicates != "error" and len(self):
            both, _ = self.ids.lookup(check_ids(ids), self.alive)
            if duplicates == "replace":
                base = self.without(ids[both])
            else:
                places, ids = np.delete(places, both), np.delete(ids, both)
        return base.extended(other.read_positions(places), ids)

    def shared(self) -> Snapshot:
        """The same state for another index, which goes its own way."""
        return type(self)(self.empty, self.segments, self.ids.shared(self.alive), self.alive, self.closings)

    def compacted(self) -> Snapshot:
        """The same codes and ids without positions that hold none."""
        if self.alive is None:
            return self
        kept = self.positions()
        segments: tuple[Segment, ...] = ()
        for rows in self._rows(kept):
            segments = extended(segments, self.empty, rows)
        return type(self)(self.empty, segments, self.ids.subset(kept), None, self.closings + 1)

    def column(self) -> Column:
        """The ids of all codes."""
        column = self.ids.column()
        return column if self.alive is None else column.subset(self.positions())

    def positions(self) -> Positions:
        """Positions that hold a code."""
        return np.arange(self.n) if self.alive is None else np.flatnonzero(self.alive.mask(0, self.n))

    def blocks(self) -> Iterator[Words]:
        """The codes in slices, without those removed: pieces (blocks, bits * 8) that fit in memory."""
        step = max(1, _BYTES_PER_STEP // (self.bits * (BLOCK // 8)))
        if self.alive is None and all(len(segment) % BLOCK == 0 for segment in self.segments[:-1]):
            for segment in self.segments:
                count = -(-len(segment) // BLOCK)
                for begin in range(0, count, step):
                    yield segment.words(begin, min(begin + step, count))
        else:
            for rows in self._rows(self.positions()):
                yield self.empty.extended(rows).words(0, -(-len(rows) // BLOCK))

    def _rows(self, positions: Positions) -> Iterator[Codes]:
        """Packed rows in steps of whole blocks."""
        step = max(1, _BYTES_PER_STEP // (self.bits * (BLOCK // 8))) * BLOCK
        for begin in range(0, len(positions), step):
            yield self.read_positions(positions[begin : begin + step])

    def read_positions(self, positions: Positions) -> Codes:
        """Packed rows at positions."""
        searched = self._searched or self.searched()
        if len(searched) == 1:
            return searched[0][0].read(positions)
        rows = np.empty((len(positions), (self.bits + 7) // 8), np.uint8)
        owners = np.searchsorted([base for _, base in searched], positions, side="right") - 1
        for owner in np.unique(owners):
            part, base = searched[owner]
            here = np.flatnonzero(owners == owner)
            rows[here] = part.read(positions[here] - base)
        return rows

    def segment_of(self, positions: Positions) -> Segment:
        """A segment of the codes at these positions."""
        return self.empty.extended(self.read_positions(positions))

    def searched(self) -> tuple[tuple[Segment, int], ...]:
        """The segments that a search goes through, as few as share their memory, and the positions where they begin."""
        if self._searched is None:
            parts: list[Segment] = []
            for kind, group in itertools.groupby(self.segments or (self.empty,), type):
                alike = list(group)
                joined = kind.joined(alike) if len(alike) > 1 else None  # type: ignore[attr-defined]
                parts.extend(alike if joined is None else [joined])
            bases = itertools.accumulate(map(len, parts[:-1]), initial=0)
            self._searched = tuple(zip(parts, bases, strict=True))
        return self._searched

    def together(self) -> Any:
        """All that a search goes through as one native object, which tells each part what the ones before it found.

        None where not all of them are native.
        """
        if self._together is None:
            self._together = join_native(self.empty, [part for part, _ in self.searched()])
        return self._together

    def parts(self, allowed: Words | None) -> Iterator[tuple[Segment, Words | None]]:
        """The segments that a search goes through, each with its piece of the filter."""
        for part, base in self.searched():
            first = base // 64
            yield part, None if allowed is None else allowed[first : first + -(-len(part) // BLOCK) * (BLOCK // 64)]

    def allowed(self, where: Any, unknown: Unknown) -> Words | Few | None:
        """What a caller's filter lets through; None: all."""
        return resolve(self, where, unknown)

    def alive_words(self) -> Words | None:
        """A bit per position that holds a code; None: all."""
        if self.alive is not None and self._alive_words is None:
            self._alive_words = self.alive.words(self.n)
        return self._alive_words


def extended(segments: tuple[Segment, ...], empty: Segment, rows: Codes) -> tuple[Segment, ...]:
    """Segments and more codes: the last one takes them until it is full and ends with a whole block."""
    if len(rows) == 0:
        return segments
    sealed, last = (segments, empty) if not segments or segments[-1].full else (segments[:-1], segments[-1])
    whole = len(rows) - (len(last) + len(rows)) % BLOCK  # rows up to the last whole block
    if whole > 0:
        last = last.extended(rows[:whole])
        if last.full and whole < len(rows):
            return (*sealed, last, empty.extended(rows[whole:]))
        rows = rows[whole:]
    return (*sealed, last.extended(rows) if len(rows) else last)
