"""One shard in the process that holds it: opened from its files, searched like any index. Nothing here knows Ray."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph._version import __version__
from udsph.distributed import places
from udsph.distributed.errors import ShardError
from udsph.distributed.parts import Filter, Part, between
from udsph.distributed.source import Run, Spec, described
from udsph.hamming import backend, storage
from udsph.hamming.collection import state
from udsph.hamming.ids import Ids
from udsph.hamming.names import Column, Integers, Texts
from udsph.hamming.operations import joins
from udsph.hamming.results import merge_range, merge_search
from udsph.hamming.segments import Snapshot
from udsph.hamming.storage import FormatError

_LOOK_EVERY = 0.1  # seconds
_KEPT = 2  # versions: one may be searched while the next is opened

Codes = NDArray[np.uint8]
Positions = NDArray[np.int64]
Near = tuple[NDArray[np.int32], Positions]
Within = tuple[NDArray[np.int64], NDArray[np.int32], Positions]


class Facts(NamedTuple):
    """What is known of a shard that is open."""

    codes: int
    nbytes: int
    process: int
    version: str


class Shard:
    """The codes of a spec. Positions are within the shard, and so are ranks: places among the codes that are there.

    Raises
    ------
    ShardError
        A file is gone, damaged, or another one than it was.
    """

    def __init__(self, spec: Spec, threads: int) -> None:
        self.spec, self.threads = spec, threads
        self._files: dict[str, os.stat_result] = {}
        self._looked = self.used = 0.0
        try:
            self.parts = [self._opened(run) for run in spec.runs] or [_none(spec.bits)]
        except (OSError, ValueError, MemoryError) as error:
            raise ShardError(f"{spec.name}: {_said(error)}") from error
        if spec.tables:
            self.parts = [part.with_tables(threads) for part in self.parts]
        self.bases = np.cumsum([0, *(part.n for part in self.parts)]).tolist()
        self.ranks = np.cumsum([0, *(len(part) for part in self.parts)]).tolist()

    def facts(self) -> Facts:
        """How much is here."""
        return Facts(self.ranks[-1], sum(part.nbytes for part in self.parts), os.getpid(), __version__)

    def search(self, queries: Codes, k: int, where: Filter, threads: int) -> Near:
        """Distances and positions of the k nearest."""
        found = [part.search(queries, k, allowed, threads or self.threads) for part, allowed in self._allowed(where)]
        return merge_search(found, self.bases[:-1])

    def range_search(self, queries: Codes, radius: int, where: Filter, threads: int) -> Within:
        """Offsets, distances and positions of all codes within the radius."""
        count = threads or self.threads
        found = [part.range_search(queries, radius, allowed, count) for part, allowed in self._allowed(where)]
        return merge_range(found, self.bases[:-1])

    def read(self, ranks: Positions) -> Codes:
        """Packed rows by rank."""
        rows = np.empty((len(ranks), (self.parts[0].bits + 7) // 8), np.uint8)
        for owner, here, within in self._owners(ranks, self.ranks):
            part = self.parts[owner]
            rows[here] = part.read_positions(part.at_ranks(within))
        return rows

    def ids_at(self, positions: Positions) -> NDArray[Any]:
        """Ids of positions that hold a code."""
        out = np.empty(len(positions), object if self.parts[0].names.kind == "strings" else np.int64)
        for owner, here, within in self._owners(positions, self.bases):
            out[here] = self.parts[owner].names.at(within)
        return out

    def lookup(self, values: Any) -> tuple[Positions, Positions]:
        """Which of the ids are here, and their ranks; of one id, in the order of the codes."""
        wanted = Texts(values) if isinstance(values, list) else Integers(values)
        found = []
        for part, base in zip(self.parts, self.ranks, strict=False):
            which, positions = part.names.lookup(wanted, part.alive)
            found.append((which, part.ranks_of(positions) + base))
        whole = [np.concatenate(arrays) for arrays in zip(*found, strict=True)]
        order = np.lexsort(whole[::-1])
        return whole[0][order], whole[1][order]

    def living(self, positions: Positions) -> tuple[Positions, Positions]:
        """Which of the positions hold a code, and the ranks of these."""
        ranks = np.full(len(positions), -1, np.int64)
        for owner, here, within in self._owners(positions, self.bases):
            part = self.parts[owner]
            there = np.ones(len(within), np.bool_) if part.alive is None else part.alive.at(within)
            ranks[here[there]] = part.ranks_of(within[there]) + self.ranks[owner]
        which = np.flatnonzero(ranks >= 0)
        return which, ranks[which]

    def positions(self) -> Positions:
        """Positions that hold a code."""
        return np.concatenate([part.living() + base for part, base in zip(self.parts, self.bases, strict=False)])

    def positions_at(self, ranks: Positions) -> Positions:
        """Positions by rank."""
        out = np.empty(len(ranks), np.int64)
        for owner, here, within in self._owners(ranks, self.ranks):
            out[here] = self.parts[owner].at_ranks(within) + self.bases[owner]
        return out

    def id_ranges(self) -> list[tuple[Any, Any]]:
        """The least and the greatest id of each file; of strings their order does not say enough to be asked for."""
        columns = [part.names.column() for part in self.parts if part.n]
        return [(int(c.values.min()), int(c.values.max())) for c in columns if isinstance(c, Integers)]

    def id_keys(self, bucket: int, buckets: int) -> NDArray[np.uint64]:
        """Keys of the ids that fall into one of so many buckets: the same key everywhere for the same id."""
        keys = np.concatenate([_keys(part.names.column()) for part in self.parts])
        return keys[keys % np.uint64(buckets) == bucket]

    def holders(self, key: int) -> list[tuple[Any, str]]:
        """Ids that have a key, and the files they are in."""
        found: list[tuple[Any, str]] = []
        for part, run in zip(self.parts, self.spec.runs, strict=False):
            column = part.names.column()
            places = np.flatnonzero(_keys(column) == np.uint64(key))
            found += [(id, run.place) for id in column.take(places).tolist()]
        return found

    def column(self) -> tuple[NDArray[Any], ...]:
        """The ids of all codes, as integers or as offsets and text."""
        columns: list[Column] = [
            part.names.column() if part.alive is None else part.names.column().subset(part.living())
            for part in self.parts
        ]
        whole = columns[0] if len(columns) == 1 else type(columns[0]).joined(columns)
        return (whole.values,) if isinstance(whole, Integers) else (whole.offsets, whole.data)

    def join(self, rows: Codes, first: int | None, radius: int, threads: int) -> list[tuple[Any, ...]]:
        """Pairs of other codes with those that are here: blocks of places in ``rows``, positions here, and distances.

        first : where both are codes of this shard, the rank at which the others begin; pairs are then of an earlier
            with a later code.
        """
        begin = 0 if first is None else first + 1
        mine = self.read(np.arange(begin, self.ranks[-1]))
        found = joins.pairs(rows, radius, other=mine, bits=self.parts[0].bits, threads=threads or self.threads)
        blocks = []
        for left, right, distances in found:
            right = right + begin
            if first is not None:
                later = right > left + first
                left, right, distances = left[later], right[later], distances[later]
            blocks.append((left, self.positions_at(right), distances))
        return blocks

    def look(self) -> None:
        """Raise if a file was written to in place: its map shows what is there now, and one cut ends the process.

        Raises
        ------
        ShardError
            A file was cut.
        WrittenTo
            Something else was done to one.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY:
            return
        for name, before in self._files.items():
            try:
                found = os.stat(name)
            except OSError:  # of a file whose name is gone the map is whole
                continue
            if found.st_size < before.st_size:
                raise ShardError(f"{self.spec.name}: {name} was truncated since it was opened: its codes are lost")
            if os.path.samestat(found, before) and found.st_mtime_ns != before.st_mtime_ns:
                raise WrittenTo
        self._looked = now

    def _allowed(self, where: Filter) -> list[tuple[Part, Filter]]:
        if where is None or len(self.parts) == 1:
            return [(part, where) for part in self.parts]
        ends = zip(self.parts, self.ranks[:-1], self.ranks[1:], strict=True)
        return [(part, where.between(begin, end)) for part, begin, end in ends]

    def _owners(self, places: Positions, bases: Sequence[int]) -> list[tuple[int, Positions, Positions]]:
        """Numbers of parts, which of the places are theirs, and these counted from where the part begins."""
        owners = np.searchsorted(bases, places, side="right") - 1
        found = []
        for owner in np.unique(owners).tolist():
            here = np.flatnonzero(owners == owner)
            found.append((owner, here, places[here] - bases[owner]))
        return found

    def _opened(self, run: Run) -> Part:
        if not places.is_uri(run.place):
            return self._open(run)
        try:
            return self._open(run)
        except FormatError:  # the copy: another one may be whole
            for place in self._places(run):
                places.forget(places.local(*place), place[0])
            return self._open(run)

    def _places(self, run: Run) -> list[tuple[str, Any]]:
        """Files of a run, and what tells the copies of those under one name apart."""
        if run.file is not None:
            return [(run.place, run.file.mark)]
        assert run.manifest is not None  # a file of a collection has a name that no other ever had
        return [(places.joined(run.place, entry.file), "") for entry in run.manifest.entries]

    def _open(self, run: Run) -> Part:
        paths = [places.local(*place) for place in self._places(run)]
        self._files |= {os.fspath(path): os.stat(path) for path in paths}
        if run.file is not None:
            now = described(os.fspath(paths[0]))
            if (now.size, now.mark) != (run.file.size, run.file.mark):
                raise FormatError(f"{run.place} is another file than it was: open the index again, or refresh it")
            contents = storage.read(paths[0], mmap=True, verify=self.spec.verify)
            return between(contents.snapshot, run.begin, run.end)
        assert run.manifest is not None
        folder = paths[0].parent if paths else Path(run.place)
        found = state.state_of(folder, run.manifest)
        if self.spec.verify:
            for file in found.files.values():
                file.verify()
        return between(found.snapshot, run.begin, run.end)


class NotOpen(Exception):
    """A call came without a spec, and the process does not know the version: it is a new one, or has others."""


class WrittenTo(Exception):
    """A file of a shard was written to since it was opened: it has to be opened, and compared, again."""


class Keeper:
    """What a process holds: the versions of one shard that were asked last, each opened when it is first asked for."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._shards: dict[Any, Shard] = {}
        self._lock = threading.Lock()

    def call(self, version: Any, spec: Any, method: str, *arguments: Any) -> Any:
        """Call a method of the shard of a spec; a spec in a list is fetched first, None is for a version that is open.

        Raises
        ------
        NotOpen
            There is no spec and the version is not open.
        """
        shard = self._shards.get(version)
        if shard is None and spec is None:
            raise NotOpen
        if shard is None:
            shard = self._open(version, spec)
        try:
            shard.look()
        except WrittenTo:
            with self._lock:
                if self._shards.get(version) is shard:
                    del self._shards[version]
            shard = self._open(version, shard.spec)
        shard.used = time.monotonic()
        return getattr(shard, method)(*arguments)

    def _open(self, version: Any, spec: Any) -> Shard:
        with self._lock:
            if version not in self._shards:
                found = spec if isinstance(spec, Spec) else self.fetched(spec)
                opened = Shard(found, self.threads)
                opened.used = time.monotonic()
                self._shards[version] = opened
                while len(self._shards) > _KEPT:
                    del self._shards[min(self._shards, key=lambda known: self._shards[known].used)]
                return opened
            return self._shards[version]

    def fetched(self, spec: Any) -> Spec:
        """The spec itself."""
        return spec


def _keys(column: Column) -> NDArray[np.uint64]:
    """A number for each id, which differ for nearly all that differ, in every process the same."""
    if isinstance(column, Integers):  # odd multiples are a permutation: keys of integers differ where these do
        mixed = column.values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return mixed ^ (mixed >> np.uint64(32))
    digests = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in column.tolist())
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _none(bits: int) -> Part:
    """The part of an index without codes."""
    return Part(Snapshot(backend.empty_segment(bits), (), Ids()))


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror or error}"
    return str(error) or type(error).__name__
