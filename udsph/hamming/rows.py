"""A segment of packed rows: what ``_native.Segment`` is, for the backends without native code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.reference import BLOCK, slice_codes, unslice_codes

Words = NDArray[np.uint64]

_FULL = 65536  # codes of a segment that is not extended any more, since that copies them


class Rows:
    """Packed codes, searched by the functions of a module (``reference`` or ``jit``); see ``segments.Segment``."""

    def __init__(self, bits: int, operations: Any, codes: NDArray[np.uint8] | None = None) -> None:
        self.bits = bits
        self._operations = operations
        self._codes = np.empty((0, (bits + 7) // 8), np.uint8) if codes is None else codes

    @classmethod
    def map(cls, bits: int, n: int, words: Words, operations: Any) -> Rows:
        """Take n codes from sliced blocks."""
        return cls(bits, operations, unslice_codes(words.reshape(-1, bits * 8), bits, n))

    @staticmethod
    def joined(parts: Sequence[Any]) -> None:
        """Rows are not joined: that would copy them."""

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""
        return self._codes.nbytes

    @property
    def full(self) -> bool:
        """Whether more codes should begin a segment of their own."""
        return len(self) >= _FULL

    def __len__(self) -> int:
        return len(self._codes)

    def extended(self, rows: NDArray[np.uint8]) -> Rows:
        """These and more codes."""
        return Rows(self.bits, self._operations, np.concatenate([self._codes, rows]))

    def search(
        self, queries: NDArray[np.uint8], k: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Distances and positions of the k nearest."""
        rows = np.atleast_2d(queries)
        near, positions = self._operations.search(rows, self._codes, k, self._mask(allowed), threads)
        return (near, positions) if queries.ndim == 2 else (near[0], positions[0])

    def range_search(
        self, queries: NDArray[np.uint8], radius: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """Offsets, distances and positions of all codes within the radius."""
        rows = np.atleast_2d(queries)
        return self._operations.range_search(rows, self._codes, radius, self._mask(allowed), threads)

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Packed rows at these positions."""
        if positions.size and (positions.min() < 0 or positions.max() >= len(self)):
            raise IndexError("a position is beyond the codes")
        return self._codes[positions]

    def words(self, begin: int, end: int) -> Words:
        """The blocks [begin, end) in slices."""
        return slice_codes(self._codes[BLOCK * begin : BLOCK * end], self.bits)

    def _mask(self, words: Words | None) -> Any:
        if words is None:
            return None
        needed = -(-len(self) // BLOCK) * (BLOCK // 64)
        if len(words) != needed:
            raise ValueError(f"allowed has {len(words)} words, the segment needs {needed}")
        return np.unpackbits(words.view(np.uint8), count=len(self), bitorder="little").astype(bool)
