"""What one generation of a collection is: which codes of which files, which of them were removed, and what ids are."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.files import replacing
from udsph.hamming.codes import MAX_BITS, BitOrder
from udsph.hamming.collection import container
from udsph.hamming.collection.container import Writer
from udsph.hamming.collection.folder import is_segment
from udsph.hamming.filters import BLOCK, Alive
from udsph.hamming.names import MAX_ID
from udsph.hamming.storage import FormatError

KIND = "manifest"
KINDS_OF_IDS = ("positions", "own", "integers", "strings")
MOST_CODES = 1 << 48  # of an index

_SECTIONS = ("manifest", "removed", "alive")
_MOST_BYTES = 1 << 24  # of the text
MOST_KEPT = 1 << 16
_TOKEN = re.compile("[0-9a-f]{0,32}")

Positions = NDArray[np.int64]


class Entry(NamedTuple):
    """A file of codes, of which the first ``codes`` are used."""

    file: str
    codes: int
    size: int  # of the file
    mark: int  # of the file; see ``container.Container``


class Manifest(NamedTuple):
    """One generation.

    ids : "positions" (none is stored), "own" (positions that closed up), or those of the caller
    epoch : counts how often positions closed up; within one, a position keeps its code
    token : tells the collection from others, which may be made in its place; of early ones empty
    mark : of the file that was read, which tells it from others of its name
    """

    generation: int
    bits: int
    bitorder: BitOrder
    multi: bool
    ids: str
    next_id: int
    keep: int
    epoch: int
    entries: tuple[Entry, ...]
    alive: Alive | None
    token: str = ""
    mark: int = 0

    @property
    def positions(self) -> int:
        """Codes, removed ones included."""
        return sum(entry.codes for entry in self.entries)


def write_manifest(path: Path, manifest: Manifest, *, durable: bool) -> None:
    """Write a manifest under its final name, whole or not at all."""
    alive, n = manifest.alive, manifest.positions
    text = {
        "format": "udsph collection",
        "collection": manifest.token,
        "generation": manifest.generation,
        "bits": manifest.bits,
        "bitorder": manifest.bitorder,
        "multi": manifest.multi,
        "ids": manifest.ids,
        "next_id": manifest.next_id,
        "keep": manifest.keep,
        "epoch": manifest.epoch,
        "codes": n - (0 if alive is None else alive.dead),
        "positions": n,
        "segments": [entry._asdict() for entry in manifest.entries],
    }
    with replacing(path, durable=durable) as file:
        writer = Writer(file, KIND)
        writer.add("manifest", [np.frombuffer(json.dumps(text, indent=1).encode(), np.uint8)])
        if alive is not None and alive.dead:
            data = alive.words(n).view(np.uint8)[: (n + 7) // 8]
            if n % 8:
                data[-1] &= (1 << n % 8) - 1
            if 64 * alive.dead < n:
                writer.add("removed", [_gone(data, n).astype("<i8")])
            else:
                writer.add("alive", [data])
        writer.finish()


def _gone(data: NDArray[np.uint8], n: int) -> Positions:
    """Positions of n whose bit is not set."""
    places = np.flatnonzero(data != 255)
    bits = np.unpackbits(data[places], bitorder="little").reshape(-1, 8)
    which, bit = np.nonzero(bits == 0)
    positions = 8 * places[which] + bit
    return positions[positions < n]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; every checksum is compared.

    Raises
    ------
    FormatError, OSError
        It is damaged, of a later version, not what ``write_manifest`` leaves, or cannot be read.
    """
    name = os.fspath(path)
    with container.opened(path) as file:
        image = np.frombuffer(file.read(), np.uint8)
        contents = container.parse(image, name, KIND, _SECTIONS)
        parts = {
            section.name: b"".join(container.verified(file, section, name)) for section in contents.sections.values()
        }
    contents.section("manifest")
    manifest, codes = _Reader(parts["manifest"], name).manifest()
    return manifest._replace(alive=_read_alive(parts, manifest, name, codes), mark=contents.mark)


def is_read(path: Path, manifest: Manifest) -> bool:
    """Whether a file is the one that a manifest was read from: one that was taken back is followed by another."""
    with container.opened(path) as file:
        return container.mark_of(file.read(container.HEADER_BYTES)) == manifest.mark


def _read_alive(parts: dict[str, bytes], manifest: Manifest, name: str, codes: int) -> Alive | None:
    n = manifest.positions
    dead = n - codes
    if dead == 0 and not parts.keys() & {"removed", "alive"}:
        return None
    if "removed" in parts and "alive" not in parts and len(parts["removed"]) == 8 * dead:
        gone = np.frombuffer(parts["removed"], "<i8").astype(np.int64)
        if gone[0] >= 0 and gone[-1] < n and (gone[1:] > gone[:-1]).all():
            return Alive.without(None, n, gone)
    elif "alive" in parts and "removed" not in parts and len(parts["alive"]) == (n + 7) // 8:
        data = np.frombuffer(parts["alive"], np.uint8)
        bits = np.unpackbits(data, bitorder="little")
        if not bits[n:].any() and int(bits.sum()) == codes:
            return Alive(data, n, dead)
    raise FormatError(f"{name} does not say which {dead} of {n} codes were removed")


class _Reader:
    """Reads the text of a manifest, value by value."""

    def __init__(self, text: bytes, name: str) -> None:
        self._name = name
        if len(text) > _MOST_BYTES:
            raise FormatError(f"{name}: the manifest has {len(text)} bytes, more than {_MOST_BYTES}")
        try:
            self._values = json.loads(text.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{name}: the manifest is not JSON ({error})") from None
        if not isinstance(self._values, dict) or self._values.get("format") != "udsph collection":
            raise FormatError(f"{name} is not the manifest of a collection")

    def manifest(self) -> tuple[Manifest, int]:
        """The manifest but for what was removed, and the number of codes that were not."""
        values = self._values
        token = values.get("collection", "")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise self._wrong("collection", token)
        needs = values.get("requires", [])
        if needs != []:
            raise FormatError(f"{self._name} requires {needs!r:.200} of a later release, which reads it")
        segments = values.get("segments")
        if not isinstance(segments, list):
            raise self._wrong("segments", segments)
        entries = tuple(map(self._entry, segments))
        manifest = Manifest(
            self._integer(values, "generation", 0, MAX_ID),
            self._integer(values, "bits", 1, MAX_BITS),
            self._choice(values, "bitorder", ("little", "big")),
            self._choice(values, "multi", (False, True)),
            self._choice(values, "ids", KINDS_OF_IDS),
            self._integer(values, "next_id", 0, MAX_ID),
            self._integer(values, "keep", 1, MOST_KEPT),
            self._integer(values, "epoch", 0, MAX_ID),
            entries,
            None,
            token,
        )
        n = manifest.positions
        if n > MOST_CODES or self._integer(values, "positions", 0, MAX_ID) != n:
            raise FormatError(f"{self._name}: {values['positions']} positions, but its segments have {n} codes")
        if any(entry.codes % BLOCK for entry in entries[:-1]):
            raise FormatError(f"{self._name}: a segment but the last ends within a block")
        if len({entry.file for entry in entries}) < len(entries):
            raise FormatError(f"{self._name} names a file twice")
        if manifest.ids == "positions" and manifest.next_id != n:
            raise FormatError(f"{self._name}: the next id is {manifest.next_id} after {n} codes")
        return manifest, self._integer(values, "codes", 0, n)

    def _entry(self, values: Any) -> Entry:
        if not isinstance(values, dict):
            raise self._wrong("segments", values)
        file = values.get("file")
        if not isinstance(file, str) or not is_segment(file):
            raise self._wrong("file", file)
        return Entry(
            file,
            self._integer(values, "codes", 1, MOST_CODES),
            self._integer(values, "size", 0, MAX_ID),
            self._integer(values, "mark", 0, (1 << 32) - 1),
        )

    def _integer(self, values: dict[str, Any], key: str, least: int, most: int) -> int:
        value = values.get(key)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(key, value)
        return value

    def _choice(self, values: dict[str, Any], key: str, choices: tuple[Any, ...]) -> Any:
        value = values.get(key)
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise self._wrong(key, value)

    def _wrong(self, key: str, value: Any) -> FormatError:
        return FormatError(f"{self._name}: {key} is {value!r:.80}, which it cannot be")
