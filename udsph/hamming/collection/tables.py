"""Tables (multi-index hashing) of a segment file: written from those in memory, mapped and searched where they lie.

They repeat what the codes say, so a reader may pass over them. Sizes are checked when the file is opened; that they are
the tables of its codes by ``verify``. In between native code believes nothing of them: a damaged table brings wrong
results and no reading beyond it.
"""

from __future__ import annotations

import math
import struct
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import backend
from udsph.hamming.collection.container import Container, Writer
from udsph.hamming.filters import BLOCK
from udsph.hamming.multi import Costs, Multi
from udsph.hamming.storage import FormatError

ABOUT = "tables"
PARTS = ("directories", "entries", "rows", "firsts", "postings")
SECTIONS = (ABOUT, *PARTS)

_ABOUT = struct.Struct("<IIQQII5d")  # form, chunks, codes, items, whether equal codes are kept once, reserved, costs
_CHUNK = struct.Struct("<II")  # bits of a chunk, and of its directory
_FORM = 0
_MOST_CHUNKS = 1 << 13
_DEAREST = 1e12  # ns
_USUAL = Costs(20, 1, 50, 1, 0.1)

Tell = Callable[[int], object]  # is told of bytes


def write_tables(writer: Writer, tables: Multi, tell: Tell) -> None:
    """Add the sections of tables over the first whole blocks of the codes."""
    codes, items, distinct, chunks = backend.module().tables_shape(tables.tables)
    costs = tables.costs or _USUAL
    about = _ABOUT.pack(_FORM, len(chunks), codes, items, distinct, 0, *costs)
    about += b"".join(_CHUNK.pack(*chunk) for chunk in chunks)
    writer.add(ABOUT, [np.frombuffer(about, np.uint8)], required=False)
    for name, pieces in zip(PARTS, backend.module().tables_parts(tables.tables), strict=True):
        if pieces:
            writer.add(name, pieces, required=False)
            tell(sum(piece.nbytes for piece in pieces))


def bytes_of(tables: Multi) -> int:
    """Bytes that they take in a file."""
    return sum(piece.nbytes for part in backend.module().tables_parts(tables.tables) for piece in part)


def map_tables(
    image: NDArray[np.uint8], contents: Container, bits: int, n: int, words: NDArray[np.uint64]
) -> Multi | None:
    """The tables of a file over its whole blocks, where it has some that can be searched here.

    Raises
    ------
    FormatError
        What they say of themselves cannot be.
    """
    if ABOUT not in contents.sections or backend.name() != "native" or sys.byteorder != "little":
        return None

    def wrong(why: object) -> FormatError:
        return FormatError(f"{contents.name}: the section {ABOUT!r} is wrong: {why}")

    section = contents.section(ABOUT)
    if section.length > section.chunk:
        raise wrong(f"it has {section.length} bytes")
    data = image[section.offset : section.offset + section.length].tobytes()
    if zlib.crc32(data) != section.checksums[0]:
        raise wrong("its checksum differs")
    if len(data) < _ABOUT.size:
        raise wrong(f"it has {len(data)} bytes")
    form, count, codes, items, distinct, _, *costs = _ABOUT.unpack_from(data)
    if form != _FORM:
        return None  # of a later release: these tables are not needed
    if count > _MOST_CHUNKS or len(data) != _ABOUT.size + count * _CHUNK.size or distinct > 1:
        raise wrong(f"{count} chunks in {len(data)} bytes")
    if codes != n // BLOCK * BLOCK:
        raise wrong(f"it is over {codes} codes, there are {n // BLOCK * BLOCK} in whole blocks")
    if not all(math.isfinite(cost) and 0 < cost < _DEAREST for cost in costs):
        raise wrong(f"costs are {costs}")
    chunks = list(_CHUNK.iter_unpack(data[_ABOUT.size :]))
    arguments: tuple[Any, ...] = (bits, codes, items, bool(distinct), chunks)
    native = backend.module()
    try:
        lengths = native.tables_lengths(*arguments)
    except (ValueError, OverflowError) as error:
        raise wrong(error) from None
    parts = []
    for name, length in zip(PARTS, lengths, strict=True):
        part = contents.section(name, length) if length else None
        parts.append(image[:0] if part is None else image[part.offset : part.offset + length])
        if length:
            native.expect_random(parts[-1])  # of a cold disk one page a lookup, not those around it
    tables = native.map_tables(*arguments, parts)
    tables.set_costs(*costs)
    whole = words[: codes // BLOCK * bits * (BLOCK // 64)]
    return Multi(backend.map_segment(bits, codes, whole), tables, Costs(*costs))


def in_memory(tables: Multi) -> Multi:
    """The same tables in memory of their own, where batches of queries are faster than in a mapped file."""
    return Multi(tables.segment, backend.module().tables_in_memory(tables.tables), tables.costs or _USUAL)


def check_tables(tables: Multi, name: str) -> None:
    """Compare tables with the codes, all of them.

    Raises
    ------
    FormatError
        They are not the tables of these codes.
    """
    try:
        backend.module().check_tables(tables.tables, tables.segment)
    except ValueError as error:
        raise FormatError(f"{name}: the tables are wrong: {error}") from None
