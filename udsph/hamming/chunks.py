"""Ids in chunks that are sorted by key once, and a buffer of the last ones; see ``ids``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.filters import Alive
from udsph.hamming.names import Column, Integers, Keys, Places, Strings, Texts, Wanted

_MUCH_LONGER = 3  # keys among so many times as many are looked up one by one
RECENT = 1024  # ids that are looked up one by one before they become a chunk

Order = NDArray[np.int64] | NDArray[np.uint32]


class Chunk:
    """Ids of consecutive positions, and a way to find them: the keys in ascending order, and their places.

    Those that were removed when two chunks were joined are in the column, but are not found.
    """

    __slots__ = ("_index", "_sorted", "values")

    def __init__(self, values: Column) -> None:
        self.values = values
        self._index: tuple[Keys, Order | None] | None = None
        self._sorted: Keys | None = None  # of integers whose places nobody has asked for

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes of ids and of what finds them."""
        index = self._index
        if index is None:
            keys = self._sorted
            return self.values.nbytes + (0 if keys is None or keys is self.values.keys() else keys.nbytes)
        keys, order = index
        own = keys.nbytes if order is not None else 0
        return self.values.nbytes + own + (0 if order is None else order.nbytes)

    def index(self) -> tuple[Keys, Order | None]:
        """Keys in ascending order, and their places, or None where they ascend as they are.

        Two threads may both make it, and make the same.
        """
        index = self._index
        if index is None:
            keys = self.values.keys()
            if len(keys) < 2 or bool((keys[1:] >= keys[:-1]).all()):
                index = keys, None
            else:
                order = np.argsort(keys)
                index = keys[order], _small(order, len(keys))
            self._index, self._sorted = index, None
            self.values.ordered()
        return index

    def ordered_keys(self) -> Keys:
        """Keys in ascending order alone, which of integers are found many times as fast as their places."""
        index, keys = self._index, self._sorted
        if index is not None or not isinstance(self.values, Integers):
            return self.index()[0]
        if keys is None:
            keys = self.values.keys()
            self._sorted = keys = keys if bool((keys[1:] >= keys[:-1]).all()) else np.sort(keys)
        return keys

    def shared(self, keys: Keys) -> Keys:
        """Those of some ascending keys that are here too; of strings there may be others."""
        own = self.ordered_keys()
        if len(own) > _MUCH_LONGER * len(keys):
            first = np.searchsorted(own, keys)
            return keys[own[np.minimum(first, len(own) - 1)] == keys]
        if len(own) == 0:
            return own
        both = np.sort(np.concatenate([own, keys]), kind="stable")  # two sorted runs: one pass
        twice = both[1:][both[1:] == both[:-1]]  # here, or here and there
        return twice[keys[np.minimum(np.searchsorted(keys, twice), len(keys) - 1)] == twice]

    def repeated(self) -> Any:
        """An id that occurs twice, or None."""
        keys = self.ordered_keys()
        twice = np.flatnonzero(keys[1:] == keys[:-1])
        if twice.size == 0:
            return None
        if isinstance(self.values, Integers):
            return int(keys[twice[0]])
        keys, order = self.index()
        places = np.arange(len(keys)) if order is None else order
        seen: set[str] = set()
        for text in self.values.take(places[np.unique([twice, twice + 1])].astype(np.int64)):
            if text in seen:
                return text
            seen.add(text)
        return None

    def places_of(self, wanted: Any) -> list[int]:
        """Places of one id, ascending."""
        keys, order = self.index()
        key = wanted if isinstance(self.values, Integers) else hash(wanted)
        if len(keys) == 0 or not keys[0] <= key <= keys[-1]:
            return []
        at, found = int(keys.searchsorted(key)), []
        while at < len(keys) and keys[at] == key:
            place = at if order is None else int(order[at])
            if isinstance(self.values, Integers) or self.values.text(place) == wanted:
                found.append(place)
            at += 1
        return sorted(found)

    def find(self, wanted: Wanted, *, distinct: bool) -> tuple[Places, Places]:
        """Which of the ids are here, and their places; ``distinct``: none is here twice."""
        keys, order = self.index()
        if len(keys) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        sought = wanted.keys()
        first = np.searchsorted(keys, sought)
        if distinct:
            which = np.flatnonzero(keys[np.minimum(first, len(keys) - 1)] == sought)
            at = first[which]
        else:
            counts = np.searchsorted(keys, sought, side="right") - first
            which = np.repeat(np.arange(len(sought)), counts)
            at = np.arange(len(which)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
        places = at if order is None else order[at].astype(np.int64)
        if isinstance(self.values, Strings):
            assert isinstance(wanted, Texts)
            same = self.values.same(places, wanted, which)
            which, places = which[same], places[same]
        return which, places

    def joined(self, other: Chunk, alive: NDArray[np.bool_] | None) -> Chunk:
        """This chunk and the one that follows; ``alive`` says which of both are still there."""
        both = Chunk(type(self.values).joined([self.values, other.values]))
        if alive is None and self._index is None and isinstance(self.values, Integers):  # nobody asks for places so far
            parts = [self.ordered_keys(), other.ordered_keys()]
            ascends = parts[0] is self.values.keys() and parts[1] is other.values.keys()
            if ascends and bool((parts[0][-1:] <= parts[1][:1]).all()):
                both._sorted = both.values.keys()
            else:
                both._sorted = np.sort(np.concatenate(parts), kind="stable")
            return both
        (left, left_order), (right, right_order) = self.index(), other.index()
        keys = np.concatenate([left, right])
        ascends = left_order is None and right_order is None and bool((left[-1:] <= right[:1]).all())
        if alive is None and ascends and len(left) and len(right):
            both._index = keys, None
            return both
        order = np.concatenate([_places(left_order, len(left)), _places(right_order, len(right)) + len(self)])
        if alive is not None:
            kept = alive[order]
            order, keys = order[kept], keys[kept]
        merged = np.argsort(keys, kind="stable")  # two sorted runs: one pass
        both._index = keys[merged], _small(order[merged], len(both))
        return both


class Recent:
    """The last ids, given a few at a time: a buffer that one ``Ids`` after the other sees more of.

    Entries are written once, beyond what any ``Ids`` sees, so that reading needs no lock. Only the newest may write.
    """

    __slots__ = ("ids", "places", "used")

    def __init__(self, form: type[Integers] | type[Strings]) -> None:
        self.ids = np.empty(RECENT, form.dtype)
        self.places: dict[Any, tuple[int, ...]] = {}  # by id, ascending
        self.used = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the buffer."""
        return self.ids.nbytes

    def column(self, seen: int) -> Column:
        """The first ids in memory of their own."""
        if self.ids.dtype == object:
            return Texts(self.ids[:seen].tolist()).column()
        return Integers(self.ids[:seen].copy())

    def takes(self, count: int, seen: int) -> bool:
        """Whether so many can be appended: the caller is the newest, and there is room."""
        return self.used == seen and seen + count <= RECENT

    def append(self, new: list[Any]) -> None:
        """Write more ids; their places are added to those that an id had before."""
        begin = self.used
        self.used += len(new)  # first: after Ctrl-C or a MemoryError in what follows nobody may write here again
        self.ids[begin : self.used] = new
        for place, id in enumerate(new, begin):
            self.places[id] = (*self.places.get(id, ()), place)


def joined(chunks: tuple[Chunk, ...], alive: Alive | None) -> tuple[Chunk, ...]:
    """The chunks with the last ones joined until each is several times as large as the next: few, and rarely copied."""
    *before, last = chunks
    begin = sum(map(len, before))
    while before and len(before[-1]) < 4 * len(last):
        begin -= len(before[-1])
        end = begin + len(before[-1]) + len(last)
        last = before.pop().joined(last, None if alive is None else alive.mask(begin, end))
    return (*before, last)


def _places(order: Order | None, n: int) -> Places:
    return np.arange(n) if order is None else order.astype(np.int64)


def _small(order: Places, n: int) -> Order:
    return order.astype(np.uint32) if n < 1 << 32 else order
