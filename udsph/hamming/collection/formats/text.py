"""A code in hexadecimal in every line, and perhaps its id: plain lists, lists of PDQ hashes, fingerprints (FPS)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from udsph.errors import InputError
from udsph.files import replacing
from udsph.hamming.codes import BitOrder
from udsph.hamming.collection.formats import batches
from udsph.hamming.collection.formats.batches import Batch, Columns, Source, Tell
from udsph.hamming.segments import Snapshot

_PDQ = re.compile(r"([0-9a-fA-F]{64}),\d+,(.+)")  # as programs print it: hash, quality, name
_NUM_BITS = re.compile(rb"#num_bits=(\d+)\s*$")


def read_lines(path: Path, columns: Columns) -> Source:
    """Codes, behind white space their ids where there are ids; or lines of hash, quality, name of PDQ."""

    def parts(line: str) -> list[str]:
        found = _PDQ.fullmatch(line.strip())
        return [found[1], found[2]] if found else line.strip().split(maxsplit=1)

    return Source(None, _batches(path, parts))


def read_fps(path: Path, columns: Columns) -> Source:
    """Fingerprints: fields between tabs, the code and its id first, after a header that may say how wide codes are."""
    with path.open("rb") as file:
        bits = None
        for line in file:
            if not line.startswith(b"#"):
                break
            found = _NUM_BITS.match(line)
            bits = int(found[1]) if found else bits
    return Source(bits, _batches(path, lambda line: line.rstrip("\r\n").split("\t")[:2]))


def _batches(path: Path, parts: Callable[[str], list[str]]) -> Iterator[Batch]:
    """Lines in batches; those that begin with # are not codes."""
    size = path.stat().st_size
    codes: list[bytes] = []
    ids: list[str] = []
    read = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            read += len(line)
            if line.startswith(b"#") or not line.strip():
                continue
            try:
                text, *name = parts(line.decode("utf-8-sig"))
                codes.append(bytes.fromhex(text))
            except ValueError as error:
                raise InputError(
                    f"{os.fspath(path)}, line {number}: expected a code in hexadecimal ({error})"
                ) from None
            ids += name
            if len(codes[-1]) != len(codes[0]) or len(ids) not in (0, len(codes)):
                what = "an id in every line or in none" if len(codes[-1]) == len(codes[0]) else "codes of one length"
                raise InputError(f"{os.fspath(path)}, line {number}: expected {what}")
            if len(codes) == batches.BATCH:
                yield _of_lines(codes, ids, read / size)
                codes, ids = codes[:0], ids[:0]
    if codes:
        yield _of_lines(codes, ids, 1.0)


def _of_lines(codes: list[bytes], ids: list[str], share: float) -> Batch:
    rows = np.frombuffer(b"".join(codes), np.uint8).reshape(len(codes), -1)
    return Batch(rows, ids or None, share)


def write_lines(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    """Code, tab, id."""
    with replacing(path, "w", newline="") as file:
        for rows, ids in batches.of_snapshot(snapshot, bitorder, tell):
            _write(file, rows, ids, path)


def write_fps(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    """The same after a header."""
    if bitorder != "little":
        raise InputError(f"{os.fspath(path)}: bits of FPS are in little order, those of bitorder={bitorder!r} are not")
    with replacing(path, "w", newline="") as file:
        file.write(f"#FPS1\n#num_bits={snapshot.bits}\n")
        for rows, ids in batches.of_snapshot(snapshot, bitorder, tell):
            _write(file, rows, ids, path)


def _write(file: IO[str], rows: Any, ids: Any, path: Path) -> None:
    lines = []
    for row, id in zip(rows, ids.tolist(), strict=True):
        if isinstance(id, str) and (id == "" or id != id.strip() or not id.isprintable()):
            raise InputError(f"{os.fspath(path)}: a line of text cannot hold the id {id!r}; .parquet can")
        lines.append(f"{row.tobytes().hex()}\t{id}\n")
    file.write("".join(lines))
