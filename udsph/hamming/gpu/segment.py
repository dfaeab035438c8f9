"""A segment of an index whose codes are on a GPU: ``segments.Segment``, NumPy in and NumPy out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from udsph.cuda import device_number
from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.filters import BLOCK, Words
from udsph.hamming.gpu.arrays import OnHost
from udsph.hamming.gpu.codes import DeviceCodes
from udsph.hamming.gpu.library import library
from udsph.hamming.results import NO_DISTANCE, NO_ID

if TYPE_CHECKING:
    from udsph.hamming.flat import FlatIndex

Rows = NDArray[np.uint8]
Positions = NDArray[np.int64]

# Of the 256 MiB that may be taken beside an index: codes that are copied between the memories at a time, and results.
# The rest is for searching (MOST_SCRATCH of csrc/hamming/cuda/layout.h).
_BYTES_PER_STEP = 60 << 20
_BYTES_OF_RESULT = 12


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
        step = _rows_per_step(self.bits)
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            given = host.upload(part, "adding codes")
            codes = codes.extended(given.pointer, len(part), host.stream, len(rows) - first - len(part) + ahead)
            with library().on(codes.device):
                library().check(library().functions.udsph_cuda_wait(host.stream))
        return DeviceSegment(codes)

    def search(self, queries: Rows, k: int, allowed: Words | None, threads: int) -> tuple[NDArray[np.int32], Positions]:
        """Distances and positions of the k nearest, (nq, k), sorted by (distance, position) and padded."""
        rows, host, mask = np.atleast_2d(queries), self._host, self._filter(allowed)
        near = np.full((len(rows), k), NO_DISTANCE, np.int32)
        positions = np.full((len(rows), k), NO_ID, np.int64)
        most = max(1, min(k, len(self)))  # there are no more
        step = max(1, _BYTES_PER_STEP // (_BYTES_OF_RESULT * most + rows.shape[1]))
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            found, shape = self.codes.search(host.upload(some), len(some), most, mask, host), (len(some), most)
            near[first : first + step, :most] = host.download(found[0], shape, np.int32)
            positions[first : first + step, :most] = host.download(found[1], shape, np.int64)
        return (near, positions) if queries.ndim == 2 else (near[0], positions[0])

    def range_search(
        self, queries: Rows, radius: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], Positions]:
        """Offsets, distances and positions of all codes within the radius."""
        rows, host, mask = np.atleast_2d(queries), self._host, self._filter(allowed)
        counts, near, positions = [np.zeros(1, np.int64)], [np.empty(0, np.int32)], [np.empty(0, np.int64)]
        step, most = _rows_per_step(self.bits), _BYTES_PER_STEP // 2 // _BYTES_OF_RESULT
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            for found, *results in self.codes.range_search(host.upload(some), len(some), radius, mask, host, most):
                total = (int(found.sum()),)
                counts.append(found)
                near.append(host.download(results[0], total, np.int32))
                positions.append(host.download(results[1], total, np.int64))
        return np.cumsum(np.concatenate(counts)), np.concatenate(near), np.concatenate(positions)

    def read(self, positions: Positions) -> Rows:
        """Packed rows at positions."""
        if positions.size and (positions.min() < 0 or positions.max() >= len(self)):
            raise IndexError("a position is beyond the codes")
        width, host = (self.bits + 7) // 8, self._host
        parts = [np.empty((0, width), np.uint8)]
        step = _rows_per_step(self.bits)
        for first in range(0, len(positions), step):
            some = positions[first : first + step]
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


def _rows_per_step(bits: int) -> int:
    """Codes, with their positions, that are copied at a time, in whole blocks."""
    return max(1, _BYTES_PER_STEP // 2 // ((bits + 7) // 8 + 8) // BLOCK) * BLOCK


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
        The device cannot be used: with the reason; the index is searched by similarities.
    MemoryError
        It has too little memory.
    """
    from udsph.hamming.flat import FlatIndex
    from udsph.hamming.segments import Snapshot, extended

    if not isinstance(index, FlatIndex):
        raise InputError(f"a {type(index).__name__} is searched on the CPU: make a FlatIndex of its codes for a GPU")
    snapshot = index._snapshot
    new = FlatIndex(index.bits, bitorder=index.bitorder, multi=index.multi, device=device)
    segments: Any = ()
    step = _rows_per_step(index.bits)
    for first in range(0, snapshot.n, step):
        rows = snapshot.read_positions(np.arange(first, min(first + step, snapshot.n)))
        if not segments and isinstance(new._snapshot.empty, DeviceSegment):
            segments = (new._snapshot.empty.extended(rows, snapshot.n - len(rows)),)
        else:
            segments = extended(segments, new._snapshot.empty, rows)
    ids = snapshot.ids.shared(snapshot.alive)
    new._snapshot = Snapshot(new._snapshot.empty, segments, ids, snapshot.alive, snapshot.closings)
    return new
