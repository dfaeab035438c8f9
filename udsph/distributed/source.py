"""What is searched: a collection at one generation, or index files one after the other, and how shards part it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from udsph.distributed import places
from udsph.distributed.parts import alive_between
from udsph.errors import InputError
from udsph.hamming import storage
from udsph.hamming.codes import BitOrder
from udsph.hamming.collection import folder as names
from udsph.hamming.collection.manifest import Entry, Manifest, read_manifest
from udsph.hamming.filters import BLOCK
from udsph.hamming.storage import FormatError

SUFFIX = ".udsph"  # of index files in a folder

_HEAD = 1 << 13  # bytes of a file that hold header and table
_TRIES = 100  # of a reader that meets a writer
_AT_ONCE = 16  # files that are looked at


class File(NamedTuple):
    """An index file and what its header says; ``mark`` is a checksum over the checksums of its contents."""

    place: str
    bits: int
    bitorder: BitOrder
    multi: bool
    ids: str  # "positions", "own" (positions that closed up), "integers", "strings"
    next_id: int
    codes: int
    size: int
    mark: int


class Run(NamedTuple):
    """Positions of an index file or of a collection, from a whole block on."""

    begin: int
    end: int
    file: File | None  # else of a collection
    place: str
    manifest: Manifest | None  # of the files that the positions are in, counted from where the first of them begins


class Spec(NamedTuple):
    """What one shard holds."""

    name: str
    bits: int
    runs: tuple[Run, ...]
    verify: bool
    tables: bool = False

    @property
    def positions(self) -> int:
        """Positions, with those of removed codes."""
        return sum(run.end - run.begin for run in self.runs)


@dataclass(frozen=True)
class Source:
    """One state of what is searched. Two that are equal hold the same codes."""

    places: tuple[str, ...]
    bits: int
    bitorder: BitOrder
    multi: bool
    ids: str
    next_id: int
    files: tuple[File, ...] = ()
    manifest: Manifest | None = None

    @property
    def generation(self) -> int | None:
        """Of a collection."""
        return None if self.manifest is None else self.manifest.generation

    @property
    def positions(self) -> int:
        """Positions, with those of removed codes."""
        return sum(file.codes for file in self.files) if self.manifest is None else self.manifest.positions

    def specs(self, shards: int, verify: bool) -> list[Spec]:
        """Parts of about one size; fewer than asked for where there are fewer blocks of 512 codes."""
        lengths = [self.positions] if self.manifest is not None else [file.codes for file in self.files]
        parts = cut(lengths, shards)
        specs = []
        for number, part in enumerate(parts, start=1):
            runs = tuple(self._run(*run) for run in part)
            of = ", ".join(dict.fromkeys(places.base(run.place) for run in runs)) or "empty"
            specs.append(Spec(f"shard {number} of {len(parts)} ({of})", self.bits, runs, verify))
        return specs

    def _run(self, file: int, begin: int, end: int) -> Run:
        if self.manifest is None:
            return Run(begin, end, self.files[file], self.files[file].place, None)
        base, first = 0, 0
        kept: list[Entry] = []
        for entry in self.manifest.entries:
            if base < end and base + entry.codes > begin:
                first = base if not kept else first
                kept.append(entry)
            base += entry.codes
        last = first + sum(entry.codes for entry in kept)
        alive = None if self.manifest.alive is None else alive_between(self.manifest.alive, first, last)
        part = self.manifest._replace(entries=tuple(kept), alive=alive)
        return Run(begin - first, end - first, None, self.places[0], part)


def cut(lengths: Sequence[int], shards: int) -> list[list[tuple[int, int, int]]]:
    """Runs (file, begin, end) of each part; within a file parts end with whole blocks."""
    total, ends = sum(lengths), np.cumsum([0, *lengths])
    cuts = [0]
    for number in range(1, shards):
        wanted = total * number // shards
        file = min(int(np.searchsorted(ends, wanted, side="right")) - 1, len(lengths) - 1)
        within = min(round((wanted - int(ends[file])) / BLOCK) * BLOCK, lengths[file])
        cuts.append(max(cuts[-1], int(ends[file]) + within))
    cuts.append(total)
    parts = []
    for first, last in itertools.pairwise(cuts):
        runs = []
        for file, begin in enumerate(ends[:-1].tolist()):
            low, high = max(first, begin), min(last, begin + lengths[file])
            if low < high:
                runs.append((file, low - begin, high - begin))
        if runs:
            parts.append(runs)
    return parts or [[]]


def find(source: Any) -> Source:
    """Look at a collection, a folder of index files, one index file, or a list of them; paths or URIs.

    Raises
    ------
    InputError, FormatError, OSError
        There is nothing of the kind, it is damaged, or files do not go together; the message names the place.
    """
    if isinstance(source, (str, os.PathLike)):
        place = places.name_of(source)
        if not places.is_folder(place):
            return _of_files([place])
        listed = places.names_in(place)
        if any(names._GENERATION.fullmatch(name) for name in listed):
            return _of_collection(place)
        found = sorted(name for name in listed if name.endswith(SUFFIX) and not name.startswith("."))
        if not found:
            raise FormatError(f"{place} is no collection and holds no index files (*{SUFFIX})")
        return _of_files([places.joined(place, name) for name in found])
    if hasattr(source, "path") and hasattr(source, "generation"):  # an open collection
        return find(source.path)
    if not isinstance(source, Iterable):
        raise TypeError(f"source must be a collection, paths or URIs, got {type(source).__name__}")
    listed = [places.name_of(place) for place in source]
    if not listed:
        raise InputError("source is an empty list: name at least one index file")
    return _of_files(listed)


def _of_collection(place: str) -> Source:
    for _ in range(_TRIES):
        there = sorted(int(name[:12]) for name in places.names_in(place) if names._GENERATION.fullmatch(name))
        if not there:
            raise FormatError(f"{place} is no collection: it has no manifest")
        name = names.manifest_name(there[-1])
        try:
            manifest = read_manifest(_manifest_at(places.joined(place, name)))
        except FileNotFoundError:  # replaced meanwhile
            continue
        return Source(
            (place,), manifest.bits, manifest.bitorder, manifest.multi, manifest.ids, manifest.next_id, (), manifest
        )
    raise FormatError(f"{place} changes faster than it can be opened")


def _manifest_at(place: str) -> Path:
    return places.local(place, places.size_of(place) if places.is_uri(place) else "")


def _of_files(found: list[str]) -> Source:
    if len(set(found)) < len(found):
        twice = next(place for place in found if found.count(place) > 1)
        raise InputError(f"source names {twice} twice")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        files = tuple(pool.map(described, found))
    first = files[0]
    for other in files[1:]:
        for what, ours, theirs in (
            ("bits", first.bits, other.bits),
            ("bitorder", first.bitorder, other.bitorder),
            ("multi", first.multi, other.multi),
        ):
            if ours != theirs:
                raise InputError(f"{first.place} has {what} {ours}, {other.place} has {theirs}; shards must be alike")
    filled = [file for file in files if file.codes] or [first]
    kinds = {"positions" if file.ids == "own" else file.ids: file for file in filled}
    if len(kinds) > 1:
        (kind, one), (another, two) = list(kinds.items())[:2]
        raise InputError(f"ids of {one.place} are {kind}, of {two.place} {another}; give all of them one kind")
    ids = filled[0].ids if len(files) == 1 else next(iter(kinds))
    total = sum(file.codes for file in files)
    next_id = first.next_id if len(files) == 1 else total
    return Source(tuple(found), first.bits, first.bitorder, first.multi, ids, next_id, files)


def described(place: str) -> File:
    """What the header of an index file says.

    Raises
    ------
    FormatError, InputError, OSError
        It is no index file, or cannot be read.
    """
    size, head = places.size_of(place), places.read(place, _HEAD)
    image = np.zeros(size, np.uint8)  # memory that nobody looks at is not taken
    image[: len(head)] = np.frombuffer(head, np.uint8)[:size]
    header, sections = storage._read_header(image, place)
    flags = header.flags
    if flags & storage._CUSTOM_IDS:
        kind = "strings" if flags & storage._STRINGS else "integers"
    else:
        kind = "own" if "ids" in sections else "positions"
    order: BitOrder = "big" if flags & storage._BIG_BITORDER else "little"
    multi = bool(flags & storage._REPEATED_IDS)
    mark = int.from_bytes(head[44:48], "little")
    return File(place, header.bits, order, multi, kind, header.next_id, header.n, size, mark)
