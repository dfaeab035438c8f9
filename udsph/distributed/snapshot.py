"""One state of an index whose codes are in shards: what ``FlatIndex`` asks of a snapshot, answered by all of them.

Positions, ranks, ids: a position counts all codes, removed ones included; a rank those that are there. Filters go to
the shards by rank, results come by position, ids are asked for at last and only of what was found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.distributed.calls import Calls, Missing
from udsph.distributed.errors import ShardError
from udsph.distributed.parts import Bits, Ranks
from udsph.distributed.source import Source
from udsph.hamming import backend
from udsph.hamming.filters import Alive
from udsph.hamming.ids import Ids, Unknown
from udsph.hamming.names import Column, Integers, Strings, Wanted
from udsph.hamming.results import NO_DISTANCE, NO_ID, RangeResult, SearchResult, merge_range, merge_search
from udsph.hamming.segments import Codes, Positions, Snapshot
from udsph.hamming.where import Few, resolve
from udsph.threads import thread_count

_QUERIES = 2048  # of a batch: enough for the scan to be as fast as it can be
_BYTES = 4 << 20  # of the queries of a batch, and of the results of one shard: an object store has 75 MB or more
_FIRST = 256  # queries of the first batch of a range search, before it is known how much they find


class Tails(NamedTuple):
    """Where shards begin: positions and ranks, with the ends of the last."""

    positions: list[int]
    ranks: list[int]


class PartialSearch(SearchResult):
    """A search to which some shards did not answer; ``missing`` says which and why."""

    missing: tuple[str, ...] = ()


class PartialRange(RangeResult):
    """A range search to which some shards did not answer; ``missing`` says which and why."""

    missing: tuple[str, ...] = ()


class ShardedIds(Ids):
    """Ids that the shards hold."""

    def __init__(self, source: Source, calls: Calls, ends: Tails) -> None:
        super().__init__(
            ends.ranks[-1],
            custom=source.ids in ("integers", "strings"),
            next_id=source.next_id,
            multi=source.multi,
        )
        self._form = Strings if source.ids == "strings" else Integers
        self._calls, self._ends = calls, ends
        self._are_positions = source.ids == "positions"
        self._whole = self._are_positions and ends.positions == ends.ranks  # and no code was removed

    @property
    def positional(self) -> bool:
        """Whether every id is its position."""
        return self._are_positions

    def at(self, positions: Positions) -> NDArray[Any]:
        """Ids at positions; at -1 there is none."""
        if self._are_positions:
            return positions
        out = np.full(positions.shape, self._form.missing, self._form.dtype)
        wanted, back = np.unique(positions[positions >= 0], return_inverse=True)
        if len(wanted):
            found = np.empty(len(wanted), self._form.dtype)
            for here, ids in self._asked("ids_at", wanted, self._ends.positions):
                found[here] = ids
            out[positions >= 0] = found[back]
        return out

    def lookup(self, wanted: Wanted, alive: Alive | None, name: str = "ids") -> tuple[NDArray[np.int64], Positions]:
        """Which of the ids are there, and their ranks, in this order."""
        if len(wanted) == 0 or self.n == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        self._check_kind(wanted, name)
        if self._are_positions:
            return self._lookup_positions(wanted.values)  # type: ignore[arg-type]
        values = self._calls.shared(wanted.values, 8 * len(wanted))
        answers = self._calls.each("lookup", [(values,)] * len(self._calls.specs))
        which = np.concatenate([found for found, _ in answers])
        ranks = np.concatenate([r + base for (_, r), base in zip(answers, self._ends.ranks, strict=False)])
        order = np.lexsort((ranks, which))
        return which[order], ranks[order]

    def holds(self, wanted: object, alive: Alive | None) -> bool:
        """Whether a code is called so."""
        if isinstance(wanted, (bool, np.bool_)) or not isinstance(wanted, (str, int, np.integer)):
            return False
        if isinstance(wanted, str) != (self._form is Strings) or (not isinstance(wanted, str) and wanted < 0):
            return False
        values: Any = [wanted] if isinstance(wanted, str) else np.array([wanted])
        if self._are_positions:
            return bool(len(self._lookup_positions(values)[0]))
        answers = self._calls.each("lookup", [(values,)] * len(self._calls.specs))
        return any(len(which) for which, _ in answers)

    def column(self) -> Column:
        """All ids."""
        if self._whole:
            return Integers(np.arange(self.n))
        if self._are_positions:
            parts = self._calls.each("positions", [()] * len(self._calls.specs))
            moved = [part + base for part, base in zip(parts, self._ends.positions, strict=False)]
            return Integers(np.concatenate(moved))
        columns = self._calls.each("column", [()] * len(self._calls.specs))
        form = self._form
        return form.joined([form(*column) for column in columns])

    def _lookup_positions(self, values: Positions) -> tuple[NDArray[np.int64], Positions]:
        which = np.flatnonzero(values < self._ends.positions[-1])
        if self._whole:
            return which, values[which]
        ranks = np.full(len(which), -1, np.int64)
        owners = np.searchsorted(self._ends.positions, values[which], side="right") - 1
        for here, (there, found) in self._asked("living", values[which], self._ends.positions):
            ranks[here[there]] = found + np.array(self._ends.ranks)[owners[here[there]]]
        return which[ranks >= 0], ranks[ranks >= 0]

    def _asked(self, method: str, places: Positions, bases: Sequence[int]) -> Iterator[tuple[Positions, Any]]:
        """Which places are a shard's, and what it answers to them."""
        owners = np.searchsorted(bases, places, side="right") - 1
        here = [np.flatnonzero(owners == shard) for shard in range(len(self._calls.specs))]
        given = [(places[h] - base,) if len(h) else None for h, base in zip(here, bases, strict=False)]
        for which, answer in zip(here, self._calls.each(method, given), strict=True):
            if len(which):
                yield which, answer


class ShardedSnapshot(Snapshot):
    """One state of a sharded index."""

    def __init__(self, source: Source, calls: Calls, codes: Sequence[int], nbytes: int, report: bool) -> None:
        positions = [0, *itertools.accumulate(spec.positions for spec in calls.specs)]
        self.ends = Tails(positions, [0, *itertools.accumulate(codes)])
        super().__init__(backend.empty_segment(source.bits), (), ShardedIds(source, calls, self.ends))
        self.n = self.ends.ranks[-1]  # the filters of callers are by rank
        self.source, self.calls = source, calls
        self._nbytes, self._report, self._codes = nbytes, report, list(codes)

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedSnapshot, (self.source, self.calls, self._codes, self._nbytes, self._report)

    @property
    def nbytes(self) -> int:
        """Bytes of all shards."""
        return self._nbytes

    def threads(self, queries: Codes, asked: int | None) -> int:
        """Threads of each shard; 0: its own number."""
        return 0 if asked is None else thread_count(asked)

    def search(self, queries: Codes, k: int, where: Any, threads: int, unknown: Unknown = "error") -> SearchResult:
        """The k nearest codes, by id."""
        filters, missing = self._filters(where, unknown), Missing() if self._report else None
        rows, most = np.atleast_2d(queries), min(k, max(1, self.n))
        near = np.full((len(rows), k), NO_DISTANCE, np.int32)
        positions = np.full((len(rows), k), NO_ID, np.int64)
        step = max(1, min(_QUERIES, _BYTES // rows.shape[1], _BYTES // (12 * most)))
        starts = range(0, max(1, len(rows)), step)

        def batches() -> Iterator[list[tuple[Any, ...]]]:
            for begin in starts:
                batch = np.ascontiguousarray(rows[begin : begin + step])
                shared = self.calls.shared(batch, batch.nbytes)
                yield [(shared, most, where, threads) for where in filters]

        found = self.calls.merged("search", batches(), merge_search, self.ends.positions[:-1], missing)
        for begin, part in zip(starts, found, strict=True):
            if part is not None:
                near[begin : begin + step, :most], positions[begin : begin + step, :most] = part
        if queries.ndim == 1:
            near, positions = near[0], positions[0]
        ids = self.ids.at(positions)
        if missing:
            partial = PartialSearch(near, ids)
            partial.missing = tuple(dict.fromkeys(missing))
            return partial
        return SearchResult(near, ids)

    def range_search(
        self, queries: Codes, radius: int, where: Any, threads: int, unknown: Unknown = "error"
    ) -> RangeResult:
        """All codes within the radius, by id."""
        filters, missing = self._filters(where, unknown), Missing() if self._report else None
        rows = np.atleast_2d(queries)
        least = max(1, min(_FIRST, _BYTES // rows.shape[1]))
        step, asked = least, []

        def batches() -> Iterator[list[tuple[Any, ...]]]:
            begin = 0
            while begin < max(1, len(rows)):
                batch = np.ascontiguousarray(rows[begin : begin + step])
                asked.append(len(batch))
                begin += step
                shared = self.calls.shared(batch, batch.nbytes)
                yield [(shared, radius, where, threads) for where in filters]

        offsets, near, positions = [np.zeros(1, np.int64)], [], []
        end = 0
        merged = self.calls.merged("range_search", batches(), merge_range, self.ends.positions[:-1], missing)
        for number, part in enumerate(merged):
            if part is None:
                part = np.zeros(asked[number] + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64)
            offsets.append(part[0][1:] + end)
            near.append(np.array(part[1]))  # of its own: what came from a shard keeps the room it came in
            positions.append(np.array(part[2]))
            end += int(part[0][-1])
            each = 12 * max(1, int(part[0][-1])) / max(1, asked[number])
            step = int(max(1, min(_QUERIES, 2 * step, _BYTES / each)))
        whole = np.concatenate(offsets), np.concatenate(near), self.ids.at(np.concatenate(positions))
        if missing:
            partial = PartialRange(*whole)
            partial.missing = tuple(dict.fromkeys(missing))
            return partial
        return RangeResult(*whole)

    def read_positions(self, positions: Positions) -> Codes:
        """Packed rows by rank, which is what ``ids.lookup`` gives here."""
        rows = np.empty((len(positions), (self.bits + 7) // 8), np.uint8)
        ids = self.ids
        assert isinstance(ids, ShardedIds)
        for here, found in ids._asked("read", positions, self.ends.ranks):
            rows[here] = found
        return rows

    def column(self) -> Column:
        """The ids of all codes."""
        return self.ids.column()

    def shared(self) -> Snapshot:
        """Not of codes that are elsewhere."""
        raise ShardError("a sharded index is not copied: open its collection or files with udsph.hamming instead")

    def blocks(self) -> Iterator[Any]:
        """Not of codes that are elsewhere."""
        raise ShardError("a sharded index is not written to one file: its collection or files hold the same codes")

    def _filters(self, where: Any, unknown: Unknown) -> list[Any]:
        """What each shard may return."""
        allowed = None if where is None else resolve(self, where, unknown)
        if allowed is None:
            return [None] * len(self.calls.specs)
        whole: Bits | Ranks = (
            Ranks(allowed.positions) if isinstance(allowed, Few) else Bits(allowed.view(np.uint8), self.n)
        )
        filters = []
        for begin, end in itertools.pairwise(self.ends.ranks):
            part = whole.between(begin, end)
            filters.append(self.calls.shared(part, part[0].nbytes))
        return filters
