"""Which codes a search may return: those not removed, and of these a mask, a bitmap, or ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.hamming.arrays import as_array

BLOCK = 512  # codes in a block of the sliced layout

Words = NDArray[np.uint64]


class Bitmap:
    """One bit per code, by insertion position: bit ``i % 8`` of byte ``i // 8`` allows code i.

    Parameters
    ----------
    data : ((n + 7) // 8,) uint8
        Is copied.
    n : int
        Number of codes; bits beyond them are ignored.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, dimension or length.
    """

    def __init__(self, data: Any, n: int) -> None:
        array = as_array(data, "data")
        if array.dtype != np.uint8:
            raise TypeError(f"data of a Bitmap must have dtype uint8, got {array.dtype}")
        n = check_int(n, "n", 0)
        if array.shape != ((n + 7) // 8,):
            raise ValueError(f"data of a Bitmap of {n} codes must have shape ({(n + 7) // 8},), got {array.shape}")
        self.data = array.copy()
        self.data.flags.writeable = False
        self.n = n
        self._words: Words | None = None

    @classmethod
    def from_mask(cls, mask: Any) -> Bitmap:
        """The bitmap of a boolean mask, (n,)."""
        array = as_array(mask, "mask")
        if array.dtype != np.bool_ or array.ndim != 1:
            raise TypeError(f"a mask must be one-dimensional and boolean, got shape {array.shape}, dtype {array.dtype}")
        return cls(np.packbits(array, bitorder="little"), len(array))

    def __len__(self) -> int:
        return self.n

    def mask(self) -> NDArray[np.bool_]:
        """One boolean per code."""
        return np.unpackbits(self.data, count=self.n, bitorder="little").view(np.bool_)

    def words(self) -> Words:
        """The bits as 64-bit words, padded to whole blocks of 512 codes: made once, for all searches that filter so."""
        if self._words is None:
            self._words = _padded(self.data, self.n)
        return self._words


class Alive:
    """Which positions still hold a code: those beyond ``n`` do. Never changes; ``without`` gives another."""

    def __init__(self, data: NDArray[np.uint8], n: int, dead: int) -> None:
        self._data = data
        self.n = n
        self.dead = dead  # positions that hold none

    @property
    def nbytes(self) -> int:
        """Bytes of the bitmap."""
        return self._data.nbytes

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether positions hold a code; -1 does not."""
        inside = np.minimum(positions, self.n - 1)
        bits = self._data[inside >> 3] >> (inside & 7).astype(np.uint8) & 1
        return (positions >= self.n) | (bits.astype(np.bool_) & (positions >= 0))

    def holds(self, position: int) -> bool:
        """Whether one position, 0 or more, holds a code."""
        return position >= self.n or bool(self._data[position >> 3] >> (position & 7) & 1)

    def mask(self, begin: int, end: int) -> NDArray[np.bool_]:
        """One boolean per position from ``begin`` to ``end``."""
        return self.at(np.arange(begin, end))

    def words(self, n: int) -> Words:
        """The bits of n positions as words, padded to whole blocks."""
        words = _padded(self._data, max(n, self.n))
        if n > self.n:
            mask = np.packbits(np.arange(self.n // 8 * 8, n) >= self.n, bitorder="little")
            words.view(np.uint8)[self.n // 8 : self.n // 8 + len(mask)] |= mask
        return words

    @staticmethod
    def without(before: Alive | None, n: int, positions: NDArray[np.int64]) -> Alive:
        """Of n positions those that were alive ``before`` (None: all), less these."""
        data = (
            np.full((n + 7) // 8, 255, np.uint8) if before is None else before.words(n).view(np.uint8)[: (n + 7) // 8]
        )
        gone = np.unique(positions)
        np.bitwise_and.at(data, gone >> 3, ~(np.uint8(1) << (gone & 7).astype(np.uint8)))
        return Alive(data, n, len(gone) + (0 if before is None else before.dead))


def words_of_positions(positions: NDArray[np.int64], n: int) -> Words:
    """Words with a bit per position of n, set at these."""
    words = np.zeros(_word_count(n), np.uint64)
    np.bitwise_or.at(words.view(np.uint8), positions >> 3, np.uint8(1) << (positions & 7).astype(np.uint8))
    return words


def words_of_mask(mask: NDArray[np.bool_]) -> Words:
    """Words with a bit per entry of a mask, padded to whole blocks."""
    return _padded(np.packbits(mask, bitorder="little"), len(mask))


def _word_count(n: int) -> int:
    return -(-n // BLOCK) * (BLOCK // 64)


def _padded(data: NDArray[np.uint8], n: int) -> Words:
    words = np.zeros(_word_count(n), np.uint64)
    words.view(np.uint8)[: len(data)] = data
    return words
