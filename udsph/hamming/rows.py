"""Codes kept as packed rows: what ``_native.Blocks`` is, for the backends without native code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.reference import slice_codes, unslice_codes

Words = NDArray[np.uint64]


class Rows:
    """Packed codes, searched by the functions of a module (``reference`` or ``jit``).

    The methods are those of ``_native.Blocks``. A bitmap is an array of words; bit i of the whole is for position i.
    """

    def __init__(self, bits: int, operations: Any) -> None:
        self.bits = bits
        self._operations = operations
        self._parts = [np.empty((0, (bits + 7) // 8), np.uint8)]

    @classmethod
    def map(cls, bits: int, n: int, words: Words, operations: Any) -> Rows:
        """Take n codes from sliced blocks."""
        rows = cls(bits, operations)
        rows.append(unslice_codes(words.reshape(-1, bits * 8), bits, n))
        return rows

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""
        return self._all().nbytes

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def append(self, codes: NDArray[np.uint8]) -> None:
        """Append packed rows."""
        self._parts = [*self._parts, codes.copy()]

    def search(
        self, queries: NDArray[np.uint8], k: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Distances and positions of the k nearest."""
        codes = self._all()
        return self._operations.top_k(queries, codes, k, _mask(allowed, len(codes)), threads)

    def range_search(
        self, queries: NDArray[np.uint8], radius: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """Offsets, distances and positions of all codes within the radius."""
        codes = self._all()
        return self._operations.within(queries, codes, radius, _mask(allowed, len(codes)), threads)

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Packed rows at these positions."""
        return self._all()[positions]

    def subset(self, keep: Words) -> Rows:
        """A copy of the codes whose bit is set."""
        codes = self._all()
        kept = Rows(self.bits, self._operations)
        kept.append(codes[_mask(keep, len(codes))])
        return kept

    def words(self, begin: int, end: int) -> Words:
        """The blocks [begin, end) in slices."""
        return slice_codes(self._all()[512 * begin : 512 * end], self.bits)

    def _all(self) -> NDArray[np.uint8]:
        parts = self._parts
        if len(parts) > 1:
            parts = self._parts = [np.concatenate(parts)]
        return parts[0]


def _mask(words: Words | None, n: int) -> Any:
    if words is None:
        return None
    return np.unpackbits(words.view(np.uint8), count=n, bitorder="little").astype(bool)
