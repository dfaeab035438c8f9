"""``.faiss``: binary indexes of FAISS; read and written without it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from udsph.errors import InputError
from udsph.files import replacing
from udsph.hamming import faiss_files
from udsph.hamming.codes import BitOrder
from udsph.hamming.collection.formats import batches
from udsph.hamming.collection.formats.batches import Batch, Columns, Source, Tell
from udsph.hamming.segments import Snapshot


def read(path: Path, columns: Columns) -> Source:
    """Codes, and the ids of an ID map, or those of lists that are not positions."""
    contents = faiss_files.read(path)
    return Source(contents.bits, _batches(contents, os.fspath(path)))


def _batches(contents: faiss_files.Contents, name: str) -> Iterator[Batch]:
    n = contents.n
    for begin in range(0, n, batches.BATCH):
        end = min(n, begin + batches.BATCH)
        ids = None if contents.ids is None else contents.ids[begin:end]
        if ids is not None and int(ids.min()) < 0:
            raise InputError(f"{name} has the id {ids.min()}; ids must be 0 or more, give the codes new ones")
        yield Batch(contents.codes(begin, end), ids, end / n)


def write(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    """An ``IndexBinaryFlat``, in an ``IndexBinaryIDMap`` where ids are not positions."""
    n, width = len(snapshot), (snapshot.bits + 7) // 8
    if snapshot.ids.kind == "strings":
        raise InputError(f"{os.fspath(path)}: ids of FAISS are integers, those of this collection are strings")
    if snapshot.bits % 8:
        raise InputError(f"{os.fspath(path)}: codes of FAISS are whole bytes, these have {snapshot.bits} bits")
    named = not snapshot.ids.positional or snapshot.alive is not None
    with replacing(path) as file:
        for kind in [b"IBMp"] * named + [b"IBxF"]:
            file.write(faiss_files.HEADER.pack(kind, 8 * width, width, n, 1, 1))
        file.write(struct.pack("<Q", n * width))
        for rows, _ in batches.of_snapshot(snapshot, bitorder, tell):
            file.write(rows.data)
        if named:
            file.write(struct.pack("<Q", n))
            for positions in batches.positions_of(snapshot):
                file.write(snapshot.ids.at(positions).astype("<i8", copy=False).data)
