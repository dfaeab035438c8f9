"""``.npy``: codes in a form of ``Index``, without ids."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.files import replacing
from udsph.hamming.codes import BitOrder
from udsph.hamming.collection.formats import batches
from udsph.hamming.collection.formats.batches import Batch, Columns, Source, Tell
from udsph.hamming.segments import Snapshot


def read(path: Path, columns: Columns) -> Source:
    """Rows of an array, which is mapped."""
    try:
        codes = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InputError(f"{os.fspath(path)} is no array of NumPy: {error}") from None
    return Source(None, _batches(codes))


def _batches(codes: Any) -> Iterator[Batch]:
    for begin in range(0, len(codes), batches.BATCH):
        part = np.array(codes[begin : begin + batches.BATCH])
        yield Batch(part, None, min(1.0, (begin + batches.BATCH) / len(codes)))


def write(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    """Packed rows."""
    with replacing(path) as file:
        shape = (len(snapshot), (snapshot.bits + 7) // 8)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for rows, _ in batches.of_snapshot(snapshot, bitorder, tell):
            file.write(rows.data)
