"""A file of codes: written from a range of positions, mapped, checked in full."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.files import replacing
from udsph.hamming import storage
from udsph.hamming.codes import MAX_BITS
from udsph.hamming.collection import container, tables
from udsph.hamming.collection.container import Container, Image, Section, Writer
from udsph.hamming.filters import BLOCK
from udsph.hamming.multi import Multi
from udsph.hamming.names import MAX_ID, Column, Integers, Strings
from udsph.hamming.segments import Snapshot
from udsph.hamming.storage import FormatError

KIND = "segment"

_ABOUT = struct.Struct("<IIQ")  # bits, layout, codes
_SLICES = 0  # layout: blocks of 512 codes in slices
_SECTIONS = ("segment", "codes", "ids", "offsets", "text", "order", *tables.SECTIONS)
_DERIVED = ("order", *tables.SECTIONS)  # what others say in another way
_STEP = 1 << 16  # codes that are written at a time
_BYTES_PER_STEP = 1 << 24
_ORDERED = range(1 << 14, 1 << 27)  # ids whose order is stored: of fewer it is made in no time, of more in no memory

Words = NDArray[np.uint64]
Progress = Callable[[int], object]  # is told of bytes


class Written(NamedTuple):
    """A file of codes that was written."""

    size: int
    mark: int


class SegmentFile:
    """A mapped file of codes, which stays readable when its name is taken away."""

    def __init__(self, path: Path, image: Image, contents: Container) -> None:
        self.path = path
        self.contents = contents
        self.name = os.fspath(path)
        about = contents.section("segment", _ABOUT.size)
        self.bits, layout, self.n = _ABOUT.unpack(_bytes(image, about).tobytes())
        if not 1 <= self.bits <= MAX_BITS:
            raise FormatError(f"{self.name}: {self.bits} bits are not a width from 1 to {MAX_BITS}")
        if layout != _SLICES:
            raise FormatError(f"{self.name}: codes in layout {layout} are of a later release")
        if self.n > MAX_ID:
            raise FormatError(f"{self.name}: {self.n} codes are beyond 2**63 - 1")
        codes = contents.section("codes", -(-self.n // BLOCK) * self.bits * (BLOCK // 8))
        self.words: Words = _bytes(image, codes).view("<u8")
        self.ids = self._read_ids(image)
        self.order = self._read_order(image)
        self.tables = tables.map_tables(
            image, contents, self.bits, self.n, self.words
        )  # over its whole blocks, or None

    def _read_order(self, image: Image) -> NDArray[np.uint32] | None:
        if "order" not in self.contents.sections or not isinstance(self.ids, Integers):
            return None
        return _bytes(image, self.contents.section("order", 4 * self.n)).view("<u4")

    def _read_ids(self, image: Image) -> Column | None:
        sections = self.contents.sections
        if "ids" in sections:
            if "offsets" in sections:
                raise FormatError(f"{self.name}: ids are there as integers and as strings")
            return Integers(_bytes(image, self.contents.section("ids", 8 * self.n)).view("<i8"))
        if "offsets" not in sections:
            return None
        offsets = _bytes(image, self.contents.section("offsets", 8 * (self.n + 1))).view("<i8")
        text = _bytes(image, self.contents.section("text"))
        if offsets[0] != 0 or offsets[-1] != len(text):
            raise FormatError(f"{self.name}: the strings do not fill their section of {len(text)} bytes")
        return Strings(offsets, text)

    def verify(self, first: int = 0, progress: Progress | None = None, *, derived: bool = True) -> None:
        """Read the file from the code ``first`` on: checksums, no bit beyond the codes, ids that can be ids.

        derived : whether order and tables are checked too

        Raises
        ------
        FormatError
            Damage, and where it is.
        OSError
            The file cannot be read, or is gone.
        """
        with container.opened(self.path) as file:
            if os.fstat(file.fileno()).st_size != self.contents.size:
                raise FormatError(f"{self.name} is truncated or was changed since it was opened")
            for section in self.contents.sections.values():
                if section.name in _DERIVED and not derived:
                    continue
                for chunk in container.verified(file, section, self.name, self._byte(section.name, first)):
                    if progress is not None:
                        progress(len(chunk))
        if self.n % BLOCK:
            tail = self.words[-self.bits * (BLOCK // 64) :].reshape(self.bits, BLOCK // 64)
            bits = np.unpackbits(np.ascontiguousarray(tail).view(np.uint8), axis=1, bitorder="little")
            if bits[:, self.n % BLOCK :].any():
                raise FormatError(f"{self.name}: the section 'codes' holds bits beyond its {self.n} codes")
        if isinstance(self.ids, Integers):
            if self.n > first and int(self.ids.values[first:].min()) < 0:
                raise FormatError(f"{self.name}: the section 'ids' holds a negative id")
            if derived and self.order is not None and keys_in_order(self.ids, self.order) is None:
                raise FormatError(f"{self.name}: the section 'order' is not the order of the ids")
        elif self.ids is not None:
            _check_strings(self.ids, first, self.name)
        if derived and self.tables is not None:
            tables.check_tables(self.tables, self.name)

    def _byte(self, section: str, code: int) -> int:
        """Where a code, or what belongs to it, begins in a section."""
        if section == "codes":
            return code // BLOCK * self.bits * (BLOCK // 8)
        if section in ("ids", "offsets"):
            return 8 * code
        if section == "text" and isinstance(self.ids, Strings):
            return max(0, int(self.ids.offsets[code]))
        return 0


def keys_in_order(ids: Integers, order: NDArray[np.uint32]) -> NDArray[np.int64] | None:
    """The ids as a stored order gives them, or None if it is not their order: if not every id comes, each once."""
    if len(order) != len(ids) or (len(order) and int(order.max()) >= len(ids)):
        return None
    keys = ids.values[order]
    return keys if bool((keys[1:] > keys[:-1]).all()) else None


def _check_strings(ids: Strings, first: int, name: str) -> None:
    """That the offsets of strings part their text, which is UTF-8; in steps, since there may be much of it."""
    for begin in range(first, len(ids), _STEP):
        offsets = ids.offsets[begin : min(begin + _STEP, len(ids)) + 1]
        if (offsets[1:] < offsets[:-1]).any() or offsets[0] < 0 or offsets[-1] > len(ids.data):
            raise FormatError(f"{name}: the section 'offsets' does not ascend within the text")
        data = ids.data[offsets[0] : offsets[-1]]
        try:
            str(data.data, "utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(f"{name}: the section 'text' is not UTF-8: {error.reason}") from None
        begins = offsets[:-1][offsets[:-1] < offsets[-1]] - offsets[0]
        if (data[begins] & 0xC0 == 0x80).any():
            raise FormatError(f"{name}: the section 'offsets' points into a character")


def _bytes(image: Image, section: Section) -> Image:
    return image[section.offset : section.offset + section.length]


def map_segment(path: Path) -> SegmentFile:
    """Map a file of codes; sizes and the table of sections are checked, contents by ``verify``.

    Raises
    ------
    FormatError, OSError
        As ``container.parse`` says; the file cannot be read.
    """
    with container.opened(path) as file:
        image = storage.mapped(file, os.fstat(file.fileno()).st_size)
    return SegmentFile(path, image, container.parse(image, os.fspath(path), KIND, _SECTIONS))


def write_segment(
    path: Path, snapshot: Snapshot, begin: int, *, durable: bool, progress: Progress | None = None
) -> Written:
    """Write the codes and ids at positions from ``begin``, a whole block, on; removed ones keep their places."""

    def words() -> Iterator[Words]:
        step = max(1, _BYTES_PER_STEP // (snapshot.bits * (BLOCK // 8)))
        base = 0
        for part in snapshot.segments:
            blocks = -(-len(part) // BLOCK)
            for first in range(max(0, begin - base) // BLOCK, blocks, step):
                yield part.words(first, min(first + step, blocks))
            base += len(part)

    def columns() -> Iterator[Column]:
        base = 0
        for column in () if snapshot.ids.positional else snapshot.ids.columns():
            for first in range(max(0, begin - base), len(column), _STEP):
                yield column.between(first, min(first + _STEP, len(column)))
            base += len(column)

    named = not snapshot.ids.positional
    return _write(path, snapshot, snapshot.n - begin, words, columns, named, durable, progress)


def write_compacted(
    path: Path, snapshot: Snapshot, *, durable: bool, progress: Progress | None = None, built: Multi | None = None
) -> Written:
    """Write all codes but the removed ones, and their ids.

    built : tables over the whole blocks of the codes, to be written too; then none was removed
    """

    def words() -> Iterator[Words]:
        kept: NDArray[np.int64] = np.empty(0, np.int64)
        for positions in _living(snapshot, 0, snapshot.n):
            kept = np.concatenate([kept, positions])
            whole = len(kept) // BLOCK * BLOCK
            yield from _sliced(snapshot, kept[:whole])
            kept = kept[whole:]
        yield from _sliced(snapshot, kept)

    def columns() -> Iterator[Column]:
        if snapshot.ids.positional:
            if snapshot.alive is not None:
                yield from map(Integers, _living(snapshot, 0, snapshot.n))
            return
        base = 0
        for column in snapshot.ids.columns():
            for positions in _living(snapshot, base, base + len(column)):
                if len(positions) and positions[-1] - positions[0] + 1 == len(positions):
                    yield column.between(int(positions[0]) - base, int(positions[-1]) - base + 1)
                else:
                    yield column.subset(positions - base)
            base += len(column)

    named, ordered = not snapshot.ids.positional or snapshot.alive is not None, not snapshot.ids.multi
    return _write(path, snapshot, len(snapshot), words, columns, named, durable, progress, ordered, built)


def _living(snapshot: Snapshot, begin: int, end: int) -> Iterator[NDArray[np.int64]]:
    """Positions that hold a code, in steps."""
    for first in range(begin, end, _STEP):
        positions = np.arange(first, min(first + _STEP, end))
        yield positions if snapshot.alive is None else positions[snapshot.alive.at(positions)]


def _order_of(columns: Iterator[Column]) -> NDArray[np.uint32] | None:
    """Places of ids in ascending order, or None where they ascend as they are."""
    values = np.concatenate([column.values for column in columns])  # type: ignore[union-attr]
    if (values[1:] > values[:-1]).all():
        return None
    return np.argsort(values).astype("<u4")


def _sliced(snapshot: Snapshot, positions: NDArray[np.int64]) -> Iterator[Words]:
    if len(positions):
        rows = snapshot.read_positions(positions)
        yield snapshot.empty.extended(rows).words(0, -(-len(rows) // BLOCK))


def _write(
    path: Path,
    snapshot: Snapshot,
    n: int,
    words: Callable[[], Iterator[Words]],
    columns: Callable[[], Iterator[Column]],
    named: bool,
    durable: bool,
    progress: Progress | None,
    ordered: bool = False,
    built: Multi | None = None,
) -> Written:
    """Write the sections; ``columns`` is gone through twice for strings, whose offsets come before their text.

    named : whether the ids are written; otherwise they are the positions.
    ordered : whether the order of ids that are integers is written too.
    built : tables that are written too.
    """

    def told(pieces: Iterator[NDArray[Any]], dtype: str) -> Iterator[NDArray[Any]]:
        for piece in pieces:
            yield piece.astype(dtype, copy=False)
            if progress is not None:
                progress(piece.nbytes)

    def offsets() -> Iterator[NDArray[np.int64]]:
        end = 0
        yield np.zeros(1, np.int64)
        for column in columns():
            assert isinstance(column, Strings)
            yield column.offsets[1:] - column.offsets[0] + end
            end += int(column.offsets[-1] - column.offsets[0])

    with replacing(path, durable=durable) as file:
        writer = Writer(file, KIND)
        writer.add("segment", [np.frombuffer(_ABOUT.pack(snapshot.bits, _SLICES, n), np.uint8)])
        writer.add("codes", told(words(), "<u8"))
        if snapshot.ids.kind == "strings":
            writer.add("offsets", told(offsets(), "<i8"))
            writer.add("text", told((column.data for column in columns()), "u1"))  # type: ignore[union-attr]
        elif named:
            writer.add("ids", told((column.values for column in columns()), "<i8"))  # type: ignore[union-attr]
            if ordered and n in _ORDERED:
                order = _order_of(columns())
                if order is not None:
                    writer.add("order", [order], required=False)
        if built is not None:
            tables.write_tables(writer, built, progress or (lambda count: None))
        return Written(*writer.finish())
