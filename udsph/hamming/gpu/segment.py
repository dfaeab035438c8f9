"""A segment of an index whose codes are on a GPU: ``segments.Segment``, NumPy in and NumPy out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from udsph.cuda import device_number
from udsph.hamming import backend
from udsph.hamming.filters import BLOCK, Words
from udsph.hamming.gpu.arrays import OnHost
from udsph.hamming.gpu.codes import DeviceCodes
from udsph.hamming.gpu.library import library

if TYPE_CHECKING:
    from udsph.hamming.flat import FlatIndex

Rows = NDArray[np.uint8]
Positions = NDArray[np.int64]

_ROWS_PER_STEP = 1 << 20  # codes that are copied between the memories at a time


class DeviceSegment:
    """Codes on a GPU that never change."""

    full = False  # more codes are added in place

    def __init__(self, codes: DeviceCodes) -> None:
        self.codes = codes

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self.codes.bits

    @property
    def nbytes(self) -> int:
        """Bytes of the codes, on the GPU."""
        return self.codes.nbytes

    def __len__(self) -> int:
        return self.codes.n

    def __reduce__(self) -> Any:
        raise TypeError("a segment on a GPU is not pickled; its index is")

    @property
    def _host(self) -> OnHost:
        return OnHost(self.codes.device)

    def extended(self, rows: Rows, ahead: int = 0) -> DeviceSegment:
        """A segment with more codes at its end, and at best room for those that are ahead."""
        codes, host = self.codes, self._host
        for first in range(0, len(rows), _ROWS_PER_STEP):
            part = rows[first : first + _ROWS_PER_STEP]
            given = host.upload(part, "adding codes")
            codes = codes.extended(given.pointer, len(part), host.stream, len(rows) - first - len(part) + ahead)
            with library().on(codes.device):
                library().check(library().functions.udsph_cuda_wait(host.stream))
        return DeviceSegment(codes)

    def search(self, queries: Rows, k: int, allowed: Words | None, threads: int) -> tuple[NDArray[np.int32], Positions]:
        """Distances and positions of the k nearest, (nq, k), sorted by (distance, position) and padded."""
        rows, host = np.atleast_2d(queries), self._host
        given, mask = host.upload(rows), self._filter(allowed)
        shape = (len(rows), k) if queries.ndim == 2 else (k,)
        near, positions = self.codes.search(given, len(rows), k, mask, host)
        return host.download(near, shape, np.int32), host.download(positions, shape, np.int64)

    def range_search(
        self, queries: Rows, radius: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], Positions]:
        """Offsets, distances and positions of all codes within the radius."""
        rows, host = np.atleast_2d(queries), self._host
        given, mask = host.upload(rows), self._filter(allowed)
        offsets, parts = self.codes.range_search(given, len(rows), radius, mask, host)
        near, positions = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
        for distances, places in parts:
            near.append(host.download(distances, (distances.size // 4,), np.int32))
            positions.append(host.download(places, (places.size // 8,), np.int64))
        return offsets, np.concatenate(near), np.concatenate(positions)

    def read(self, positions: Positions) -> Rows:
        """Packed rows at positions."""
        if positions.size and (positions.min() < 0 or positions.max() >= len(self)):
            raise IndexError("a position is beyond the codes")
        width, host = (self.bits + 7) // 8, self._host
        parts = [np.empty((0, width), np.uint8)]
        for first in range(0, len(positions), _ROWS_PER_STEP):
            some = positions[first : first + _ROWS_PER_STEP]
            rows = host.empty((len(some), width), np.uint8, "reading codes")
            self.codes.read(host.upload(some), len(some), rows, host)
            parts.append(host.download(rows, (len(some), width), np.uint8))
        return np.concatenate(parts)

    def words(self, begin: int, end: int) -> Words:
        """The blocks [begin, end) in slices, (blocks, bits * 8)."""
        rows = self.read(np.arange(begin * BLOCK, min(end * BLOCK, len(self))))
        return backend.empty_segment(self.bits).extended(rows).words(0, end - begin)

    @staticmethod
    def joined(parts: Sequence[Any]) -> None:
        """Segments are not joined: that would copy the codes."""

    def _filter(self, allowed: Words | None) -> Any:
        if allowed is None:
            return None
        needed = -(-len(self) // BLOCK) * (BLOCK // 64)
        if len(allowed) != needed:
            raise ValueError(f"allowed has {len(allowed)} words, the segment needs {needed}")
        return self._host.upload(allowed)


def empty(bits: int, device: Any) -> Any:
    """A segment without codes on a device.

    Raises
    ------
    InputError
        The device cannot be used: with the reason.
    """
    number = device_number(device)
    if number is None:
        return backend.empty_segment(bits)
    library().serves(number)
    return DeviceSegment(DeviceCodes(bits, number))


def moved(index: Any, device: Any) -> FlatIndex:
    """An index with the same codes and ids, which scans them on a device and changes on its own from now on.

    Raises
    ------
    InputError
        The device cannot be used: with the reason.
    MemoryError
        It has too little memory.
    """
    from udsph.hamming.flat import FlatIndex
    from udsph.hamming.segments import Snapshot, extended

    snapshot = index._snapshot
    new = FlatIndex(index.bits, bitorder=index.bitorder, multi=index.multi, device=device)
    segments: Any = ()
    for first in range(0, snapshot.n, _ROWS_PER_STEP):
        rows = snapshot.read_positions(np.arange(first, min(first + _ROWS_PER_STEP, snapshot.n)))
        if not segments and isinstance(new._snapshot.empty, DeviceSegment):
            segments = (new._snapshot.empty.extended(rows, snapshot.n - len(rows)),)
        else:
            segments = extended(segments, new._snapshot.empty, rows)
    ids = snapshot.ids.shared(snapshot.alive)
    new._snapshot = Snapshot(new._snapshot.empty, segments, ids, snapshot.alive, snapshot.closings)
    return new
