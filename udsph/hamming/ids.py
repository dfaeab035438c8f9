"""Ids of codes: insertion positions, until a caller gives ids or removed codes have left their places."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming.chunks import RECENT, Chunk, Recent, joined
from udsph.hamming.filters import Alive
from udsph.hamming.names import MAX_ID, Column, Integers, Strings, Texts, Wanted, check_ids

Unknown = Literal["error", "ignore"]
Positions = NDArray[np.int64]

_FEW = 16  # ids that are looked up one by one


def check_unknown(unknown: Any) -> Unknown:
    """Return what is done with unknown ids."""
    if unknown not in ("error", "ignore"):
        raise InputError(f"unknown must be 'error' or 'ignore', got {unknown!r}")
    return unknown


class Ids:
    """Ids by position. Never changes: ``extended`` gives another, which shares what it can.

    ``custom`` says whether a caller gave them, ``multi`` whether one id may have several codes. Without chunks every id
    is its position. With them, few large chunks and a buffer of recent ids hold them, so that an addition copies little
    and a lookup searches few.
    """

    def __init__(
        self,
        n: int = 0,
        explicit: Column | None = None,
        *,
        custom: bool = False,
        next_id: int = 0,
        multi: bool = False,
    ) -> None:
        self.n = n
        self.custom = custom
        self.next_id = next_id  # of the next code without an id of its own
        self.multi = multi
        self._form: type[Integers] | type[Strings] = Strings if isinstance(explicit, Strings) else Integers
        self._chunks: tuple[Chunk, ...] | None = None if explicit is None else (Chunk(explicit),)
        self._recent: Recent | None = None
        self._seen = 0  # entries of _recent, the last ids of all

    @property
    def positional(self) -> bool:
        """Whether every id is its position."""
        return self._chunks is None

    @property
    def kind(self) -> str:
        """What ids are: "positions", "integers" or "strings"."""
        return self._form.kind if self.custom else "positions"

    @property
    def nbytes(self) -> int:
        """Bytes that the ids take."""
        recent = 0 if self._recent is None else self._recent.nbytes
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
            more = self._like(self.n + count, next_id=self.next_id + count)
            if self._chunks is not None:
                self._append(more, Chunk(Integers(np.arange(self.next_id, self.next_id + count))), alive)
            return more
        new = check_ids(ids)
        if len(new) != count:
            raise ValueError(f"ids must have one entry per code: {len(new)} ids for {count} codes")
        if self.n > 0 and not self.custom:
            raise ValueError(
                "codes in this index have their positions as ids: give ids from the first code on, or never"
            )
        if count == 0:
            return self
        self._check_kind(new, "ids")
        chunk = Chunk(new.column())
        self._check_new(chunk, new, alive)
        more = self._like(self.n + count, custom=True)
        more._form = Strings if isinstance(new, Texts) else Integers
        before = self if self.n else Ids()  # of an index without codes; its ids may have been of another kind
        before._append(more, chunk, alive)
        return more

    def shared(self, alive: Alive | None) -> Ids:
        """The same for an index that goes its own way: it has no buffer that another writes to."""
        if self._recent is None:
            return self
        same = self._like(self.n)
        same._chunks = self._sealed(alive)
        return same

    def cleared(self) -> Ids:
        """No ids."""
        return Ids(multi=self.multi)

    def at(self, positions: Positions) -> NDArray[Any]:
        """Ids at positions. At -1, the end of a row, there is none: -1 again, or None among strings."""
        if self._chunks is None:
            return positions
        if len(self._chunks) == 1 and self._recent is None and positions.size:
            last = positions[..., -1]
            if last >= 0 if positions.ndim == 1 else (last >= 0).all():
                return self._chunks[0].values.take(positions)
        out = np.full(positions.shape, self._form.missing, self._form.dtype)
        begin = 0
        for chunk in self._chunks:
            here = (positions >= begin) & (positions < begin + len(chunk))
            if here.any():
                out[here] = chunk.values.take(positions[here] - begin)
            begin += len(chunk)
        if self._recent is not None:
            here = positions >= begin
            out[here] = self._recent.ids[positions[here] - begin]
        return out

    def lookup(self, wanted: Wanted, alive: Alive | None, name: str = "ids") -> tuple[NDArray[np.int64], Positions]:
        """Which of the ids are there and at which positions, in this order; those of ``multi`` may be at several."""
        if len(wanted) == 0 or self.n == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        self._check_kind(wanted, name)
        if self._chunks is None:
            assert isinstance(wanted, Integers)
            found = wanted.values
            inside = found < self.n if alive is None else (found < self.n) & alive.at(np.minimum(found, self.n))
            which = np.flatnonzero(inside)
            return which, found[which]
        if len(wanted) <= _FEW:
            pairs = [(i, p) for i, key in enumerate(wanted.tolist()) for p in self._positions_of(key, alive)]
            both = np.array(pairs, np.int64).reshape(-1, 2)
            return both[:, 0], both[:, 1]
        return self._lookup_many(wanted, alive)

    def holds(self, wanted: object, alive: Alive | None) -> bool:
        """Whether a code is called so."""
        if isinstance(wanted, (bool, np.bool_)) or not isinstance(wanted, (str, int, np.integer)):
            return False
        if isinstance(wanted, str) != (self._form is Strings):
            return False
        if self._chunks is None:
            position = -1 if isinstance(wanted, str) else int(wanted)
            return 0 <= position < self.n and (alive is None or alive.holds(position))
        return bool(self._positions_of(wanted if isinstance(wanted, str) else int(wanted), alive))

    def positions(
        self, wanted: Wanted, alive: Alive | None, name: str = "ids", unknown: Unknown = "error"
    ) -> Positions:
        """Positions of ids, in their order.

        Raises
        ------
        TypeError
            Ids of another kind.
        ValueError
            An id that no code has, unless unknown ones are ignored.
        """
        if len(wanted) <= _FEW and self.n and self._chunks is not None:
            self._check_kind(wanted, name)
            found: list[int] = []
            for id in wanted.tolist():
                here = self._positions_of(id, alive)
                if not here and unknown == "error":
                    raise ValueError(f"id {id!r} is not in the index")
                found += here
            return np.array(found, np.int64)
        which, positions = self.lookup(wanted, alive, name)
        if unknown == "error" and len(wanted):
            known = np.zeros(len(wanted), np.bool_)
            known[which] = True
            if not known.all():
                raise ValueError(f"id {wanted.tolist()[int(np.argmin(known))]!r} is not in the index")
        return positions

    def subset(self, positions: Positions) -> Ids:
        """Ids of the codes that stay, in their order."""
        if self._chunks is None:
            explicit: Column = Integers(positions)
        else:
            explicit = self.column().subset(positions)
        same = self._like(len(positions))
        same._chunks = (Chunk(explicit),)
        return same

    def of_chunks(self, chunks: tuple[Chunk, ...]) -> Ids:
        """As many ids of this kind, which are in these chunks, one or more."""
        same = self._like(self.n)
        same._form = type(chunks[0].values)
        same._chunks = chunks
        return same

    def column(self) -> Column:
        """The ids of all positions."""
        columns = self.columns()
        if self._chunks is None:
            return Integers(np.arange(self.n))
        return columns[0] if len(columns) == 1 else self._form.joined(columns)

    def check_distinct(self) -> None:
        """Raise ``ValueError`` if an id occurs twice in a chunk and may not."""
        for chunk in self._chunks or ():
            twice = None if self.multi else chunk.repeated()
            if twice is not None:
                raise ValueError(f"id {twice!r} occurs twice")

    def _like(self, n: int, *, custom: bool | None = None, next_id: int | None = None) -> Ids:
        """Without ids, the rest as here."""
        same = Ids(
            n,
            custom=self.custom if custom is None else custom,
            next_id=self.next_id if next_id is None else next_id,
            multi=self.multi,
        )
        same._form = self._form
        return same

    def columns(self) -> list[Column]:
        """The ids of all positions in columns, one after the other; none where they are their positions."""
        columns = [chunk.values for chunk in self._chunks or ()]
        return columns if self._recent is None else [*columns, self._recent.column(self._seen)]

    def _append(self, more: Ids, new: Chunk, alive: Alive | None) -> None:
        """Fill ``more`` with these ids and new ones."""
        few = new.values.tolist() if len(new) <= RECENT // 4 else None
        if few is not None and self._recent is not None and self._recent.takes(len(few), self._seen):
            recent, more._chunks, more._seen = self._recent, self._chunks, self._seen + len(few)
        else:
            more._chunks = self._sealed(alive)
            if few is None:
                more._chunks = joined((*more._chunks, new), alive)
                return
            recent, more._seen = Recent(more._form), len(few)
        recent.append(few)
        more._recent = recent

    def _sealed(self, alive: Alive | None) -> tuple[Chunk, ...]:
        """All ids in chunks."""
        chunks = self._chunks or ()
        if self._recent is None or self._seen == 0:
            return chunks
        return joined((*chunks, Chunk(self._recent.column(self._seen))), alive)

    def _positions_of(self, wanted: Any, alive: Alive | None) -> list[int]:
        """Positions of one id, ascending."""
        begin = self.n - self._seen
        found: list[int] = []
        if self._recent is not None:
            found = [begin + place for place in self._recent.places.get(wanted, ()) if place < self._seen]
            if found and alive is not None:
                found = [position for position in found if alive.holds(position)]
        for chunk in reversed(self._chunks or ()):
            if found and not self.multi:
                break
            begin -= len(chunk)
            here = [begin + place for place in chunk.places_of(wanted)]
            if here:
                found = here + found if alive is None else [p for p in here if alive.holds(p)] + found
        return found

    def _lookup_many(self, wanted: Wanted, alive: Alive | None) -> tuple[NDArray[np.int64], Positions]:
        begin = self.n - self._seen
        chunks = list(self._chunks or ())
        if self._recent is not None and self._seen:
            begin = self.n
            chunks.append(Chunk(self._recent.column(self._seen)))
        # Where codes were removed, a chunk may hold an id that was given again beside the one that is gone.
        distinct = not self.multi and alive is None and isinstance(wanted, Integers)
        parts = []
        for chunk in reversed(chunks):
            begin -= len(chunk)
            which, places = chunk.find(wanted, distinct=distinct)
            positions = places + begin
            if alive is not None:
                kept = alive.at(positions)
                which, positions = which[kept], positions[kept]
            parts.append((which, positions))
        if len(parts) == 1 and distinct:
            return parts[0]
        all_which = np.concatenate([which for which, _ in parts])
        all_positions = np.concatenate([positions for _, positions in parts])
        order = np.lexsort((all_positions, all_which))
        return all_which[order], all_positions[order]

    def _shared(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some ascending integers that are ids here, or were."""
        recent = [] if self._recent is None else [Chunk(self._recent.column(self._seen))]
        return np.concatenate([chunk.shared(keys) for chunk in (*(self._chunks or ()), *recent)])

    def _check_kind(self, wanted: Wanted, name: str) -> None:
        kind = self.kind
        if self.n and len(wanted) and wanted.kind != ("integers" if kind == "positions" else kind):
            are = "the positions of its codes" if kind == "positions" else kind
            verb = "are" if name == "ids" else "holds"
            raise TypeError(f"{name} {verb} {wanted.kind}, the ids of this index are {are}; give ids of that kind")

    def _check_new(self, chunk: Chunk, new: Wanted, alive: Alive | None) -> None:
        """Raise if an id occurs twice or is in use and may not."""
        if self.multi:
            return
        twice = chunk.repeated()
        if twice is None and self._chunks is not None and self.n:
            if isinstance(new, Integers):  # what was removed may be given again
                new = Integers(self._shared(chunk.ordered_keys()))
            which, _ = self.lookup(new, alive)
            twice = new.tolist()[which[0]] if len(which) else None
        if twice is not None:
            raise InputError(f"id {twice!r} is given twice or already in the index")
