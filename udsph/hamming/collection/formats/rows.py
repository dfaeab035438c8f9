"""``.csv``: what ``SELECT`` of SQLite, Postgres and others writes, with the names of the columns in the first line.

A code is a string of bits (``bit`` of Postgres and pgvector), or bytes in hexadecimal: bare, ``\\x0f`` (bytea),
``0x0f`` or ``X'0f'`` (SQLite's ``quote``). Bit i of a string of bits, from the left, is bit i of the code.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.files import replacing
from udsph.hamming.codes import BitOrder
from udsph.hamming.collection.formats import batches
from udsph.hamming.collection.formats.batches import USUAL_IDS, Batch, Columns, Source, Tell
from udsph.hamming.segments import Snapshot

_BITS = re.compile("[01]+")
_HEXADECIMAL = re.compile(r"(?:\\x|0[xX]|[xX]'|)((?:[0-9a-fA-F]{2})+)'?")
_LEAST_BITS = 16  # in a string of bits: fewer zeros and ones may be hexadecimal
_STEP = 1 << 16  # codes at a time


def read(path: Path, columns: Columns) -> Source:
    """Codes of a column, and ids of another, which are integers where all of the first rows are."""
    lines = _lines(path)
    header = next(lines, None)
    if header is None:
        raise InputError(f"{os.fspath(path)} is empty; expected the names of the columns in its first line")
    names = header[1]
    id_column = USUAL_IDS if columns.id is None and USUAL_IDS in names else columns.id or None
    for name in (columns.code, id_column):
        if name is not None and names.count(name) != 1:
            raise InputError(f"{os.fspath(path)} must name a column {name!r} once, it has {', '.join(names)}")
    places = names.index(columns.code), None if id_column is None else names.index(id_column)
    first = list(itertools.islice(lines, 1 if columns.bits else _STEP))
    bits = _bits_of([_field(line, places[0], len(names), path) for line in first], columns.bits)
    return Source(bits, _batches(path, itertools.chain(first, lines), places, len(names), bits))


def _lines(path: Path) -> Iterator[tuple[int, list[str], float]]:
    """Number of the line, fields, and the share that is read."""
    size = max(1, path.stat().st_size)
    with path.open("rb") as binary, io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            for fields in reader:
                if fields:
                    yield reader.line_num, fields, min(1.0, binary.tell() / size)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{os.fspath(path)}, line {reader.line_num + 1}: {error}") from None


def _field(line: tuple[int, list[str], float], place: int, count: int, path: Path) -> str:
    number, fields, _ = line
    if len(fields) != count:
        raise InputError(f"{os.fspath(path)}, line {number}: {len(fields)} fields, {count} columns have names")
    return fields[place].strip()


def _bits_of(texts: list[str], expected: int | None) -> int | None:
    """The width of texts that are strings of bits, not hexadecimal, which may have no other digits either."""
    if not texts or not all(map(_BITS.fullmatch, texts)):
        return None
    length = len(texts[0])
    return length if (length >= _LEAST_BITS if expected is None else length == expected) else None


def _batches(
    path: Path, lines: Iterator[Any], places: tuple[int, int | None], count: int, bits: int | None
) -> Iterator[Batch]:
    codes: list[Any] = []
    ids: list[str] = []
    integers: bool | None = None
    line = next(lines, None)
    while line is not None:
        text = _field(line, places[0], count, path)
        codes.append(_code_of(text, bits, line[0], path))
        if len(codes[-1]) != len(codes[0]):
            raise InputError(f"{os.fspath(path)}, line {line[0]}: expected codes of one length")
        if places[1] is not None:
            ids.append(line[1][places[1]])
        share, line = line[2], next(lines, None)
        if len(codes) == _STEP or line is None:
            if ids and integers is None:
                integers = all(re.fullmatch(r"\d{1,18}", id) for id in ids)
            yield Batch(_rows(codes, bits), _ids(ids, bool(integers), path), 1.0 if line is None else share)
            codes, ids = codes[:0], ids[:0]


def _code_of(text: str, bits: int | None, number: int, path: Path) -> bytes:
    if bits is not None:
        if _BITS.fullmatch(text):
            return text.encode()
    else:
        found = _HEXADECIMAL.fullmatch(text)
        if found:
            return bytes.fromhex(found[1])
    form = "bits, as in the first row" if bits is not None else "hexadecimal"
    raise InputError(f"{os.fspath(path)}, line {number}: {text!r:.60} is no code in {form}")


def _rows(codes: list[bytes], bits: int | None) -> Any:
    data = np.frombuffer(b"".join(codes), np.uint8).reshape(len(codes), -1)
    return data if bits is None else np.packbits(data == ord("1"), axis=1, bitorder="little")


def _ids(ids: list[str], integers: bool, path: Path) -> Any:
    if not ids:
        return None
    if not integers:
        return ids
    try:
        return np.array(list(map(int, ids)), np.int64)
    except (ValueError, OverflowError):
        wrong = next(id for id in ids if not re.fullmatch(r"\d{1,18}", id))
        raise InputError(f"{os.fspath(path)}: ids were integers in earlier rows, {wrong!r:.60} is none") from None


def write(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    r"""Id and code, this one as ``\x`` and hexadecimal, which ``COPY`` of Postgres takes as bytea."""
    with replacing(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([columns.id or USUAL_IDS, columns.code])
        for rows, ids in batches.of_snapshot(snapshot, bitorder, tell):
            writer.writerows((id, f"\\x{row.tobytes().hex()}") for row, id in zip(rows, ids.tolist(), strict=True))
