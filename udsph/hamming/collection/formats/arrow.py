"""Columns of Parquet, Arrow (``.arrow``, ``.feather``) and datasets of Hugging Face on disk; all need pyarrow.

A column of codes is binary of one length, or lists of uint8 or int8 of one length; one of ids integers or strings.
A dataset is a folder of Arrow streams, of ``state.json``, which names them, and of ``dataset_info.json``, which says
what the columns are.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.errors import InputError, MissingExtra
from udsph.files import beside, folder_beside, read_json, write_json
from udsph.hamming.codes import BitOrder
from udsph.hamming.collection.formats import batches
from udsph.hamming.collection.formats.batches import USUAL_IDS, Batch, Columns, Source, Tell
from udsph.hamming.segments import Snapshot

_STREAM_STATE = "state.json"
_FILE_OF_DATASET = 500 << 20  # bytes of codes and ids, about


def read_parquet(path: Path, columns: Columns) -> Source:
    """A Parquet file, a batch at a time."""
    pyarrow = _pyarrow("Parquet")
    try:
        file = pyarrow.parquet.ParquetFile(path, memory_map=True)
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{os.fspath(path)} is no Parquet file: {error}") from None
    chosen = _chosen(path, file.schema_arrow.names, columns)

    def parts() -> Iterator[tuple[Any, float]]:
        done, total = 0, file.metadata.num_rows
        with file:
            for part in file.iter_batches(batches.BATCH, columns=[name for name in chosen if name is not None]):
                done += len(part)
                yield part, done / total

    return Source(None, _batches(pyarrow, path, parts(), chosen))


def read_arrow(path: Path, columns: Columns) -> Source:
    """An Arrow file or stream, mapped."""
    return _of_files(path, [path], columns)


def read_dataset(path: Path, columns: Columns) -> Source:
    """A folder that ``Dataset.save_to_disk`` of Hugging Face wrote, or one of Arrow or Parquet files.

    Their rows come in the order of the files' names, or in that which the dataset says.
    """
    name = os.fspath(path)
    if (path / "dataset_dict.json").is_file():
        splits = read_json(path / "dataset_dict.json").get("splits")
        raise InputError(f"{name} has the splits {', '.join(map(str, splits or []))}: give the folder of one of them")
    if (path / _STREAM_STATE).is_file():
        state = read_json(path / _STREAM_STATE)
        if state.get("_indices_data_files") or state.get("_indices_files"):
            raise InputError(f"{name} has rows in an order of its own: save it again after flatten_indices()")
        try:
            names = [entry["filename"] for entry in state["_data_files"]]
        except (KeyError, TypeError):
            raise InputError(f"{name}: {_STREAM_STATE} names no files: it is no dataset of Hugging Face") from None
        wrong = [part for part in names if not isinstance(part, str) or Path(part).name != part]
        if wrong:
            raise InputError(f"{name}: {_STREAM_STATE} names {wrong[0]!r:.80}, which is no file of this folder")
        return _of_files(path, [path / part for part in names], columns)
    files = sorted(file for file in path.iterdir() if file.suffix in (".arrow", ".parquet"))
    if not files:
        raise InputError(f"{name} is a folder without Arrow or Parquet files; give a file, or such a folder")
    if len({file.suffix for file in files}) > 1:
        raise InputError(f"{name} has Arrow and Parquet files; give one of them")
    if files[0].suffix == ".arrow":
        return _of_files(path, files, columns)

    def all_parts() -> Iterator[Batch]:
        for number, file in enumerate(files):
            for batch in read_parquet(file, columns).batches:
                yield batch._replace(share=(number + batch.share) / len(files))

    read_parquet(files[0], columns)  # a wrong column is said before anything is done
    return Source(None, all_parts())


def _of_files(path: Path, files: Sequence[Path], columns: Columns) -> Source:
    pyarrow = _pyarrow("Arrow")
    if not files:
        return Source(None, iter(()))
    chosen = _chosen(path, _reader(pyarrow, files[0])[0].names, columns)

    def parts() -> Iterator[tuple[Any, float]]:
        for number, file in enumerate(files):
            schema, found = _reader(pyarrow, file)
            _chosen(file, schema.names, columns)
            for part, share in found():
                for begin in range(0, len(part), batches.BATCH):
                    yield part.slice(begin, batches.BATCH), (number + share) / len(files)

    return Source(None, _batches(pyarrow, path, parts(), chosen))


def _reader(pyarrow: Any, path: Path) -> tuple[Any, Callable[[], Iterator[tuple[Any, float]]]]:
    """Schema and record batches of a file, in either of Arrow's two forms."""
    source = pyarrow.memory_map(os.fspath(path))
    try:
        file = pyarrow.ipc.open_file(source)
    except pyarrow.ArrowInvalid:
        source.seek(0)
    else:
        count = file.num_record_batches
        return file.schema, lambda: ((file.get_batch(i), (i + 1) / count) for i in range(count))
    try:
        stream = pyarrow.ipc.open_stream(source)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise InputError(f"{os.fspath(path)} is no Arrow file: {error}") from None
    size = source.size()

    def parts() -> Iterator[tuple[Any, float]]:
        try:
            for part in stream:
                yield part, min(1.0, source.tell() / size)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise InputError(f"{os.fspath(path)} is damaged or truncated: {error}") from None

    return stream.schema, parts


def _chosen(path: Path, names: Sequence[str], columns: Columns) -> tuple[str, str | None]:
    """The columns of codes and of ids."""
    id_column = USUAL_IDS if columns.id is None and USUAL_IDS in names else columns.id or None
    for name in (columns.code, id_column):
        if name is not None and name not in names:
            raise InputError(f"{os.fspath(path)} has no column {name!r}, it has {', '.join(names)}")
    return columns.code, id_column


def _batches(
    pyarrow: Any, path: Path, parts: Iterator[tuple[Any, float]], chosen: tuple[str, str | None]
) -> Iterator[Batch]:
    code_column, id_column = chosen
    for part, share in parts:
        if len(part) == 0:
            continue
        codes = _packed(pyarrow, part.column(code_column), f"{os.fspath(path)}, column {code_column!r}")
        ids = None
        if id_column is not None:
            ids = _ids(pyarrow, part.column(id_column), f"{os.fspath(path)}, column {id_column!r}")
        yield Batch(codes, ids, share)


def _packed(pyarrow: Any, column: Any, where: str) -> Any:
    """Rows of bytes of a column of codes."""
    if column.null_count:
        raise InputError(f"{where} has {column.null_count} values that are missing")
    types, kind = pyarrow.types, column.type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _of_lists(pyarrow, column, where)
    if types.is_binary(kind) or types.is_large_binary(kind):
        width = len(column[0].as_py()) if len(column) else 0
        try:
            column = column.cast(pyarrow.binary(width))
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"{where} has codes of several lengths ({error})") from None
    if not types.is_fixed_size_binary(column.type):
        raise InputError(f"{where} holds {column.type}; expected codes as binary of one length or lists of uint8")
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], np.uint8) if len(column) else np.empty(0, np.uint8)
    return data[column.offset * width : (column.offset + len(column)) * width].reshape(len(column), width)


def _of_lists(pyarrow: Any, column: Any, where: str) -> Any:
    values = column.flatten()
    if values.type not in (pyarrow.uint8(), pyarrow.int8()):
        raise InputError(f"{where} holds {column.type}; expected lists of uint8, the bytes of packed codes")
    width, rest = divmod(len(values), len(column))
    lengths = pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False)
    if rest or (lengths != width).any() or values.null_count:
        raise InputError(f"{where} has codes of several lengths, or bytes that are missing")
    return values.to_numpy(zero_copy_only=False).view(np.uint8).reshape(len(column), width)


def _ids(pyarrow: Any, column: Any, where: str) -> Any:
    if column.null_count:
        raise InputError(f"{where} has {column.null_count} values that are missing")
    if pyarrow.types.is_integer(column.type):
        return column.to_numpy(zero_copy_only=False)
    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        return column.to_pylist()
    raise InputError(f"{where} holds {column.type}; expected ids as integers or strings")


def write_parquet(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    """A column of codes and one of ids."""
    pyarrow = _pyarrow("Parquet")
    schema = _schema(pyarrow, snapshot, columns)
    plain = {"compression": "none", "use_dictionary": False}  # codes and ids hardly repeat
    with beside(path) as temporary, pyarrow.parquet.ParquetWriter(temporary, schema, **plain) as writer:
        for table in _tables(pyarrow, schema, snapshot, bitorder, tell):
            writer.write_table(table)


def write_arrow(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    """The same as an Arrow file."""
    pyarrow = _pyarrow("Arrow")
    schema = _schema(pyarrow, snapshot, columns)
    with beside(path) as temporary, pyarrow.ipc.new_file(os.fspath(temporary), schema) as writer:
        for table in _tables(pyarrow, schema, snapshot, bitorder, tell):
            writer.write_table(table)


def write_dataset(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    """A folder that ``datasets.load_from_disk`` opens: codes are lists of uint8, which it gives as arrays too."""
    pyarrow = _pyarrow("a dataset of Hugging Face")
    named = _schema(pyarrow, snapshot, columns).field(1)
    width = (snapshot.bits + 7) // 8
    features = {
        columns.code: {"feature": {"dtype": "uint8", "_type": "Value"}, "length": width, "_type": "Sequence"},
        named.name: {"dtype": str(named.type), "_type": "Value"},
    }
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pyarrow.schema([(columns.code, pyarrow.list_(pyarrow.uint8(), width)), named], metadata=about)
    per_file = max(1, _FILE_OF_DATASET // (batches.BATCH * (width + 8)))
    count = max(1, -(-snapshot.n // (batches.BATCH * per_file)))
    files = [f"data-{number:05}-of-{count:05}.arrow" for number in range(count)]
    with folder_beside(path) as folder:
        parts = batches.of_snapshot(snapshot, bitorder, tell)
        for file in files:
            with pyarrow.ipc.new_stream(os.fspath(folder / file), schema) as writer:
                for rows, ids in itertools.islice(parts, per_file):
                    codes = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.reshape(-1)), width)
                    writer.write_table(pyarrow.Table.from_arrays([codes, _named(pyarrow, ids, named)], schema=schema))
        info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
        write_json(folder / "dataset_info.json", info)
        state: dict[str, Any] = {"_format_columns": None, "_format_kwargs": {}, "_format_type": None, "_split": None}
        state |= {"_data_files": [{"filename": file} for file in files], "_fingerprint": secrets.token_hex(8)}
        write_json(folder / _STREAM_STATE, {**state, "_output_all_columns": False})


def _schema(pyarrow: Any, snapshot: Snapshot, columns: Columns) -> Any:
    kind = pyarrow.string() if snapshot.ids.kind == "strings" else pyarrow.int64()
    width = (snapshot.bits + 7) // 8
    return pyarrow.schema([(columns.code, pyarrow.binary(width)), (columns.id or USUAL_IDS, kind)])


def _tables(pyarrow: Any, schema: Any, snapshot: Snapshot, bitorder: BitOrder, tell: Tell) -> Iterator[Any]:
    for rows, ids in batches.of_snapshot(snapshot, bitorder, tell):
        buffers = [None, pyarrow.py_buffer(np.ascontiguousarray(rows))]
        codes = pyarrow.FixedSizeBinaryArray.from_buffers(schema.field(0).type, len(rows), buffers)
        yield pyarrow.Table.from_arrays([codes, _named(pyarrow, ids, schema.field(1))], schema=schema)


def _named(pyarrow: Any, ids: Any, field: Any) -> Any:
    return pyarrow.array(ids.tolist() if ids.dtype == object else ids, field.type)


def _pyarrow(what: str) -> Any:
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra(what, "data") from None
    return pyarrow
