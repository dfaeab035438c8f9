"""Codes from and to files of other programs, a batch at a time. The suffix says what a file is; see ``SUFFIXES``.

``batches`` says what a reader gives; the other modules are one a family of files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from udsph.errors import InputError
from udsph.hamming.codes import BitOrder
from udsph.hamming.collection.formats import arrays, arrow, faiss, rows, text, usearch
from udsph.hamming.collection.formats.batches import USUAL_IDS, Batch, Columns, Source, Tell
from udsph.hamming.segments import Snapshot

_Call = TypeVar("_Call", bound=Callable[..., object])

__all__ = ["READ", "WRITTEN", "Batch", "Columns", "Source", "bits_of", "open_source", "write"]

_READERS = {
    ".npy": arrays.read,
    ".parquet": arrow.read_parquet,
    ".arrow": arrow.read_arrow,
    ".feather": arrow.read_arrow,
    ".fps": text.read_fps,
    ".txt": text.read_lines,
    ".hex": text.read_lines,
    ".csv": rows.read,
    ".faiss": faiss.read,
    ".usearch": usearch.read,
}
_WRITERS = {
    ".npy": arrays.write,
    ".parquet": arrow.write_parquet,
    ".arrow": arrow.write_arrow,
    ".feather": arrow.write_arrow,
    ".fps": text.write_fps,
    ".txt": text.write_lines,
    ".hex": text.write_lines,
    ".csv": rows.write,
    ".faiss": faiss.write,
    ".usearch": usearch.write,
}
READ, WRITTEN = tuple(_READERS), tuple(_WRITERS)


def open_source(path: Path, columns: Columns) -> Source:
    """What is in a file, or in the folder of a dataset of Hugging Face.

    Raises
    ------
    InputError
        The suffix is not known, or the file is not what it says; also while batches are read. The message says where.
    MissingExtra
        Parquet and Arrow need pyarrow.
    OSError
        It cannot be read.
    """
    if path.is_dir():
        return arrow.read_dataset(path, columns)
    return _chosen(_READERS, path, "read")(path, columns)


def bits_of(source: Source) -> int | None:
    """The width of the codes of a source, which is not to be used further; None: it has none."""
    if source.bits is not None:
        return source.bits
    first = next(source.batches, None)
    if first is None:
        return None
    codes = np.asarray(first.codes)
    return 8 * codes.dtype.itemsize * (codes.shape[1] if codes.ndim == 2 else 1)


def write(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    """Write all codes of a snapshot and, but for ``.npy``, their ids, whole or not at all.

    What has no suffix is the folder of a dataset of Hugging Face, and so is a folder that is there.

    Raises
    ------
    InputError
        The suffix is not known, or the file cannot hold the ids or the width of the codes.
    MissingExtra
        What writes it is not installed.
    """
    if columns.code == (columns.id or USUAL_IDS):
        raise InputError(f"code_column and id_column are both {columns.code!r}; name two columns")
    folder = path.is_dir() or not path.suffix
    writer = arrow.write_dataset if folder else _chosen(_WRITERS, path, "written")
    writer(path, snapshot, bitorder, columns, tell)


def _chosen(choices: dict[str, _Call], path: Path, what: str) -> _Call:
    suffix = path.suffix.lower()
    if suffix not in choices:
        known = ", ".join(choices)
        raise InputError(f"{os.fspath(path)}: {suffix or 'no suffix'} is not {what}, of these codes are: {known}")
    return choices[suffix]
