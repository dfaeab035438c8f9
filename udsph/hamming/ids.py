"""Ids of codes: insertion positions, until a caller gives ids or removed codes have left their places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.codes import as_array
from udsph.hamming.filters import Alive

MAX_ID = np.iinfo(np.int64).max

_RECENT = 1024  # ids that are looked up one by one before they become a chunk


def check_ids(ids: Any, name: str = "ids") -> NDArray[np.int64]:
    """Return ids as a one-dimensional int64 array of numbers of 0 or more."""
    array = as_array(ids, name)
    if array.size == 0 and array.ndim == 1:
        return np.empty(0, np.int64)  # an empty list is an array of floats
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    if int(array.max()) > MAX_ID or int(array.min()) < 0:
        raise ValueError(f"{name} must be from 0 to 2**63 - 1, got {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, np.int64)


class _Chunk:
    """Ids of consecutive positions, and a way to find them. ``order`` sorts those that were alive when it was made."""

    __slots__ = ("_order", "_sorted", "ids")

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self.ids = ids
        self._order: NDArray[np.int64] | None = None
        self._sorted: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        arrays = (self.ids, self._order, self._sorted)
        return sum(array.nbytes for array in arrays if array is not None)

    def sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids in ascending order, and their places. Two threads may both make it, and make the same."""
        ordered, order = self._sorted, self._order
        if ordered is None or order is None:
            order = np.argsort(self.ids)  # ids of one chunk are distinct
            ordered = self.ids[order]
            self._order, self._sorted = order, ordered
        return ordered, order

    def find(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of ids in this chunk, -1 where it has none."""
        ordered, order = self.sorted()
        if len(ordered) == 0:
            return np.full(len(ids), -1)
        place = np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)
        return np.where(ordered[place] == ids, order[place], -1)

    def joined(self, other: _Chunk, alive: NDArray[np.bool_] | None) -> _Chunk:
        """This chunk and the one that follows; of an id that was removed and given again, the one alive is found."""
        both = _Chunk(np.concatenate([self.ids, other.ids]))
        (left, left_order), (right, right_order) = self.sorted(), other.sorted()
        order = np.concatenate([left_order, right_order + len(self)])
        ordered = np.concatenate([left, right])
        if alive is not None:
            kept = alive[order]
            order, ordered = order[kept], ordered[kept]
        merged = np.argsort(ordered, kind="stable")  # two sorted runs: one pass
        both._order, both._sorted = order[merged], ordered[merged]
        return both


class _Recent:
    """The last ids, given a few at a time: a buffer that one ``Ids`` after the other sees more of.

    Entries are written once, beyond what any ``Ids`` sees, so that reading needs no lock. Only the newest may write.
    """

    __slots__ = ("ids", "places", "used")

    def __init__(self) -> None:
        self.ids = np.empty(_RECENT, np.int64)
        self.places: dict[int, int] = {}
        self.used = 0

    def takes(self, new: list[int], seen: int) -> bool:
        """Whether these can be appended: the caller is the newest, there is room, no place of an id is forgotten."""
        return self.used == seen and seen + len(new) <= _RECENT and not any(id in self.places for id in new)

    def append(self, new: list[int]) -> None:
        begin = self.used
        self.used += len(new)  # first: after Ctrl-C or a MemoryError in what follows nobody may write here again
        self.ids[begin : self.used] = new
        self.places.update(zip(new, range(begin, self.used), strict=True))


class Ids:
    """Ids by position. Never changes: ``extended`` gives another, which shares what it can.

    ``custom`` says whether a caller gave them. Without chunks every id is its position. With them, few large chunks and
    a buffer of recent ids hold them, so that an addition copies little and a lookup searches few.
    """

    def __init__(
        self, n: int = 0, explicit: NDArray[np.int64] | None = None, *, custom: bool = False, next_id: int = 0
    ) -> None:
        self.n = n
        self.custom = custom
        self.next_id = next_id  # of the next code without an id of its own
        self._chunks: tuple[_Chunk, ...] | None = None if explicit is None else (_Chunk(explicit),)
        self._recent: _Recent | None = None
        self._seen = 0  # entries of _recent, the last ids of all

    @property
    def positional(self) -> bool:
        """Whether every id is its position."""
        return self._chunks is None

    @property
    def nbytes(self) -> int:
        """Bytes that the ids take."""
        recent = 0 if self._recent is None else self._recent.ids.nbytes
        return recent + sum(chunk.nbytes for chunk in self._chunks or ())

    def extended(self, count: int, ids: Any, alive: Alive | None) -> Ids:
        """These and the ids of ``count`` codes that follow.

        Raises
        ------
        TypeError, ValueError
            Ids that are not one per code, twice in use, or given for some codes and not for others.
        """
        if ids is None:
            if self.custom and count:
                raise ValueError("this index has ids of its own: give ids for these codes too")
            if self.next_id > MAX_ID - count:
                raise ValueError(f"no ids are left for {count} codes after {self.next_id}")
            more = Ids(self.n + count, custom=self.custom, next_id=self.next_id + count)
            if self._chunks is not None:
                self._append(more, _Chunk(np.arange(self.next_id, self.next_id + count)), alive)
            return more
        new = _Chunk(check_ids(ids).copy())
        if len(new) != count:
            raise ValueError(f"ids must have one entry per code: {len(new)} ids for {count} codes")
        if self.n > 0 and not self.custom:
            raise ValueError(
                "codes in this index have their positions as ids: give ids from the first code on, or never"
            )
        if count == 0:
            return self
        self._check_new(new, alive)
        more = Ids(self.n + count, custom=True, next_id=self.next_id)
        self._append(more, new, alive)
        return more

    def shared(self, alive: Alive | None) -> Ids:
        """The same for an index that goes its own way: it has no buffer that another writes to."""
        if self._recent is None:
            return self
        same = Ids(self.n, custom=self.custom, next_id=self.next_id)
        same._chunks = self._sealed(alive)
        return same

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids at positions; -1 stays -1."""
        if self._chunks is None or positions.size == 0:
            return positions
        if len(self._chunks) == 1 and self._recent is None and len(self._chunks[0]):
            return np.where(positions < 0, -1, self._chunks[0].ids[positions])
        out = np.full(positions.shape, -1, np.int64)
        begin = 0
        for ids in self._arrays():
            here = (positions >= begin) & (positions < begin + len(ids))
            out[here] = ids[positions[here] - begin]
            begin += len(ids)
        return out

    def positions(self, ids: NDArray[np.int64], alive: Alive | None) -> NDArray[np.int64]:
        """Positions of ids.

        Raises
        ------
        ValueError
            An id that no code has.
        """
        found = self._find(ids, alive)
        if (found < 0).any():
            raise ValueError(f"id {ids[found < 0][0]} is not in the index")
        return found

    def subset(self, positions: NDArray[np.int64]) -> Ids:
        """Ids of the codes that stay, in their order."""
        return Ids(len(positions), self.at(positions), custom=self.custom, next_id=self.next_id)

    def check_distinct(self) -> None:
        """Raise ``ValueError`` if an id occurs twice in a chunk."""
        for chunk in self._chunks or ():
            ordered, _ = chunk.sorted()
            twice = np.flatnonzero(ordered[1:] == ordered[:-1])
            if twice.size:
                raise ValueError(f"id {ordered[twice[0]]} occurs twice")

    def _arrays(self) -> list[NDArray[np.int64]]:
        """The ids of all positions, one after the other."""
        arrays = [chunk.ids for chunk in self._chunks or ()]
        return arrays if self._recent is None else [*arrays, self._recent.ids[: self._seen]]

    def _append(self, more: Ids, new: _Chunk, alive: Alive | None) -> None:
        """Fill ``more`` with these ids and new ones."""
        few = new.ids.tolist() if len(new) <= _RECENT // 4 else None
        if few is not None and self._recent is not None and self._recent.takes(few, self._seen):
            recent, more._chunks, more._seen = self._recent, self._chunks, self._seen + len(few)
        else:
            more._chunks = self._sealed(alive)
            if few is None:
                more._chunks = _joined((*more._chunks, new), alive)
                return
            recent, more._seen = _Recent(), len(few)
        recent.append(few)
        more._recent = recent

    def _sealed(self, alive: Alive | None) -> tuple[_Chunk, ...]:
        """All ids in chunks."""
        chunks = self._chunks or ()
        if self._recent is None or self._seen == 0:
            return chunks
        return _joined((*chunks, _Chunk(self._recent.ids[: self._seen].copy())), alive)

    def _find(self, ids: NDArray[np.int64], alive: Alive | None) -> NDArray[np.int64]:
        """Positions of ids, -1 for those that no code has."""
        if self._chunks is None:
            found = np.where(ids < self.n, ids, -1)
            return found if alive is None else np.where(alive.at(found), found, -1)
        begin = self.n - self._seen
        found = self._find_recent(ids, begin, alive)
        for chunk in reversed(self._chunks):  # an id that was removed and given again has its place in the later one
            begin -= len(chunk)
            place = chunk.find(ids)
            place = np.where(place < 0, -1, place + begin)
            if alive is not None:
                place = np.where(alive.at(place), place, -1)
            found = np.where(found < 0, place, found)
        return found

    def _find_recent(self, ids: NDArray[np.int64], begin: int, alive: Alive | None) -> NDArray[np.int64]:
        if self._recent is None:
            return np.full(len(ids), -1)
        if len(ids) > _RECENT:
            place = _Chunk(self._recent.ids[: self._seen]).find(ids)
        else:
            places = self._recent.places
            place = np.fromiter((places.get(id, -1) for id in ids.tolist()), np.int64, len(ids))
            place[place >= self._seen] = -1  # given after this
        found = np.where(place < 0, -1, place + begin)
        return found if alive is None else np.where(alive.at(found), found, -1)

    def _check_new(self, new: _Chunk, alive: Alive | None) -> None:
        """Raise if an id occurs twice or is in use."""
        ordered, _ = new.sorted()
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size == 0 and self._chunks is not None:
            twice = ordered[self._find(ordered, alive) >= 0]
        if twice.size:
            raise ValueError(f"id {twice[0]} is given twice or already in the index")


def _joined(chunks: tuple[_Chunk, ...], alive: Alive | None) -> tuple[_Chunk, ...]:
    """The chunks with the last ones joined until each is several times as large as the next: few, and rarely copied."""
    *before, last = chunks
    begin = sum(map(len, before))
    while before and len(before[-1]) < 4 * len(last):
        begin -= len(before[-1])
        end = begin + len(before[-1]) + len(last)
        last = before.pop().joined(last, None if alive is None else alive.mask(begin, end))
    return (*before, last)
