"""Ids of codes: insertion positions, until a caller gives ids or removes codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.codes import as_array

_RECENT = 1 << 16  # ids looked up in a set before they are merged into the sorted array


def check_ids(ids: Any, name: str = "ids") -> NDArray[np.int64]:
    """Return ids as a one-dimensional int64 array of numbers of 0 or more."""
    array = as_array(ids, name)
    if array.size == 0 and array.dtype.kind == "f" and not isinstance(ids, np.ndarray):
        array = array.astype(np.int64)  # an empty list
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    if array.size and (int(array.max()) > np.iinfo(np.int64).max or int(array.min()) < 0):
        raise ValueError(f"{name} must be from 0 to 2**63 - 1, got {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, np.int64)


class Ids:
    """Ids by position.

    ``explicit`` is None while every id is its position. ``custom`` says whether a caller gave them.
    """

    def __init__(self, explicit: NDArray[np.int64] | None = None, *, custom: bool = False, next_id: int = 0) -> None:
        self.custom = custom
        self.next_id = next_id  # what the next code without an id of its own is called
        self._parts = None if explicit is None else [explicit]
        self._sorted: NDArray[np.int64] | None = None
        self._recent: set[int] = set()

    @property
    def explicit(self) -> NDArray[np.int64] | None:
        """Ids by position, or None while they are the positions."""
        if self._parts is None:
            return None
        parts = self._parts
        if len(parts) > 1:
            parts = self._parts = [np.concatenate(parts)]
        return parts[0]

    @property
    def nbytes(self) -> int:
        """Bytes that the ids take."""
        explicit = self.explicit
        sorted_bytes = 0 if self._sorted is None else self._sorted.nbytes
        return sorted_bytes + (0 if explicit is None else explicit.nbytes)

    def extend(self, count: int, ids: Any, size: int) -> None:
        """Name ``count`` codes that follow the ``size`` present ones.

        Raises
        ------
        ValueError
            Ids that are not one per code, twice in use, or given for some codes and not for others.
        """
        if ids is None:
            if self.custom:
                raise ValueError("this index has ids of its own: give ids for these codes too")
            if self._parts is not None:
                self._parts = [*self._parts, np.arange(self.next_id, self.next_id + count)]
            self.next_id += count
            return
        new = check_ids(ids)
        if len(new) != count:
            raise ValueError(f"ids must have one entry per code: {len(new)} ids for {count} codes")
        if size > 0 and not self.custom:
            raise ValueError(
                "codes in this index have their positions as ids: give ids from the first code on, or never"
            )
        if count == 0:
            return
        self._check_new(new)
        self._parts = [*(self._parts or []), new.copy()]
        self.custom = True

    def names(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids at positions; -1 stays -1."""
        explicit = self.explicit
        if explicit is None or positions.size == 0:
            return positions
        if explicit.size == 0:
            return positions
        return np.where(positions < 0, -1, explicit[positions])

    def positions(self, ids: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """Positions of ids.

        Raises
        ------
        ValueError
            An id that no code has.
        """
        explicit = self.explicit
        if explicit is None:
            found, known = ids, ids < size
        else:
            explicit = explicit[:size]
            order = np.argsort(explicit, kind="stable")
            place = np.searchsorted(explicit, ids, sorter=order)
            place = np.minimum(place, max(size - 1, 0))
            found = order[place] if size else np.zeros_like(ids)
            known = explicit[found] == ids if size else np.zeros(len(ids), bool)
        if not known.all():
            raise ValueError(f"id {ids[~known][0]} is not in the index")
        return found

    def subset(self, keep: NDArray[np.bool_]) -> Ids:
        """Ids of the codes that stay."""
        explicit = self.explicit
        explicit = np.arange(len(keep)) if explicit is None else explicit[: len(keep)]
        return Ids(explicit[keep], custom=self.custom, next_id=self.next_id)

    def _check_new(self, new: NDArray[np.int64]) -> None:
        """Raise if an id occurs twice, then remember the new ones."""
        if self._sorted is None:
            explicit = self.explicit
            self._sorted = np.sort(explicit) if explicit is not None else np.empty(0, np.int64)
        ordered = np.sort(new)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size == 0 and self._sorted.size:
            place = np.minimum(np.searchsorted(self._sorted, ordered), self._sorted.size - 1)
            twice = ordered[self._sorted[place] == ordered]
        if twice.size == 0 and self._recent:
            twice = np.array(sorted(self._recent.intersection(ordered.tolist())), np.int64)
        if twice.size:
            raise ValueError(f"id {twice[0]} is given twice or already in the index")
        if len(ordered) + len(self._recent) <= _RECENT:
            self._recent.update(ordered.tolist())
        else:
            recent = np.fromiter(self._recent, np.int64, len(self._recent))
            self._sorted = np.sort(np.concatenate([self._sorted, recent, ordered]), kind="stable")
            self._recent = set()
