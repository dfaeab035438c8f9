"""One generation in memory: its manifest, its files mapped, and what a search sees of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.chunks import Chunk, Order
from udsph.hamming.collection import folder as names
from udsph.hamming.collection.manifest import Entry, Manifest, read_manifest
from udsph.hamming.collection.segment_file import SegmentFile, keys_in_order, map_segment
from udsph.hamming.filters import BLOCK
from udsph.hamming.ids import Ids
from udsph.hamming.multi import Multi
from udsph.hamming.names import Column, Integers, Keys, Strings, Texts
from udsph.hamming.segments import Segment, Snapshot, extended
from udsph.hamming.storage import FormatError

_TRIES = 1000  # of a reader that meets a writer; each meets another generation


class State(NamedTuple):
    """A generation that was opened. Files and chunks of ids are kept by name, for the generations that share them."""

    manifest: Manifest
    snapshot: Snapshot
    files: dict[str, SegmentFile]
    chunks: dict[Entry, Chunk]


def check_folder(folder: Path) -> None:
    """Raise ``FormatError`` or ``OSError`` if there is no collection."""
    if folder.is_file():
        raise FormatError(f"{os.fspath(folder)} is a file, a collection is a folder; hamming.load opens index files")
    if not names.generations(folder):
        raise FormatError(f"{os.fspath(folder)} is no collection: it has no manifest; Collection.create makes one")


def open_newest(folder: Path, before: State | None = None) -> State:
    """Open the newest generation, while a writer may be replacing it.

    Raises
    ------
    FormatError
        The folder is no collection, or its newest generation is damaged or incomplete.
    OSError
        It cannot be read.
    """
    for _ in range(_TRIES):
        there = names.generations(folder)
        if not there:
            check_folder(folder)
            continue
        try:
            return open_generation(folder, there[-1], before)
        except (FileNotFoundError, FormatError):
            if names.generations(folder)[-1:] == there[-1:]:
                raise
    raise FormatError(f"{os.fspath(folder)} changes faster than it can be opened")


def open_kept(folder: Path, generation: int) -> State:
    """Open a generation that is asked for by its number, whatever has become of others."""
    there = names.generations(folder)
    if generation not in there:
        raise InputError(f"{os.fspath(folder)} has no generation {generation}, it has {', '.join(map(str, there))}")
    return open_generation(folder, generation)


def open_generation(folder: Path, generation: int, before: State | None = None) -> State:
    """Open a generation with the files that ``before`` has open."""
    place = folder / names.manifest_name(generation)
    manifest = read_manifest(place)
    if manifest.generation != generation:
        raise FormatError(f"{os.fspath(place)} is the manifest of generation {manifest.generation}")
    try:
        return state_of(folder, manifest, before, None, _closings(manifest, before))
    except FileNotFoundError as error:
        if place.exists():  # else it was replaced meanwhile
            raise FormatError(f"{os.fspath(place)} names {error.filename}, which is missing") from None
        raise


def state_of(
    folder: Path, manifest: Manifest, before: State | None = None, ids: Ids | None = None, closings: int = 0
) -> State:
    """Map what a manifest names, as far as it is not mapped.

    ids : those that are in memory already, or None to take them from the files
    closings : of the snapshot
    """
    files, chunks = {}, {}
    for entry in manifest.entries:
        opened = None if before is None else before.files.get(entry.file)
        files[entry.file] = file = opened or map_segment(folder / entry.file)
        _check(file, entry, manifest)
        if file.ids is not None and ids is None:
            known = None if before is None else before.chunks.get(entry)
            chunks[entry] = known or _chunk_of(file, entry.codes)
    if ids is None:
        custom, n = manifest.ids in ("integers", "strings"), manifest.positions
        ids = Ids(n, custom=custom, next_id=manifest.next_id, multi=manifest.multi)
        if manifest.ids != "positions":
            none = Texts([]) if manifest.ids == "strings" else Integers(np.empty(0, np.int64))
            ids = ids.of_chunks(tuple(chunks.values()) or (Chunk(none.column()),))
    segments = segments_of(manifest, files, 0)
    snapshot = Snapshot(backend.empty_segment(manifest.bits), segments, ids, manifest.alive, closings)
    return State(manifest, snapshot, files, chunks)


def _closings(manifest: Manifest, before: State | None) -> int:
    """How often positions closed up, as the process sees it that had another generation."""
    if before is None:
        return 0
    one, other = before.manifest, manifest
    return before.snapshot.closings + ((one.token, one.epoch) != (other.token, other.epoch))


def _check(file: SegmentFile, entry: Entry, manifest: Manifest) -> None:
    """That a file is the one that the manifest names."""
    if (file.contents.size, file.contents.mark) != (entry.size, entry.mark):
        raise FormatError(f"{file.name} is another file than the manifest names, or was changed")
    if file.bits != manifest.bits or file.n < entry.codes:
        raise FormatError(
            f"{file.name} has {file.n} codes of {file.bits} bits, the manifest names {entry.codes} of {manifest.bits}"
        )
    kind = "positions" if file.ids is None else file.ids.kind
    if kind != ("integers" if manifest.ids == "own" else manifest.ids):
        raise FormatError(f"{file.name} has {kind} as ids, the manifest says {manifest.ids}")


class _Ordered(Chunk):
    """Ids whose order is stored, so that the first lookup need not make it."""

    __slots__ = ("_order",)

    def __init__(self, values: Integers, order: NDArray[np.uint32]) -> None:
        super().__init__(values)
        self._order: NDArray[np.uint32] | None = order

    def index(self) -> tuple[Keys, Order | None]:
        """As of every chunk; an order that is damaged is not used."""
        if self._index is None and self._order is not None:
            order = self._order if len(self._order) == len(self.values) else self._order[self._order < len(self.values)]
            keys = keys_in_order(self.values, order)  # type: ignore[arg-type]
            if keys is None:
                self._order = None
            else:
                self._index = keys, order
        return super().index()

    def ordered_keys(self) -> Keys:
        """As of every chunk, by the stored order."""
        return self.index()[0]


def _chunk_of(file: SegmentFile, n: int) -> Chunk:
    """The first ids of a file."""
    assert file.ids is not None
    first = _first(file.ids, n)
    return Chunk(first) if file.order is None else _Ordered(first, file.order)  # type: ignore[arg-type]


def _first(column: Column, n: int) -> Column:
    """The first ids of a column, in its memory."""
    if isinstance(column, Integers):
        return Integers(column.values[:n])
    return Strings(column.offsets[: n + 1], column.data[: max(0, int(column.offsets[n]))])


def segments_of(manifest: Manifest, files: dict[str, SegmentFile], first: int) -> tuple[Segment, ...]:
    """The codes from position ``first``, a whole block, on: whole blocks where they lie, the rest in memory."""
    bits, empty = manifest.bits, backend.empty_segment(manifest.bits)
    words = bits * (BLOCK // 64)  # of a block
    segments: tuple[Segment, ...] = ()
    base = 0
    for entry in manifest.entries:
        begin, end, file = max(0, first - base) // BLOCK, entry.codes // BLOCK, files[entry.file]
        if begin == 0 and file.tables is not None and len(file.tables) == end * BLOCK:
            segments = (*segments, file.tables)
        elif end > begin:
            lying = file.words[begin * words : end * words]
            segments = (*segments, backend.map_segment(bits, (end - begin) * BLOCK, lying))
        if entry.codes % BLOCK:
            last = backend.map_segment(bits, BLOCK, file.words[end * words : (end + 1) * words])
            segments = extended(segments, empty, last.read(np.arange(entry.codes % BLOCK)))
        base += entry.codes
    return segments


def with_tables_of(old: Snapshot, state: State) -> State:
    """The same with the tables that a snapshot of the same first positions has, where its own are not over more."""
    kept = _in_tables(old.segments)
    if not kept or sum(map(len, kept)) < sum(map(len, _in_tables(state.snapshot.segments))):
        return state
    now = state.snapshot
    segments = (*kept, *segments_of(state.manifest, state.files, sum(map(len, kept))))
    return state._replace(snapshot=Snapshot(now.empty, segments, now.ids, now.alive, now.closings))


def without_tables(snapshot: Snapshot) -> Snapshot:
    """The same codes, all to be scanned."""
    segments = tuple(part.segment if isinstance(part, Multi) else part for part in snapshot.segments)
    return Snapshot(snapshot.empty, segments, snapshot.ids, snapshot.alive, snapshot.closings)


def _in_tables(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """The segments up to the last one that has tables."""
    while segments and not isinstance(segments[-1], Multi):
        segments = segments[:-1]
    return segments


def verify(state: State, tell: Callable[[float], object] = lambda share: None) -> None:
    """Read every byte of the generation's files and look at every id; the share that is done is told.

    Raises
    ------
    FormatError, OSError
        Damage, and where it is; a file that cannot be read or is gone.
    """
    done, total = 0, sum(entry.size for entry in state.manifest.entries)

    def told(count: int) -> None:
        nonlocal done
        done += count
        tell(min(1.0, done / total))

    for entry in state.manifest.entries:
        state.files[entry.file].verify(0, told)
    _check_ids(state)


def _check_ids(state: State) -> None:
    manifest = state.manifest
    name = f"generation {manifest.generation} of the collection"
    if manifest.ids == "own":
        last = -1
        for chunk in state.chunks.values():
            values = chunk.values.array()
            if len(values) and (values[0] <= last or (values[1:] <= values[:-1]).any()):
                raise FormatError(f"{name} has ids of its own that do not ascend")
            last = int(values[-1]) if len(values) else last
        if last >= manifest.next_id:
            raise FormatError(f"{name}: the next id {manifest.next_id} is not beyond the id {last}")
    elif manifest.ids != "positions" and not manifest.multi:
        column = state.snapshot.column()
        if isinstance(column, Integers):
            ordered = np.sort(column.values)
            again = ordered[1:][ordered[1:] == ordered[:-1]]
            twice = int(again[0]) if again.size else None
        else:
            twice = Chunk(column).repeated()
        if twice is not None:
            raise FormatError(f"{name} has the id {twice!r} twice")
