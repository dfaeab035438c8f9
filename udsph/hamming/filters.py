"""Which codes a search may return: a mask, a bitmap, or ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.codes import as_array
from udsph.hamming.ids import Ids, check_ids

BLOCK = 512


class Bitmap:
    """One bit per code, by insertion position: bit ``i % 8`` of byte ``i // 8`` allows code i.

    Parameters
    ----------
    data : ((n + 7) // 8,) uint8
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
        if n < 0 or array.shape != ((n + 7) // 8,):
            raise ValueError(f"data of a Bitmap of {n} codes must have shape ({(n + 7) // 8},), got {array.shape}")
        self.data = np.ascontiguousarray(array)
        self.n = int(n)

    @classmethod
    def from_mask(cls, mask: Any) -> Bitmap:
        """The bitmap of a boolean mask, (n,)."""
        array = as_array(mask, "mask")
        if array.dtype != np.bool_ or array.ndim != 1:
            raise TypeError(f"a mask must be one-dimensional and boolean, got shape {array.shape}, dtype {array.dtype}")
        return cls(np.packbits(array, bitorder="little"), len(array))

    def __len__(self) -> int:
        return self.n

    def words(self) -> NDArray[np.uint64]:
        """The bits as 64-bit words, padded to whole blocks of 512 codes."""
        padded = np.zeros(-(-self.n // BLOCK) * (BLOCK // 8), np.uint8)
        padded[: len(self.data)] = self.data
        return padded.view("<u8")


def as_words(where: Any, size: int, ids: Ids) -> NDArray[np.uint64] | None:
    """Turn the argument ``where`` of a search into words with a bit per code.

    Raises
    ------
    TypeError, ValueError
        A mask or bitmap of another length than the index, an unknown id, or something else.
    """
    if where is None:
        return None
    if not isinstance(where, Bitmap):
        array = as_array(where, "where")
        if array.dtype == np.bool_:
            if array.shape != (size,):
                raise ValueError(f"where must have shape ({size},), one entry per code, got {array.shape}")
            where = Bitmap.from_mask(array)
        elif array.dtype.kind in "iu" or array.size == 0:
            mask = np.zeros(size, np.bool_)
            mask[ids.positions(check_ids(where, "where"), size)] = True
            where = Bitmap.from_mask(mask)
        else:
            raise TypeError(f"where must be a boolean mask, a Bitmap or an array of ids, got dtype {array.dtype}")
    if len(where) != size:
        raise ValueError(f"where must have one bit per code: it has {len(where)}, the index {size} codes")
    return where.words()
