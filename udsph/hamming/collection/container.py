"""Version 2 of the file format: named sections, 64-bit sizes, a checksum per mebibyte (``docs/file-format.md``).

One container serves codes (``segment_file``) and manifests (``manifest``). Nothing of a file is believed before it was
compared with the file's size and, for what steers the reading, with a checksum.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.storage import ALIGNMENT, MAGIC, FormatError

VERSION = 2
CHUNK = 1 << 20  # bytes of a section under one checksum

# magic, version, flags, kind, size of the file, offset of the table, sections, bytes of a chunk, checksum of the table,
# reserved, reserved, checksum of the header
_HEADER = struct.Struct("<8sII8sQQIIIIII")
_ENTRY = struct.Struct("<16sQQIIQ")  # name, offset, length, checksum, flags, reserved
_REQUIRED = 1  # a reader that does not know this section must refuse the file
_MOST_SECTIONS = 64
HEADER_BYTES = _HEADER.size
_LEAST_CHUNK, _MOST_CHUNK = 1 << 12, 1 << 26

Image = NDArray[np.uint8]


class Section(NamedTuple):
    """Where the bytes of a section are, and the checksum of each of its chunks."""

    name: str
    offset: int
    length: int
    chunk: int  # bytes of a chunk; the last one may be shorter
    checksums: NDArray[np.uint32]


class Container(NamedTuple):
    """What a file says of itself. ``mark`` tells it from every other file: a checksum over all its checksums."""

    name: str
    size: int
    mark: int
    sections: dict[str, Section]

    def section(self, name: str, length: int | None = None) -> Section:
        """A section that must be there and, if that is known, have a length."""
        if name not in self.sections:
            raise FormatError(f"{self.name}: the section {name!r} is missing")
        found = self.sections[name]
        if length is not None and found.length != length:
            raise FormatError(f"{self.name}: the section {name!r} has {found.length} bytes, {length} were expected")
        return found


class Writer:
    """Writes sections one after the other to an empty file, and at last what tells where they are."""

    def __init__(self, file: IO[bytes], kind: str) -> None:
        self._file = file
        self._kind = kind
        self._entries: list[tuple[str, int, int, int]] = []
        self._chunks = b""
        self._place = 0
        self._write(bytes(ALIGNMENT))

    def add(self, name: str, pieces: Iterable[Any], *, required: bool = True) -> None:
        """Write a section, an array after the other."""
        self._write(bytes(-self._place % ALIGNMENT))
        offset, checksums, open_crc, room = self._place, [], 0, CHUNK
        for piece in pieces:
            data = np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data
            while len(data):
                part, data = data[:room], data[room:]
                self._write(part)
                open_crc, room = zlib.crc32(part, open_crc), room - len(part)
                if room == 0:
                    checksums.append(open_crc)
                    open_crc, room = 0, CHUNK
        if room < CHUNK or not checksums:
            checksums.append(open_crc)
        checksum = checksums[0]
        if len(checksums) > 1:
            packed = np.array(checksums, "<u4").tobytes()
            checksum, self._chunks = zlib.crc32(packed), self._chunks + packed
        entry = (name.encode(), offset, self._place - offset, checksum, _REQUIRED if required else 0, 0)
        self._entries.append(entry)  # type: ignore[arg-type]

    def finish(self) -> tuple[int, int]:
        """Write table and header; returns the size and the mark of the file."""
        self._write(bytes(-self._place % 8))
        table = b"".join(_ENTRY.pack(*entry) for entry in self._entries) + self._chunks
        start, mark = self._place, zlib.crc32(table)
        self._write(table)
        fields = (MAGIC, VERSION, 0, self._kind.encode(), self._place, start, len(self._entries), CHUNK, mark, 0, 0)
        header = _HEADER.pack(*fields, 0)[:-4]
        self._file.seek(0)
        self._file.write(header + struct.pack("<I", zlib.crc32(header)))
        return self._place, mark

    def _write(self, data: Any) -> None:
        self._file.write(data)
        self._place += len(data)


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading; what is none is refused, such as a pipe, which would wait for ever.

    Raises
    ------
    FormatError, OSError
        It is no regular file; it cannot be opened.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FormatError(f"{os.fspath(path)} is not a regular file")
    return file


def mark_of(start: bytes) -> int | None:
    """The mark in a header, which is not checked; None: it is not whole."""
    return _HEADER.unpack(start)[8] if len(start) == HEADER_BYTES else None


def parse(image: Image, name: str, kind: str, known: Iterable[str]) -> Container:
    """What the image of a file holds; its sections lie within it.

    Raises
    ------
    FormatError
        It is damaged, truncated, of another kind, of a later version, or asks for what this release does not know.
    """
    start = image[: _HEADER.size].tobytes()
    if start[:8] != MAGIC:
        raise FormatError(f"{name} is no file of udsph.hamming (its first bytes are {start[:8]!r})")
    if len(start) < _HEADER.size:
        raise FormatError(f"{name} is truncated: {len(image)} bytes are less than a header")
    _, version, flags, of_kind, size, place, count, chunk, mark, _, _, checksum = _HEADER.unpack(start)
    if version != VERSION:
        raise FormatError(f"{name} has format version {version}; this release reads version {VERSION} here")
    if zlib.crc32(start[:-4]) != checksum:
        raise FormatError(f"{name}: the header is damaged (its checksum differs)")
    if flags:
        raise FormatError(f"{name}: the flags {flags:#x} have a meaning that this release does not know")
    if of_kind.rstrip(b"\0") != kind.encode():
        raise FormatError(f"{name} holds {of_kind.rstrip(bytes(1))!r}, {kind.encode()!r} was expected")
    if size != len(image):
        wrong = "truncated" if size > len(image) else "damaged"
        raise FormatError(f"{name} is {wrong}: it has {len(image)} bytes, its header says {size}")
    if not _LEAST_CHUNK <= chunk <= _MOST_CHUNK:
        raise FormatError(f"{name}: the header is damaged (checksums of {chunk} bytes each)")
    if count > _MOST_SECTIONS or not _HEADER.size <= place <= size - count * _ENTRY.size:
        raise FormatError(f"{name}: the header is damaged ({count} sections, their table at {place} of {size} bytes)")
    table = image[place:].tobytes()
    if zlib.crc32(table) != mark:
        raise FormatError(f"{name}: the table of sections is damaged (its checksum differs)")
    return Container(name, size, mark, _sections(table, count, place, chunk, name, set(known)))


def _sections(table: bytes, count: int, end: int, chunk: int, file: str, known: set[str]) -> dict[str, Section]:
    """The sections, all before the table, which ends at ``end``, and that checksums are there for each."""
    sections: dict[str, Section] = {}
    used = count * _ENTRY.size
    for packed, offset, length, checksum, flags, _ in _ENTRY.iter_unpack(table[:used]):
        name = packed.rstrip(b"\0").decode("latin-1")
        if name in sections:
            raise FormatError(f"{file}: the section {name!r} is there twice")
        if offset % ALIGNMENT:
            raise FormatError(f"{file}: the section {name!r} begins at {offset}, not at a page")
        if offset < ALIGNMENT or offset + length > end:
            raise FormatError(f"{file}: the section {name!r}, {length} bytes at {offset}, is not within the file")
        if flags & ~_REQUIRED:
            raise FormatError(f"{file}: the section {name!r} has flags {flags:#x}, which this release does not know")
        if flags & _REQUIRED and name not in known:
            raise FormatError(f"{file}: the section {name!r} is of a later release, which reads the file")
        checksums = np.array([checksum], np.uint32)
        if length > chunk:
            bytes_of_them = 4 * -(-length // chunk)
            packed = table[used : used + bytes_of_them]
            used += bytes_of_them
            if len(packed) != bytes_of_them or zlib.crc32(packed) != checksum:
                raise FormatError(f"{file}: the checksums of the section {name!r} are damaged")
            checksums = np.frombuffer(packed, "<u4")
        sections[name] = Section(name, offset, length, chunk, checksums)
    if used != len(table):
        raise FormatError(f"{file}: the table of sections has {len(table)} bytes, {used} are described")
    return sections


def verified(file: IO[bytes], section: Section, name: str, first: int = 0) -> Iterator[bytes]:
    """The chunks of a section from that with the byte ``first`` on, each compared with its checksum.

    Read, not mapped: a failing disk or a file that was cut meanwhile is an exception and not a signal.

    Raises
    ------
    FormatError
        A chunk is damaged or missing; the message says where.
    """
    for number in range(min(first, max(section.length - 1, 0)) // section.chunk, len(section.checksums)):
        begin = number * section.chunk
        want = min(section.chunk, section.length - begin)
        file.seek(section.offset + begin)
        data = file.read(want)
        if len(data) != want:
            raise FormatError(f"{name} is truncated within the section {section.name!r}")
        if zlib.crc32(data) != section.checksums[number]:
            where = f"bytes {begin} to {begin + want} of the section {section.name!r} are damaged"
            raise FormatError(f"{name}: {where} (their checksum differs)")
        yield data
