"""The index file: write, open, map, verify. ``docs/file-format.md`` describes it byte by byte.

A file, the bytes of one and a pickled index are the same image; ``parse`` reads all three.
"""

from __future__ import annotations

import io
import mmap as memory_map
import os
import stat
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.files import PathLike, replacing
from udsph.hamming import backend
from udsph.hamming.codes import MAX_BITS, BitOrder
from udsph.hamming.filters import BLOCK
from udsph.hamming.ids import Ids
from udsph.hamming.names import MAX_ID, Column, FormatError, Integers, Strings
from udsph.hamming.segments import Segment, Snapshot, extended

MAGIC = b"UDSPHIDX"
VERSION = 1
ALIGNMENT = 4096  # sections begin at pages, so that a mapped block is aligned

# magic, version, bytes of header and table, bits, flags, codes, next id, sections, checksum of the rest of both
_HEADER = struct.Struct("<8sIIIIQQII")
_SECTION = struct.Struct("<8sQQIIQ")  # name, offset, length, checksum, reserved, reserved
_BIG_BITORDER, _CUSTOM_IDS, _REPEATED_IDS, _STRINGS = 1, 2, 4, 8
_MAX_SECTIONS = 64

Image = NDArray[np.uint8]


class Contents(NamedTuple):
    """What a file holds."""

    bitorder: BitOrder
    snapshot: Snapshot


class _Header(NamedTuple):
    bits: int
    flags: int
    n: int
    next_id: int


class _Section(NamedTuple):
    name: str
    offset: int
    length: int
    checksum: int


def write(target: PathLike | Any, contents: Contents) -> None:
    """Write to a path, whole or not at all, or to an open binary file at its position."""
    if isinstance(target, (str, os.PathLike)):
        with replacing(target) as file:
            if file.seekable():
                _write(file, contents)
            else:  # a pipe
                _write_all(file, image_of(contents).data)
    elif hasattr(target, "write"):
        _write_all(target, image_of(contents).data)  # it may not be able to go back to its header
    else:
        raise TypeError(f"file must be a path or a binary file, got {type(target).__name__}")


def image_of(contents: Contents) -> Image:
    """The bytes that ``write`` would write."""
    file = io.BytesIO()
    _write(file, contents)
    return np.frombuffer(file.getbuffer(), np.uint8)


def read(source: PathLike | Any, *, mmap: bool, verify: bool) -> Contents:
    """Read or map a path, or read the rest of an open binary file."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                image = (mapped if mmap else _load)(file, status.st_size)
            else:  # a pipe: it has no size and cannot be mapped
                image = aligned(np.frombuffer(file.read(), np.uint8))
        return parse(image, os.fsdecode(source), verify=verify)
    if not hasattr(source, "read"):
        raise TypeError(f"file must be a path or a binary file, got {type(source).__name__}")
    name = getattr(source, "name", None)  # of a socket or a pipe it is a number
    data = source.read()
    if data is None:
        raise BlockingIOError("the file has no data now: it does not wait for them")
    return parse(aligned(np.frombuffer(data, np.uint8)), name if isinstance(name, str) else "the file", verify=verify)


def parse(image: Image, name: str, *, verify: bool) -> Contents:
    """Read the image of an index, which stays in use; raises ``FormatError`` where it is not what ``write`` leaves."""
    header, sections = _read_header(image, name)
    codes = _section(sections, "codes", -(-header.n // BLOCK) * header.bits * (BLOCK // 8), image, name)
    if verify:
        for section in sections.values():
            _verify(image, section, name)
    ids = _read_ids(header, _read_column(header, sections, image, name, verify), name, verify)
    empty, segments = _segments(header, codes.view(np.uint64), name)
    bitorder: BitOrder = "big" if header.flags & _BIG_BITORDER else "little"
    return Contents(bitorder, Snapshot(empty, segments, ids))


def _write(file: Any, contents: Contents) -> None:
    snapshot = contents.snapshot
    ids, n, start = snapshot.ids, len(snapshot), file.tell()
    contained: dict[str, Any] = {"codes": snapshot.blocks()}
    if not ids.positional or snapshot.alive is not None:
        column = snapshot.column()
        if isinstance(column, Strings):
            contained["strings"] = [column.offsets, column.data]
        else:
            contained["ids"] = [column.values]
    place = _HEADER.size + len(contained) * _SECTION.size
    file.write(bytes(place))
    sections = []
    for name, pieces in contained.items():
        file.write(bytes(-place % ALIGNMENT))
        place = offset = place + -place % ALIGNMENT
        checksum = 0
        for piece in pieces:
            little = piece.astype(piece.dtype.newbyteorder("<"), copy=False)
            data = np.ascontiguousarray(little).reshape(-1).view(np.uint8).data
            checksum = zlib.crc32(data, checksum)
            file.write(data)
            place += len(data)
        sections.append(_Section(name, offset, place - offset, checksum))
    file.write(bytes(max(0, ALIGNMENT - place)))
    end = file.tell()
    flags = _BIG_BITORDER if contents.bitorder == "big" else 0
    flags |= (_CUSTOM_IDS if ids.custom else 0) | (_REPEATED_IDS if ids.multi else 0)
    flags |= _STRINGS if ids.kind == "strings" else 0
    table = b"".join(_SECTION.pack(s.name.encode(), s.offset, s.length, s.checksum, 0, 0) for s in sections)
    length = _HEADER.size + len(table)
    fields = (MAGIC, VERSION, length, snapshot.bits, flags, n, ids.next_id, len(sections))
    file.seek(start)
    file.write(_HEADER.pack(*fields, zlib.crc32(_HEADER.pack(*fields, 0)[:-4] + table)) + table)
    file.seek(end)


def _read_header(image: Image, file: str) -> tuple[_Header, dict[str, _Section]]:
    size = len(image)
    start = image[: _HEADER.size].tobytes()
    if start[:8] != MAGIC:
        raise FormatError(f"{file} is not an index of udsph.hamming (its first bytes are {start[:8]!r})")
    if len(start) < _HEADER.size:
        raise FormatError(f"{file} is truncated: {size} bytes are less than a header")
    _, version, length, bits, flags, n, next_id, count, checksum = _HEADER.unpack(start)
    if version != VERSION:
        raise FormatError(f"{file} has format version {version}; this release reads version {VERSION}")
    if count > _MAX_SECTIONS or length != _HEADER.size + count * _SECTION.size:
        raise FormatError(f"{file}: the header is damaged ({count} sections in {length} bytes)")
    table = image[_HEADER.size : length].tobytes()
    if len(table) < count * _SECTION.size:
        raise FormatError(f"{file} is truncated: {size} bytes end within the section table")
    if zlib.crc32(start[:-4] + table) != checksum:
        raise FormatError(f"{file}: the header is damaged (its checksum differs)")
    if not 1 <= bits <= MAX_BITS:
        raise FormatError(f"{file}: {bits} bits are not a width from 1 to {MAX_BITS}")
    if flags & ~(_BIG_BITORDER | _CUSTOM_IDS | _REPEATED_IDS | _STRINGS):
        raise FormatError(f"{file}: the flags {flags:#x} have a meaning that this release does not know")
    if n > MAX_ID or next_id > MAX_ID:
        raise FormatError(f"{file}: {n} codes with {next_id} as the next id are beyond 2**63 - 1")
    sections: dict[str, _Section] = {}
    for name, offset, length, crc, *_ in _SECTION.iter_unpack(table):
        section = _Section(name.rstrip(b"\0").decode("latin-1"), offset, length, crc)
        if section.name in sections:
            raise FormatError(f"{file}: the section {section.name!r} is there twice")
        if offset % ALIGNMENT:
            raise FormatError(f"{file}: the section {section.name!r} begins at {offset}, not at a page")
        if offset + length > size:
            raise FormatError(f"{file} is truncated: it has {size} bytes, {offset + length} are needed")
        sections[section.name] = section
    return _Header(bits, flags, n, next_id), sections


def _section(sections: dict[str, _Section], name: str, length: int, image: Image, file: str) -> Image:
    """The bytes of a section that must have a length."""
    if name not in sections:
        raise FormatError(f"{file}: the {name} section is missing")
    section = sections[name]
    if section.length != length:
        raise FormatError(f"{file}: the {name} section has {section.length} bytes, {length} were expected")
    return image[section.offset : section.offset + length]


def _verify(image: Image, section: _Section, file: str) -> None:
    if zlib.crc32(image[section.offset : section.offset + section.length].data) != section.checksum:
        raise FormatError(f"{file}: the section {section.name!r} is damaged (its checksum differs)")


def _read_column(
    header: _Header, sections: dict[str, _Section], image: Image, file: str, verify: bool
) -> Column | None:
    """The ids that are stored, or None."""
    if header.flags & _STRINGS:
        return _read_strings(header, sections, image, file, verify)
    if "ids" not in sections:
        return None
    return Integers(_section(sections, "ids", 8 * header.n, image, file).view("<i8").astype(np.int64))


def _read_strings(
    header: _Header, sections: dict[str, _Section], image: Image, file: str, verify: bool
) -> Strings | None:
    if not header.flags & _CUSTOM_IDS:
        raise FormatError(f"{file}: the flags {header.flags:#x} speak of strings, but of no ids that were given")
    if "strings" not in sections:
        return None
    length = sections["strings"].length
    if length < 8 * (header.n + 1):
        raise FormatError(f"{file}: the strings section has {length} bytes, too few for {header.n} offsets")
    section = _section(sections, "strings", length, image, file)
    offsets = section[: 8 * (header.n + 1)].view("<i8").astype(np.int64, copy=False)
    data = section[8 * (header.n + 1) :]
    if offsets[0] != 0 or offsets[-1] != len(data) or (offsets[1:] < offsets[:-1]).any():
        raise FormatError(f"{file}: the strings section has offsets that do not part its {len(data)} bytes")
    if verify:
        begins = offsets[:-1][offsets[:-1] < len(data)]
        try:
            str(data.data, "utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(f"{file}: the strings section is not UTF-8: {error.reason}") from None
        if (data[begins] & 0xC0 == 0x80).any():
            raise FormatError(f"{file}: the strings section has offsets within a character")
    return Strings(offsets, data)


def _read_ids(header: _Header, stored: Column | None, file: str, verify: bool) -> Ids:
    """The ids, if they can be those of an index."""
    custom, multi = bool(header.flags & _CUSTOM_IDS), bool(header.flags & _REPEATED_IDS)
    if stored is None:
        if custom and header.n:
            raise FormatError(f"{file}: the ids are missing")
        if not custom and header.next_id != header.n:
            raise FormatError(
                f"{file}: the next id is {header.next_id} after {header.n} codes, whose ids are their positions"
            )
        return Ids(header.n, custom=custom, next_id=header.next_id, multi=multi)
    if isinstance(stored, Integers):
        _check_integers(header, stored.values, custom, file)
    ids = Ids(header.n, stored, custom=custom, next_id=header.next_id, multi=multi)
    if verify and custom:
        try:
            ids.check_distinct()
        except ValueError as error:
            raise FormatError(f"{file}: the ids are wrong: {error}") from None
    return ids


def _check_integers(header: _Header, values: NDArray[np.int64], custom: bool, file: str) -> None:
    if header.n == 0:
        return
    if int(values.min()) < 0:
        raise FormatError(f"{file}: the ids section holds a negative id")
    if not custom:
        if (values[1:] <= values[:-1]).any():
            raise FormatError(f"{file}: the ids section holds ids of the index's own that do not ascend")
        if header.next_id <= int(values[-1]):
            raise FormatError(f"{file}: the next id {header.next_id} is not beyond the id {values[-1]}")


def _segments(header: _Header, words: NDArray[np.uint64], file: str) -> tuple[Segment, tuple[Segment, ...]]:
    """Whole blocks where they lie, and what the last block holds of its own."""
    bits, empty = header.bits, backend.empty_segment(header.bits)
    whole = header.n // BLOCK
    cut = whole * bits * (BLOCK // 64)
    segments: tuple[Segment, ...] = ()
    if whole:
        segments = (backend.map_segment(bits, whole * BLOCK, words[:cut]),)
    if header.n % BLOCK:
        last = backend.map_segment(bits, BLOCK, aligned(words[cut:].view(np.uint8)).view(np.uint64))
        rows = last.read(np.arange(BLOCK))
        if rows[header.n % BLOCK :].any():
            raise FormatError(f"{file}: the codes section holds bits beyond its {header.n} codes")
        segments = extended(segments, empty, rows[: header.n % BLOCK])
    return empty, segments


def _write_all(file: Any, data: memoryview) -> None:
    """Write to a file object, which may take a part at a time (an unbuffered file, a socket)."""
    while len(data):
        count = file.write(data)
        if count is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError("the file takes no data now: it does not wait until it can")
        if not isinstance(count, int):
            return  # an object of the caller's own, which does not say
        data = data[count:]


def mapped(file: Any, size: int) -> Image:
    """A file in memory, read when it is looked at; without a descriptor that stays open where that can be."""
    if size == 0:
        return np.empty(0, np.uint8)
    if backend.name() == "native" and os.name != "nt":
        return backend.module().map_file(file.fileno(), size)
    return np.frombuffer(memory_map.mmap(file.fileno(), size, access=memory_map.ACCESS_READ), np.uint8)


def _load(file: Any, size: int) -> Image:
    image = _empty_aligned(size)
    return image[: file.readinto(image.data)]


def aligned(image: Image) -> Image:
    """The image where blocks can be searched: at a multiple of 64 bytes."""
    if image.ctypes.data % 64 == 0:
        return image
    copy = _empty_aligned(len(image))
    copy[:] = image
    return copy


def _empty_aligned(size: int) -> Image:
    memory = np.empty(size + 64, np.uint8)
    first = -memory.ctypes.data % 64
    return memory[first : first + size]
