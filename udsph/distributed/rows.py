"""Where the codes of a new index come from: arrays, files, tables, a Ray Dataset; each task reads its part."""

from __future__ import annotations

import bisect
import itertools
import mmap
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from udsph.distributed import cluster
from udsph.errors import InputError
from udsph.files import read_json
from udsph.hamming.arrays import as_array
from udsph.hamming.collection.formats import arrow


class Rows(Protocol):
    """Codes, and ids if there are any."""

    n: int
    bits: int | None
    """Width of the codes as far as their form says it."""
    named: bool
    """Whether there are ids."""

    def read(self, begin: int, end: int) -> tuple[Any, Any]:
        """Codes of a run, and ids or None."""

    def between(self, begin: int, end: int) -> Rows:
        """A run of them, to be sent to a task."""


def of(codes: Any, ids: Any, code_column: str, id_column: str | None) -> Rows:
    """What a caller gives."""
    if isinstance(codes, Parts):
        return codes
    if hasattr(codes, "to_arrow_refs"):
        _without_ids(ids, "a Ray Dataset")
        return _dataset(codes, code_column, id_column)
    if isinstance(codes, (str, os.PathLike)) or (isinstance(codes, list) and codes and isinstance(codes[0], Path)):
        paths = [os.path.abspath(path) for path in (codes if isinstance(codes, list) else [codes])]
        if all(path.lower().endswith(".parquet") for path in paths):
            _without_ids(ids, "Parquet")
            return _parquet(paths, code_column, id_column)
        if len(paths) > 1 or not paths[0].lower().endswith(".npy"):
            raise InputError(f"codes={codes!r}: expected a .npy file or .parquet files")
        codes = np.load(paths[0], mmap_mode="r", allow_pickle=False)
    if type(codes).__module__.startswith("pyarrow"):
        codes = _arrow(codes)
    elif not isinstance(codes, list):
        codes = as_array(codes, "codes")
    if ids is not None and not isinstance(ids, list):
        ids = as_array(ids, "ids")
    if ids is not None and len(ids) != len(codes):
        raise InputError(f"ids must have one entry per code: {len(ids)} ids for {len(codes)} codes")
    # A view of a map has a name and an offset too, but those of the whole.
    if isinstance(codes, np.memmap) and isinstance(codes.base, mmap.mmap) and codes.filename:
        return _Map(codes, ids) if codes.flags.c_contiguous else _Array(codes, ids)
    return _Array(codes, ids)


def _without_ids(ids: Any, what: str) -> None:
    if ids is not None:
        raise InputError(f"ids are in a column of {what}: name it by id_column")


def _width(codes: Any) -> int | None:
    dtype = getattr(codes, "dtype", None)
    if dtype is not None and codes.ndim == 2 and dtype.kind in "iu" and dtype.itemsize in (1, 8):
        return 8 * dtype.itemsize * codes.shape[1]
    return None


class _Array:
    """An array or list of this process: a run is sent."""

    def __init__(self, codes: Any, ids: Any) -> None:
        self.codes, self.ids = codes, ids
        self.n, self.bits, self.named = len(codes), _width(codes), ids is not None

    def read(self, begin: int, end: int) -> tuple[Any, Any]:
        return self.codes[begin:end], None if self.ids is None else self.ids[begin:end]

    def between(self, begin: int, end: int) -> Rows:
        return _Array(*self.read(begin, end))


class _Map:
    """A mapped file, which every node sees."""

    def __init__(self, codes: np.memmap, ids: Any, first: int = 0, n: int | None = None) -> None:
        self.file, self.dtype, self.offset = os.path.abspath(codes.filename or ""), codes.dtype, codes.offset
        self.shape, self.ids, self.first = codes.shape, ids, first
        self.n, self.bits, self.named = len(codes) if n is None else n, _width(codes), ids is not None

    def read(self, begin: int, end: int) -> tuple[Any, Any]:
        whole = np.memmap(self.file, self.dtype, "r", self.offset, self.shape)
        codes = np.array(whole[self.first + begin : self.first + end])
        return codes, None if self.ids is None else self.ids[begin:end]

    def between(self, begin: int, end: int) -> Rows:
        part = _Map.__new__(_Map)
        ids = None if self.ids is None else self.ids[begin:end]
        part.__dict__.update(self.__dict__, first=self.first + begin, n=end - begin, ids=ids)
        return part


class _Tables:
    """Tables one after the other, of which a run needs a few."""

    def __init__(self, lengths: list[int], bits: int | None, columns: tuple[str, str | None]) -> None:
        self.ends = [0, *itertools.accumulate(lengths)]
        self.bits, self.columns, self.first, self.n = bits, columns, 0, sum(lengths)
        self.named = columns[1] is not None

    def table(self, number: int) -> Any:
        """One of them, with an Arrow column for each name."""
        raise NotImplementedError

    def read(self, begin: int, end: int) -> tuple[Any, Any]:
        begin, end = self.first + begin, self.first + end
        codes, ids = [], []
        for number in range(max(0, bisect.bisect_right(self.ends, begin) - 1), len(self.ends) - 1):
            low, high = max(begin, self.ends[number]), min(end, self.ends[number + 1])
            if low < high:
                some, named = self.piece(number, low - self.ends[number], high - self.ends[number])
                codes.append(some)
                ids += named
        return np.concatenate(codes), ids if self.named else None

    def piece(self, number: int, begin: int, end: int) -> tuple[Any, list[Any]]:
        """Codes and ids of a run of one of them."""
        table, ids = self.table(number).slice(begin, end - begin), []
        if self.columns[1] is not None:
            for chunk in table.column(self.columns[1]).chunks:
                ids += list(arrow._ids(arrow._pyarrow("Arrow"), chunk, f"column {self.columns[1]!r}"))
        return _arrow(table.column(self.columns[0])), ids

    def between(self, begin: int, end: int) -> Rows:
        part = type(self).__new__(type(self))
        part.__dict__.update(self.__dict__, first=self.first + begin, n=end - begin)
        return part


class _Groups(_Tables):
    """Row groups of Parquet files."""

    groups: list[tuple[str, int]]

    def table(self, number: int) -> Any:
        path, group = self.groups[number]
        wanted = [name for name in self.columns if name is not None]
        with arrow._pyarrow("Parquet").parquet.ParquetFile(path) as file:
            return file.read_row_group(group, columns=wanted)


class _Blocks(_Tables):
    """Blocks of a Ray Dataset in the object store."""

    references: list[Any]

    def table(self, number: int) -> Any:
        return cluster.ray().get(self.references[number])


class Parts(_Tables):
    """Codes in ``NAME.npy`` and their ids in ``NAME.json``, as ``encode`` leaves them."""

    def __init__(self, stems: list[Path], bits: int) -> None:
        self.stems = stems
        lengths = [len(np.load(f"{stem}.npy", mmap_mode="r")) for stem in stems]
        super().__init__(lengths, bits, ("", "ids"))

    def piece(self, number: int, begin: int, end: int) -> tuple[Any, list[Any]]:
        """Codes and ids of a run of one of them."""
        stem = self.stems[number]
        return np.load(f"{stem}.npy", mmap_mode="r")[begin:end], read_json(f"{stem}.json")["ids"][begin:end]


def _parquet(paths: list[str], code_column: str, id_column: str | None) -> Rows:
    pyarrow, groups, lengths, bits = arrow._pyarrow("Parquet"), [], [], None
    for path in paths:
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                id_column, bits = _columns(file.schema_arrow, path, code_column, id_column)
                for group in range(file.metadata.num_row_groups):
                    groups.append((path, group))
                    lengths.append(file.metadata.row_group(group).num_rows)
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"{path} is no Parquet file: {error}") from None
    made = _Groups(lengths, bits, (code_column, id_column or None))
    made.groups = groups
    return made


def _dataset(dataset: Any, code_column: str, id_column: str | None) -> Rows:
    import ray.data

    context = ray.data.DataContext.get_current()
    before, context.execution_options.preserve_order = context.execution_options.preserve_order, True
    try:
        references = dataset.to_arrow_refs()
    finally:
        context.execution_options.preserve_order = before
    measure: Any = ray.remote(num_cpus=0)(lambda table: (table.num_rows, table.schema))
    found = ray.get([measure.remote(reference) for reference in references])
    kept = [(reference, n, schema) for reference, (n, schema) in zip(references, found, strict=True) if n]
    bits = None
    if kept:
        id_column, bits = _columns(kept[0][2], "the Ray Dataset", code_column, id_column)
    made = _Blocks([n for _, n, _ in kept], bits, (code_column, id_column or None))
    made.references = [reference for reference, _, _ in kept]
    return made


def _columns(schema: Any, where: str, code_column: str, id_column: str | None) -> tuple[str | None, int | None]:
    """The column of ids ("": none) and the width of the codes."""
    if id_column is None:
        id_column = arrow.USUAL_IDS if arrow.USUAL_IDS in schema.names else ""
    for name in (code_column, id_column):
        if name and name not in schema.names:
            raise InputError(f"{where} has no column {name!r}, it has {', '.join(schema.names)}")
    kind = schema.field(code_column).type
    return id_column, 8 * kind.byte_width if hasattr(kind, "byte_width") else None


def _arrow(column: Any) -> Any:
    """Packed rows of a binary column."""
    pyarrow = arrow._pyarrow("Arrow")
    chunks = column.chunks if isinstance(column, pyarrow.ChunkedArray) else [column]
    parts = [arrow._packed(pyarrow, chunk, "codes") for chunk in chunks]
    return np.concatenate(parts) if parts else np.empty((0, 1), np.uint8)
