"""The index file: write, open, map, verify. ``docs/file-format.md`` describes it byte by byte."""

from __future__ import annotations

import contextlib
import mmap as memory_map
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import backend
from udsph.hamming.codes import MAX_BITS, BitOrder
from udsph.hamming.ids import Ids

MAGIC = b"UDSPHIDX"
VERSION = 1
ALIGNMENT = 4096  # sections begin at pages, so that a mapped block is aligned

# magic, version, bytes of header and table, bits, flags, codes, next id, sections, checksum of the rest of both
_HEADER = struct.Struct("<8sIIIIQQII")
_SECTION = struct.Struct("<8sQQIIQ")  # name, offset, length, checksum, reserved, reserved
_BIG_BITORDER, _CUSTOM_IDS = 1, 2
_MAX_SECTIONS = 64
_BYTES_PER_STEP = 1 << 24
_BLOCK = 512


class FormatError(ValueError):
    """A file is damaged, truncated, or not an index; the message says what is wrong."""


class Contents(NamedTuple):
    """What a file holds."""

    bits: int
    bitorder: BitOrder
    n: int
    ids: Ids
    codes: Any  # _native.Blocks or rows.Rows


class _Section(NamedTuple):
    name: bytes
    offset: int
    length: int
    checksum: int


def write(path: str | os.PathLike[str], contents: Contents) -> None:
    """Write a file beside ``path`` and rename it into place; a failure leaves nothing behind."""
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            _write_contents(file, contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        raise


def read(path: str | os.PathLike[str], *, mmap: bool, verify: bool) -> Contents:
    """Read or map a file; raises ``FormatError`` where it is not what ``write`` leaves."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header, sections = _read_header(file, size, path)
        bits, flags, n, next_id = header
        blocks = -(-n // _BLOCK)
        expected = {b"codes": blocks * bits * (_BLOCK // 8)}
        if b"ids" in sections:
            expected[b"ids"] = 8 * n
        for name, length in expected.items():
            _check_section(sections, name, length, size, path)
        if flags & _CUSTOM_IDS and n and b"ids" not in sections:
            raise FormatError(f"{path}: the ids are missing")
        if verify:
            for section in sections.values():
                _verify(file, section, path)
        words = _section_words(file, sections[b"codes"], mmap, path)
        explicit = None
        if b"ids" in sections:
            explicit = _section_words(file, sections[b"ids"], False, path).view(np.int64)
            if n and int(explicit.min()) < 0:
                raise FormatError(f"{path}: the ids section holds a negative id")
    ids = Ids(explicit, custom=bool(flags & _CUSTOM_IDS), next_id=next_id)
    bitorder: BitOrder = "big" if flags & _BIG_BITORDER else "little"
    return Contents(bits, bitorder, n, ids, backend.map_store(bits, n, words))


def _write_contents(file: Any, contents: Contents) -> None:
    names = [b"codes"] if contents.ids.explicit is None else [b"codes", b"ids"]
    file.seek(_HEADER.size + len(names) * _SECTION.size)
    sections = []
    for name in names:
        file.seek(-(-file.tell() // ALIGNMENT) * ALIGNMENT)
        offset, checksum = file.tell(), 0
        for piece in _pieces(name, contents):
            checksum = zlib.crc32(piece, checksum)
            file.write(piece)
        sections.append(_Section(name, offset, file.tell() - offset, checksum))
    file.truncate(max(file.tell(), ALIGNMENT))
    flags = (_BIG_BITORDER if contents.bitorder == "big" else 0) | (_CUSTOM_IDS if contents.ids.custom else 0)
    table = b"".join(_SECTION.pack(s.name, s.offset, s.length, s.checksum, 0, 0) for s in sections)
    length = _HEADER.size + len(table)
    fields = (MAGIC, VERSION, length, contents.bits, flags, contents.n, contents.ids.next_id, len(sections))
    checksum = zlib.crc32(_HEADER.pack(*fields, 0)[:-4] + table)
    file.seek(0)
    file.write(_HEADER.pack(*fields, checksum) + table)


def _pieces(name: bytes, contents: Contents) -> Iterator[memoryview]:
    """The bytes of a section, in pieces that fit in memory."""
    if name == b"ids":
        explicit = contents.ids.explicit
        assert explicit is not None
        yield explicit[: contents.n].astype("<i8", copy=False).view(np.uint8).data
        return
    blocks = -(-contents.n // _BLOCK)
    step = max(1, _BYTES_PER_STEP // (contents.bits * (_BLOCK // 8)))
    for begin in range(0, blocks, step):
        words = contents.codes.words(begin, min(begin + step, blocks))
        yield np.ascontiguousarray(words, "<u8").reshape(-1).view(np.uint8).data


def _read_header(file: Any, size: int, path: Any) -> tuple[tuple[int, int, int, int], dict[bytes, _Section]]:
    """Bits, flags, number of codes, next id; and the sections by name."""
    start = file.read(_HEADER.size)
    if start[:8] != MAGIC:
        raise FormatError(f"{path} is not an index of udsph.hamming (its first bytes are {bytes(start[:8])!r})")
    if len(start) < _HEADER.size:
        raise FormatError(f"{path} is truncated: {size} bytes are less than a header")
    _, version, length, bits, flags, n, next_id, count, checksum = _HEADER.unpack(start)
    if version != VERSION:
        raise FormatError(f"{path} has format version {version}; this release reads version {VERSION}")
    if count > _MAX_SECTIONS or length != _HEADER.size + count * _SECTION.size:
        raise FormatError(f"{path}: the header is damaged ({count} sections in {length} bytes)")
    table = file.read(count * _SECTION.size)
    if len(table) < count * _SECTION.size:
        raise FormatError(f"{path} is truncated: {size} bytes end within the section table")
    if zlib.crc32(start[:-4] + table) != checksum:
        raise FormatError(f"{path}: the header is damaged (its checksum differs)")
    if not 1 <= bits <= MAX_BITS:
        raise FormatError(f"{path}: {bits} bits are not a width from 1 to {MAX_BITS}")
    sections = {}
    for name, offset, length, crc, _, _ in _SECTION.iter_unpack(table):
        sections[name.rstrip(b"\0")] = _Section(name.rstrip(b"\0"), offset, length, crc)
    return (bits, flags, n, next_id), sections


def _check_section(sections: dict[bytes, _Section], name: bytes, length: int, size: int, path: Any) -> None:
    if name not in sections:
        raise FormatError(f"{path}: the {name.decode()} section is missing")
    section = sections[name]
    if section.length != length or section.offset % ALIGNMENT:
        raise FormatError(f"{path}: the {name.decode()} section has {section.length} bytes, {length} were expected")
    if section.offset + section.length > size:
        raise FormatError(f"{path} is truncated: it has {size} bytes, {section.offset + section.length} are needed")


def _verify(file: Any, section: _Section, path: Any) -> None:
    file.seek(section.offset)
    left, checksum = section.length, 0
    while left:
        piece = file.read(min(left, _BYTES_PER_STEP))
        if not piece:
            raise FormatError(f"{path} is truncated within the section {section.name.decode(errors='replace')!r}")
        checksum = zlib.crc32(piece, checksum)
        left -= len(piece)
    if checksum != section.checksum:
        raise FormatError(
            f"{path}: the section {section.name.decode(errors='replace')!r} is damaged (its checksum differs)"
        )


def _section_words(file: Any, section: _Section, mapped: bool, path: Any) -> NDArray[np.uint64]:
    """The words of a section, mapped, or read to memory that is aligned to 64 bytes."""
    count = section.length // 8
    if count == 0:
        return np.empty(0, np.uint64)
    if mapped:
        mapping = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_READ)
        return np.frombuffer(mapping, "<u8", count, section.offset)
    memory = np.empty(count + 8, "<u8")
    first = -memory.ctypes.data // 8 % 8
    words = memory[first : first + count]
    file.seek(section.offset)
    if file.readinto(words.view(np.uint8).data) != section.length:
        raise FormatError(f"{path} is truncated within the section {section.name.decode()!r}")
    return words
