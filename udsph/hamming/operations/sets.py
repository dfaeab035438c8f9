"""Codes as sets of bits that never change, and the searches of one such part; ``similarity`` puts them together.

The native search and the order that it needs are explained in ``csrc/hamming/similarity.h``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.filters import BLOCK, Words, words_of_mask
from udsph.hamming.ids import Unknown
from udsph.hamming.reference import POPCOUNT
from udsph.hamming.segments import Snapshot
from udsph.hamming.where import Few

Codes = NDArray[np.uint8]
Weights = tuple[float, float]

NO_SIMILARITY = -1.0
MOST_CODES = 1 << 34  # places of a key; see similarity.cpp

_ROWS_PER_STEP = 1 << 13
_PAIRS_PER_STEP = 1 << 22  # similarities held at a time, without native code


class Part(Protocol):
    """Codes of one width that never change. ``mask`` has a boolean for every position of the index, or is None."""

    begin: int  # position of the first code

    @property
    def nbytes(self) -> int:
        """Bytes of the codes and their order."""

    def __len__(self) -> int: ...

    def rows(self) -> Codes:
        """The codes in insertion order."""

    def read(self, positions: NDArray[np.int64]) -> Codes:
        """Codes at positions of this part."""

    def search(
        self, queries: Codes, k: int, threshold: float, weights: Weights, mask: Any, threads: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Similarities and positions of the k most similar, sorted and padded, each (nq, k)."""

    def range_search(
        self, queries: Codes, threshold: float, weights: Weights, mask: Any, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        """Offsets, similarities and positions of all that are similar enough, sorted per query."""


def make_part(bits: int, rows: Codes, begin: int) -> Part:
    """A part of the backend in use."""
    return NativePart(bits, rows, begin) if backend.name() == "native" else RowsPart(bits, rows, begin)


def similarities_of(queries: Codes, codes: Codes, weights: Weights) -> NDArray[np.float64]:
    """Similarities of packed rows, (nq, n): the reference for the native search."""
    ours, theirs = (np.unpackbits(rows, axis=1).astype(np.float32) for rows in (queries, codes))
    shared = (ours @ theirs.T).astype(np.float64)  # whole numbers below 2**24: exact
    a, b = ours.sum(axis=1, dtype=np.float64)[:, None], theirs.sum(axis=1, dtype=np.float64)[None]
    whole = shared + weights[0] * (a - shared) + weights[1] * (b - shared)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


class RowsPart:
    """A part in NumPy."""

    def __init__(self, bits: int, rows: Codes, begin: int) -> None:
        self.bits = bits
        self.begin = begin
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes

    def rows(self) -> Codes:
        return self._rows

    def read(self, positions: NDArray[np.int64]) -> Codes:
        return self._rows[positions]

    def search(
        self, queries: Codes, k: int, threshold: float, weights: Weights, mask: Any, threads: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        similarities = np.full((len(queries), k), NO_SIMILARITY, np.float32)
        positions = np.full((len(queries), k), -1, np.int64)
        offsets, found, places = self.range_search(queries, threshold, weights, mask, threads)
        for q, (begin, end) in enumerate(itertools.pairwise(offsets)):
            end = min(end, begin + k)
            similarities[q, : end - begin] = found[begin:end]
            positions[q, : end - begin] = places[begin:end]
        return similarities, positions

    def range_search(
        self, queries: Codes, threshold: float, weights: Weights, mask: Any, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        offsets = np.zeros(len(queries) + 1, np.int64)
        found, places = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        own = None if mask is None else mask[self.begin : self.begin + len(self)]
        step = max(1, _PAIRS_PER_STEP // max(1, len(self)))
        for begin in range(0, len(queries), step):
            matrix = similarities_of(queries[begin : begin + step], self._rows, weights)
            for q, row in enumerate(matrix, begin):
                near = np.flatnonzero(row >= threshold if own is None else (row >= threshold) & own)
                value = row[near].astype(np.float32)
                order = np.argsort(-value, kind="stable")
                found.append(value[order])
                places.append(near[order] + self.begin)
                offsets[q + 1] = offsets[q] + len(near)
        return offsets, np.concatenate(found), np.concatenate(places)


class NativePart:
    """A part in native code: the codes in slices, in the order of their number of bits."""

    def __init__(self, bits: int, rows: Codes, begin: int) -> None:
        sizes = np.empty(len(rows), np.uint32)
        for first in range(0, len(rows), _ROWS_PER_STEP):
            step = slice(first, first + _ROWS_PER_STEP)
            POPCOUNT[rows[step]].sum(axis=1, dtype=np.uint32, out=sizes[step])
        order = np.argsort(sizes, kind="stable")
        self.bits = bits
        self.begin = begin
        self._sizes = sizes[order]
        self._positions = order + begin
        self._segment = backend.module().Segment(bits).extended(rows[order])

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def nbytes(self) -> int:
        return self._segment.nbytes + self._sizes.nbytes + self._positions.nbytes

    def rows(self) -> Codes:
        rows = np.empty((len(self), (self.bits + 7) // 8), np.uint8)
        rows[self._positions - self.begin] = self._segment.read(np.arange(len(self)))
        return rows

    def read(self, positions: NDArray[np.int64]) -> Codes:
        places = np.empty(len(self), np.int64)
        places[self._positions - self.begin] = np.arange(len(self))
        return self._segment.read(places[positions])

    def search(
        self, queries: Codes, k: int, threshold: float, weights: Weights, mask: Any, threads: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return backend.module().most_similar(
            self._segment, self._sizes, self._positions, queries, k, threshold, *weights, self._allowed(mask), threads
        )

    def range_search(
        self, queries: Codes, threshold: float, weights: Weights, mask: Any, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        return backend.module().all_similar(
            self._segment, self._sizes, self._positions, queries, threshold, *weights, self._allowed(mask), threads
        )

    def _allowed(self, mask: NDArray[np.bool_] | None) -> NDArray[np.uint64] | None:
        return None if mask is None else words_of_mask(mask[self._positions])


class Sets(Snapshot):
    """One state of a ``SimilarityIndex``: a snapshot whose segments are parts."""

    def extended(self, rows: Codes, ids: Any) -> Snapshot:
        """This state and more codes.

        Parts of similar size become one: codes are moved a few times each, and searches go through few parts.
        """
        named, parts = self.ids.extended(len(rows), ids, self.alive), self.segments
        if self.n + len(rows) > MOST_CODES:
            raise InputError(f"codes must be {MOST_CODES} at most, got {self.n + len(rows)}")
        if len(rows):
            while parts and len(parts[-1]) <= 2 * len(rows):
                rows, parts = np.concatenate([parts[-1].rows(), rows]), parts[:-1]  # type: ignore[attr-defined]
            parts = (*parts, make_part(self.bits, rows, sum(map(len, parts))))  # type: ignore[arg-type]
        return Sets(self.empty, parts, named, self.alive, self.closings)

    def compacted(self) -> Snapshot:
        """The same codes and ids without positions that hold none, in one part."""
        if self.alive is None:
            return self
        kept = self.positions()
        parts = (make_part(self.bits, self.read_positions(kept), 0),) if len(kept) else ()
        return Sets(self.empty, parts, self.ids.subset(kept), None, self.closings + 1)  # type: ignore[arg-type]

    @staticmethod
    def of(snapshot: Snapshot) -> Sets:
        """The codes and ids of any snapshot in this order."""
        kept, parts = snapshot.positions(), ()
        if len(kept):
            parts = (make_part(snapshot.bits, snapshot.read_positions(kept), 0),)  # type: ignore[assignment]
        ids = snapshot.ids if snapshot.alive is None else snapshot.ids.subset(kept)
        return Sets(snapshot.empty, parts, ids, None, snapshot.closings)

    def blocks(self) -> Iterator[Words]:
        """The codes in slices and in insertion order, without those removed, in pieces."""
        for rows in self._rows(self.positions()):
            yield self.empty.extended(rows).words(0, -(-len(rows) // BLOCK))

    def read_positions(self, positions: NDArray[np.int64]) -> Codes:
        """Packed rows at positions."""
        rows, begin = np.empty((len(positions), (self.bits + 7) // 8), np.uint8), 0
        for part in self.segments:
            here = (positions >= begin) & (positions < begin + len(part))
            if here.any():
                rows[here] = part.read(positions[here] - begin)
            begin += len(part)
        return rows

    def mask(self, where: Any, unknown: Unknown) -> NDArray[np.bool_] | None:
        """One boolean per position that may be returned, or None: all."""
        allowed = self.allowed(where, unknown)
        if isinstance(allowed, Few):
            mask = np.zeros(self.n, np.bool_)
            mask[allowed.positions] = True
            return mask
        return (
            None
            if allowed is None
            else np.unpackbits(allowed.view(np.uint8), count=self.n, bitorder="little").view(bool)
        )
