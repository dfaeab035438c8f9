"""What a caller's ``where`` lets a search return: a bit per position, or few positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming.arrays import as_array
from udsph.hamming.filters import Bitmap, Words, words_of_mask, words_of_positions
from udsph.hamming.ids import Unknown
from udsph.hamming.names import Texts, Wanted, check_ids

if TYPE_CHECKING:
    from udsph.hamming.segments import Snapshot

Positions = NDArray[np.int64]

_FEW = 256  # one in so many codes is read by itself faster than found in a scan for one query, and far faster for many


class Few(NamedTuple):
    """So few codes may be returned that they are searched by themselves."""

    positions: Positions  # ascending


def resolve(snapshot: Snapshot, where: Any, unknown: Unknown) -> Words | Few | None:
    """What may be returned; None: all.

    Raises
    ------
    TypeError, ValueError
        A mask or bitmap of another length than the index, an id that is unknown or repeated, or something else.
    """
    if where is None:
        return snapshot.alive_words()
    if not isinstance(where, Bitmap):
        array = given(where)
        if not isinstance(array, np.ndarray):
            return _of_ids(snapshot, check_ids(array, "where"), unknown)
        if array.dtype == np.bool_:
            if array.shape != (len(snapshot),):
                raise InputError(f"where must have shape ({len(snapshot)},), one entry per code, got {array.shape}")
            return _of_mask(snapshot, array)
        if array.ndim == 0 or (array.size and array.dtype.kind not in "iuUTO"):
            raise TypeError(f"where must be a boolean mask, a Bitmap or an array of ids, got dtype {array.dtype}")
        return _of_ids(snapshot, check_ids(array, "where"), unknown)
    if len(where) != len(snapshot):
        raise InputError(f"where must have one bit per code: it has {len(where)}, the index {len(snapshot)} codes")
    return where.words() if snapshot.alive is None else _of_mask(snapshot, where.mask())


def given(where: Any) -> Any:
    """A caller's mask or ids: an array, but for ids in a list, which stay there.

    Raises
    ------
    TypeError, ValueError
        Booleans beside other values, masked entries, or no array.
    """
    if not isinstance(where, (list, tuple)):
        return as_array(where, "where")
    booleans = sum(type(value) in (bool, np.bool_) for value in where)
    if not booleans:
        return where
    if booleans < len(where):
        raise TypeError("where holds booleans and other values; give a mask of booleans, or ids")
    return np.asarray(where, np.bool_)


def _of_mask(snapshot: Snapshot, mask: NDArray[np.bool_]) -> Words:
    """Of one boolean per code."""
    if snapshot.alive is None:
        return words_of_mask(mask)
    positions = snapshot.alive.mask(0, snapshot.n)
    positions[positions] = mask
    return words_of_mask(positions)


def _of_ids(snapshot: Snapshot, ids: Wanted, unknown: Unknown) -> Words | Few:
    if len(ids) > 1:
        twice = _repeated(ids)
        if twice is not None:
            raise InputError(f"where names the id {twice!r} twice; give each id once, and a mask as booleans")
    positions = snapshot.ids.positions(ids, snapshot.alive, "where", unknown)
    if _FEW * len(positions) <= snapshot.n:
        return Few(np.sort(positions))
    return words_of_positions(positions, snapshot.n)


def _repeated(ids: Wanted) -> Any:
    if isinstance(ids, Texts) or len(ids) < 64:
        values = ids.tolist()
        if len(set(values)) == len(values):
            return None
        seen: set[Any] = set()
        for value in values:
            if value in seen:
                return value
            seen.add(value)
    ordered = np.sort(ids.values)
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    return int(ordered[twice[0]]) if twice.size else None
