"""Large arrays of a file, row by row: streamed into memory or a memory map, images read when asked for.

MATLAB stores arrays column by column; in its version 7.3 (HDF5) the dimensions therefore appear reversed, so that the
last of MATLAB's dimensions, here the items, comes first on disk for images and last for tables.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.arrays import Arrays
from udsph.data.checks import as_float32
from udsph.data.images import LazyRows
from udsph.data.pixels import pixels_of
from udsph.errors import InputError

BLOCK_BYTES = 64 * 2**20  # read at once
MEMORY_BYTES = 2**30  # a dense table beyond this goes to a temporary memory map
DENSE_BYTES = 32 * 2**20  # a table below this is never made sparse
SPARSE_SHARE = 0.1  # of the entries that are not zero, below which a table is kept sparse


def read_table(path: Path, key: str, layout: str) -> Any:
    """A table ``(n, dims)`` as float32, finite: an array, a memory map of a temporary file, or a CSR array.

    HDF5 files are read in blocks, so that memory never holds the table twice, nor as doubles.
    """
    what = f"{layout}: {path.name}: '{key}'"
    with Arrays(path) as arrays:
        node = arrays.node(key)
        if node is None or not hasattr(node, "shape") or node.ndim != 2:
            table = as_float32(arrays.read(key), what)
            return _sparse_if_better(table)
        reverse = arrays.reversed(key)
        rows, dims = node.shape[::-1] if reverse else node.shape
        step = max(1, BLOCK_BYTES // (8 * max(1, dims)))
        blocks = (
            as_float32(np.ascontiguousarray(node[:, k : k + step].T if reverse else node[k : k + step]), what, k)
            for k in range(0, rows, step)
        )
        return _gathered(blocks, rows, dims)


def _gathered(blocks: Iterator[np.ndarray], rows: int, dims: int) -> Any:
    """The blocks as one table; whether it is sparse is decided by the first."""
    first = next(blocks)
    if rows * dims * 4 > DENSE_BYTES and np.count_nonzero(first) < SPARSE_SHARE * first.size:
        import scipy.sparse

        parts = [scipy.sparse.csr_array(first), *(scipy.sparse.csr_array(block) for block in blocks)]
        return scipy.sparse.vstack(parts, format="csr")
    return _joined(chain([first], blocks), rows, dims)


def stacked(tables: Sequence[Any]) -> Any:
    """Tables of the same width one below the other, beyond ``MEMORY_BYTES`` in a memory map; sparse if one is."""
    if all(isinstance(table, np.ndarray) for table in tables):
        return _joined(iter(tables), sum(len(table) for table in tables), tables[0].shape[1])
    import scipy.sparse

    return scipy.sparse.vstack([scipy.sparse.csr_array(table) for table in tables], format="csr")


def _joined(blocks: Iterator[np.ndarray], rows: int, dims: int) -> np.ndarray:
    table = np.empty((rows, dims), np.float32) if rows * dims * 4 <= MEMORY_BYTES else _temporary(rows, dims)
    start = 0
    for block in blocks:
        table[start : start + len(block)] = block
        start += len(block)
    return table


def _temporary(rows: int, dims: int) -> np.ndarray:
    """A memory map without a name: its file goes when the process does."""
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=(rows, dims))


def _sparse_if_better(table: Any) -> Any:
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.nbytes <= DENSE_BYTES:
        return table
    return _gathered(iter([table]), *table.shape)


def read_pixels(path: Path, key: str, layout: str, *, size: int, workers: int | None) -> Any:
    """Images of an array of four dimensions, resized to uint8 ``(n, size, size, 3)``; from HDF5 read when asked for."""
    with Arrays(path) as arrays:
        node = arrays.node(key)
        stored = node if node is not None else arrays.read(key)
        shape, kind = stored.shape, stored.dtype.kind
    order = _order(shape, node is not None)
    if order is None or kind not in "ui":
        listed = " x ".join(map(str, shape))
        raise InputError(
            f"{layout}: {path.name}: '{key}' is {stored.dtype} {listed}; expected uint8 images of 3 colours"
        )
    if node is not None:
        return StoredPixels(path, key, (shape[0], size, size, 3), tuple(axis - 1 for axis in order[1:]), workers)
    pictures = stored.transpose(order)
    what = f"{layout}: {path.name}: '{key}', item"
    return np.stack([pixels_of(picture, size, f"{what} {row}") for row, picture in enumerate(pictures)])


def _order(shape: tuple[int, ...], lazy: bool) -> tuple[int, ...] | None:
    """The axes (item, height, width, colour) of an array; colour is the one of length 3."""
    if len(shape) != 4:
        return None
    if shape[3] == 3 and (lazy or shape[2] != 3):
        return (0, 1, 2, 3)
    if lazy and shape[1] == 3:  # MATLAB's height, width, colour, item, reversed
        return (0, 3, 2, 1)
    return (3, 0, 1, 2) if shape[2] == 3 else None


class StoredPixels(LazyRows):
    """Images inside an HDF5 file."""

    def __init__(
        self, path: Path, key: str, shape: tuple[int, ...], order: tuple[int, ...], workers: int | None
    ) -> None:
        super().__init__(path, [str(row) for row in range(shape[0])], shape[1:], np.uint8, workers=workers, stop=True)
        self.key, self.order = key, order
        self._nodes: dict[int, Any] = {}  # by process: the library's state does not survive a fork

    def compute(self, position: int) -> np.ndarray:
        """One image, read and resized."""
        with self._lock.here:  # HDF5 reads one at a time
            if os.getpid() not in self._nodes:
                self._nodes = {os.getpid(): Arrays(self.root).node(self.key)}
            picture = self._nodes[os.getpid()][int(self.names[position])]
        what = f"{self.root.name}: '{self.key}', item {self.names[position]}"
        return pixels_of(picture.transpose(self.order), self.shape[1], what)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_nodes": {}}
