"""Codes from and to files of other programs, a batch at a time: NumPy, Parquet, hexadecimal and FPS text.

The suffix says what a file is: ``.npy``, ``.parquet``, ``.fps``, and ``.txt`` or ``.hex`` with a code in hexadecimal in
every line, and behind white space its id where there are ids.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from udsph.errors import InputError, MissingExtra
from udsph.files import beside, replacing
from udsph.hamming.codes import BitOrder, reverse_bits
from udsph.hamming.segments import Snapshot

SUFFIXES = (".npy", ".parquet", ".fps", ".txt", ".hex")

_BATCH = 1 << 20  # codes at a time: what looks for ids that are there already costs less for many at once
_TEXT = (".fps", ".txt", ".hex")

Tell = Callable[[float], object]


class Batch(NamedTuple):
    """Codes and ids, if there are ids, and the share of the file that is read with them."""

    codes: Any
    ids: Any
    share: float


USUAL_IDS = "id"  # the column of ids that is written, and read unless another is named


def read(path: Path, code_column: str, id_column: str | None) -> Iterator[Batch]:
    """The codes of a file; the columns are those of Parquet.

    Raises
    ------
    InputError
        The suffix is not known, a line or a column is not what it should be; the message says where.
    MissingExtra
        Parquet needs pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{os.fspath(path)}: of {suffix or 'no suffix'} codes are not read, of {', '.join(SUFFIXES)}")
    if suffix == ".npy":
        yield from _read_npy(path)
    elif suffix == ".parquet":
        yield from _read_parquet(path, code_column, id_column)
    else:
        yield from _read_text(path)


def write(path: Path, snapshot: Snapshot, bitorder: BitOrder, code_column: str, id_column: str, tell: Tell) -> None:
    """Write all codes of a snapshot and, but for ``.npy``, their ids, whole or not at all."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{os.fspath(path)}: {suffix or 'no suffix'} is not written, {', '.join(SUFFIXES)} are")
    batches = _batches(snapshot, bitorder, tell)
    if suffix == ".npy":
        with replacing(path) as file:
            shape = (len(snapshot), (snapshot.bits + 7) // 8)
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for rows, _ in batches:
                file.write(rows.data)
    elif suffix == ".parquet":
        _write_parquet(path, snapshot, batches, code_column, id_column)
    else:
        if suffix == ".fps" and bitorder != "little":
            raise InputError(
                f"{os.fspath(path)}: bits of FPS are in little order, those of bitorder={bitorder!r} are not"
            )
        with replacing(path, "w", newline="") as file:
            if suffix == ".fps":
                file.write(f"#FPS1\n#num_bits={snapshot.bits}\n")
            for rows, ids in batches:
                _write_lines(file, rows, ids, path)


def _batches(snapshot: Snapshot, bitorder: BitOrder, tell: Tell) -> Iterator[tuple[Any, Any]]:
    for begin in range(0, snapshot.n, _BATCH):
        positions = np.arange(begin, min(begin + _BATCH, snapshot.n))
        if snapshot.alive is not None:
            positions = positions[snapshot.alive.at(positions)]
        rows = snapshot.read_positions(positions)
        yield rows if bitorder == "little" else reverse_bits(rows), snapshot.ids.at(positions)
        tell(min(1.0, (begin + _BATCH) / snapshot.n))


def _write_lines(file: IO[str], rows: Any, ids: Any, path: Path) -> None:
    lines = []
    for row, id in zip(rows, ids.tolist(), strict=True):
        if isinstance(id, str) and (id == "" or id != id.strip() or not id.isprintable()):
            raise InputError(f"{os.fspath(path)}: a line of text cannot hold the id {id!r}; .parquet can")
        lines.append(f"{row.tobytes().hex()}\t{id}\n")
    file.write("".join(lines))


def _read_npy(path: Path) -> Iterator[Batch]:
    try:
        codes = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InputError(f"{os.fspath(path)} is no array of NumPy: {error}") from None
    for begin in range(0, len(codes), _BATCH):
        part = np.array(codes[begin : begin + _BATCH])
        yield Batch(part, None, min(1.0, (begin + _BATCH) / len(codes)))


def _read_text(path: Path) -> Iterator[Batch]:
    """Lines of hexadecimal, each perhaps with an id; lines that begin with # are not codes."""
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
                text, *name = line.decode("utf-8-sig").strip().split(maxsplit=1)
                codes.append(bytes.fromhex(text))
            except ValueError as error:
                raise InputError(
                    f"{os.fspath(path)}, line {number}: expected a code in hexadecimal ({error})"
                ) from None
            ids += name
            if len(codes[-1]) != len(codes[0]) or len(ids) not in (0, len(codes)):
                what = "an id in every line or in none" if len(codes[-1]) == len(codes[0]) else "codes of one length"
                raise InputError(f"{os.fspath(path)}, line {number}: expected {what}")
            if len(codes) == _BATCH:
                yield _of_lines(codes, ids, read / size)
                codes, ids = codes[:0], ids[:0]
    if codes:
        yield _of_lines(codes, ids, 1.0)


def _of_lines(codes: list[bytes], ids: list[str], share: float) -> Batch:
    rows = np.frombuffer(b"".join(codes), np.uint8).reshape(len(codes), -1)
    return Batch(rows, ids or None, share)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("Parquet", "data") from None
    return pyarrow


def _read_parquet(path: Path, code_column: str, id_column: str | None) -> Iterator[Batch]:
    pyarrow = _pyarrow()
    try:
        file = pyarrow.parquet.ParquetFile(path, memory_map=True)
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{os.fspath(path)} is no Parquet file: {error}") from None
    with file:
        names = file.schema_arrow.names
        if id_column is None and USUAL_IDS in names:
            id_column = USUAL_IDS
        id_column = id_column or None
        for name in (code_column, id_column):
            if name is not None and name not in names:
                raise InputError(f"{os.fspath(path)} has no column {name!r}, it has {', '.join(names)}")
        wanted = [code_column] + ([] if id_column is None else [id_column])
        done, total = 0, file.metadata.num_rows
        for batch in file.iter_batches(_BATCH, columns=wanted):
            done += len(batch)
            where = f"{os.fspath(path)}, column {code_column!r}"
            codes = _packed(pyarrow, batch.column(code_column), where)
            ids = None if id_column is None else _ids(pyarrow, batch.column(id_column), path, id_column)
            yield Batch(codes, ids, done / total)


def _packed(pyarrow: Any, column: Any, where: str) -> Any:
    """Rows of bytes of a binary column."""
    if column.null_count:
        raise InputError(f"{where} has {column.null_count} values that are missing")
    types = pyarrow.types
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        width = len(column[0].as_py()) if len(column) else 0
        try:
            column = column.cast(pyarrow.binary(width))
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"{where} has codes of several lengths ({error})") from None
    if not types.is_fixed_size_binary(column.type):
        raise InputError(f"{where} holds {column.type}; expected codes as fixed-size binary")
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], np.uint8) if len(column) else np.empty(0, np.uint8)
    return data[column.offset * width : (column.offset + len(column)) * width].reshape(len(column), width)


def _ids(pyarrow: Any, column: Any, path: Path, name: str) -> Any:
    where = f"{os.fspath(path)}, column {name!r}"
    if column.null_count:
        raise InputError(f"{where} has {column.null_count} values that are missing")
    if pyarrow.types.is_integer(column.type):
        return column.to_numpy(zero_copy_only=False)
    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        return column.to_pylist()
    raise InputError(f"{where} holds {column.type}; expected ids as integers or strings")


def _write_parquet(path: Path, snapshot: Snapshot, batches: Iterator[Any], code_column: str, id_column: str) -> None:
    pyarrow = _pyarrow()
    width = (snapshot.bits + 7) // 8
    kind = pyarrow.string() if snapshot.ids.kind == "strings" else pyarrow.int64()
    schema = pyarrow.schema([(code_column, pyarrow.binary(width)), (id_column, kind)])
    plain = {"compression": "none", "use_dictionary": False}  # codes and ids hardly repeat
    with beside(path) as temporary, pyarrow.parquet.ParquetWriter(temporary, schema, **plain) as writer:
        for rows, ids in batches:
            buffers = [None, pyarrow.py_buffer(np.ascontiguousarray(rows))]
            codes = pyarrow.FixedSizeBinaryArray.from_buffers(pyarrow.binary(width), len(rows), buffers)
            named = pyarrow.array(ids.tolist() if ids.dtype == object else ids, kind)
            writer.write_table(pyarrow.Table.from_arrays([codes, named], schema=schema))
