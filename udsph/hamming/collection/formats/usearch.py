"""``.usearch``: an index of USearch of bits (``b1``), as its ``save`` writes it; read without USearch, written by it.

Little-endian: uint32 vectors, uint32 bytes of each, the vectors; a head of 64 bytes (``usearch``, uint16 three times
the version, uint8 metric, scalar, key and slot, uint64 present, deleted, dimensions, uint8 multi); of the graph uint64
nodes, links of a node, links at the lowest level, highest level, entry; int16 level of each node; the nodes: uint64
key, int16 level, and the links of each level.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph import memory
from udsph.errors import InputError, MissingExtra
from udsph.files import beside
from udsph.hamming.codes import MAX_BITS, BitOrder
from udsph.hamming.collection.formats import batches
from udsph.hamming.collection.formats.batches import Batch, Columns, Source, Tell
from udsph.hamming.segments import Snapshot
from udsph.threads import thread_count

_MATRIX = struct.Struct("<II")
_HEAD = struct.Struct("<7sHHHBBBBQQQB")
_HEAD_BYTES = 64
_GRAPH = struct.Struct("<5Q")
_MAGIC, _B1, _U64, _U32 = b"usearch", 1, 14, 15
_FREE = (1 << 64) - 1  # the key of what was removed
_MOST_LINKS = 1 << 16
_GRAPH_BYTES = 350  # of a code in memory, beside the code, as measured with version 2.26
_STEP = 1 << 13  # codes that are added at a time; in between Ctrl-C is heard


class _Index:
    """What a file says of itself, compared with its size."""

    def __init__(self, path: Path) -> None:
        self.name = os.fspath(path)
        if path.stat().st_size < _MATRIX.size + _HEAD_BYTES + _GRAPH.size:
            raise InputError(f"{self.name} is no index of USearch: it is too short")
        self.image = np.memmap(path, np.uint8, "r")
        if self.image[: len(_MAGIC)].tobytes() == _MAGIC:
            raise InputError(f"{self.name} has been saved without its vectors, which are its codes")
        self.n, self.width = _MATRIX.unpack(self._bytes(0, _MATRIX.size))
        place = _MATRIX.size + self.n * self.width
        magic, major, _, _, _, scalar, key, slot, present, deleted, self.bits, self.multi = _HEAD.unpack(
            self._bytes(place, _HEAD.size)
        )
        if magic != _MAGIC:
            raise InputError(f"{self.name} is no index of USearch, or is truncated")
        if major != 2:
            raise InputError(f"{self.name} is of version {major} of USearch; files of version 2 are read")
        if scalar != _B1:
            raise InputError(f"{self.name} holds vectors of another kind than bits (dtype='b1')")
        if (key, slot) != (_U64, _U32):
            raise InputError(f"{self.name} has keys or slots of a kind that is not read (keys of 64 bits are)")
        if not 1 <= self.bits <= MAX_BITS or self.width != (self.bits + 7) // 8 or present + deleted != self.n:
            raise InputError(f"{self.name} is damaged: {self.n} vectors of {self.width} bytes, {self.bits} bits")
        graph = place + _HEAD_BYTES
        nodes, links, base, _, _ = _GRAPH.unpack(self._bytes(graph, _GRAPH.size))
        if nodes != self.n or max(links, base) > _MOST_LINKS:
            raise InputError(f"{self.name} is damaged: its graph has {nodes} nodes for {self.n} vectors")
        self._levels = graph + _GRAPH.size
        self._nodes = self._levels + 2 * self.n
        self._least, self._more = (
            8 + 2 + 4 + 4 * base,
            4 + 4 * links,
        )  # bytes of a node, and of a level beyond the lowest

    def batches(self) -> Iterator[Batch]:
        place = self._nodes
        for begin in range(0, self.n, batches.BATCH):
            end = min(begin + batches.BATCH, self.n)
            levels = self.image[self._levels + 2 * begin : self._levels + 2 * end].view("<i2").astype(np.int64)
            if len(levels) != end - begin or (levels < 0).any():
                raise InputError(f"{self.name} is damaged or truncated: its nodes have no levels")
            places = place + np.concatenate([[0], np.cumsum(self._least + self._more * levels)])
            place = int(places[-1])
            if place > len(self.image):
                raise InputError(f"{self.name} is damaged or truncated: its nodes end beyond the file")
            keys = self.image[places[:-1, None] + np.arange(8)].view("<u8")[:, 0]
            there = keys != _FREE
            yield Batch(self._codes(begin, end)[there], _ids(keys[there], self.name), end / self.n)

    def _codes(self, begin: int, end: int) -> NDArray[np.uint8]:
        first = _MATRIX.size + begin * self.width
        return self.image[first : first + (end - begin) * self.width].reshape(-1, self.width)

    def _bytes(self, begin: int, count: int) -> bytes:
        found = self.image[begin : begin + count].tobytes()
        if len(found) != count:
            raise InputError(f"{self.name} is no index of USearch, or is truncated")
        return found


def _ids(keys: NDArray[np.uint64], name: str) -> NDArray[np.int64]:
    if len(keys) and int(keys.max()) >= 1 << 63:
        raise InputError(f"{name} has the key {keys.max()}; ids are below 2**63")
    return keys.astype(np.int64)


def read(path: Path, columns: Columns) -> Source:
    """Vectors and keys, without those that were removed."""
    index = _Index(path)
    return Source(index.bits, index.batches(), bool(index.multi))


def write(path: Path, snapshot: Snapshot, bitorder: BitOrder, columns: Columns, tell: Tell) -> None:
    """An index of Hamming distances with the graph that USearch builds, which takes the time and memory that it takes.

    Raises
    ------
    InputError
        Ids are strings.
    MemoryError
        The graph, which is built in memory, needs more than there is.
    MissingExtra
        USearch is not installed.
    OSError
        The file cannot be written.
    """
    if snapshot.ids.kind == "strings":
        raise InputError(f"{os.fspath(path)}: keys of USearch are integers, the ids of this collection are strings")
    size, left = len(snapshot) * ((snapshot.bits + 7) // 8 + _GRAPH_BYTES), memory.available()
    if left is not None and size > left:
        raise MemoryError(f"the graph of USearch takes some {memory.size(size)}, but {memory.size(left)} are free")
    theirs = _usearch().Index(ndim=snapshot.bits, dtype="b1", metric="hamming", multi=snapshot.ids.multi)
    done = 0
    with beside(path) as temporary:
        for rows, ids in batches.of_snapshot(snapshot, bitorder, lambda share: None):
            for begin in range(0, len(rows), _STEP):
                part = slice(begin, begin + _STEP)
                theirs.add(ids[part].astype(np.uint64), rows[part], threads=thread_count(None))
                done += len(rows[part])
                tell(done / len(snapshot))
        try:
            theirs.save(os.fspath(temporary))
        except RuntimeError as error:  # of a full disk, say, which USearch does not name
            raise OSError(f"{os.fspath(path)} cannot be written: {error}") from None


def _usearch() -> Any:
    try:
        import usearch.index
    except ImportError:
        raise MissingExtra("an index of USearch", "usearch") from None
    return usearch.index
