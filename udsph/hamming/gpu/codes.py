"""Codes in a GPU's memory, and every operation on them. Arrays are those of a maker (``arrays``)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.filters import BLOCK
from udsph.hamming.gpu import library as interface
from udsph.hamming.gpu.library import library
from udsph.hamming.gpu.memory import Buffer
from udsph.threads import ForkSafeLock

Counts = NDArray[np.int64]

_RESULTS = "results of a range search"
_SPARE = 16  # one part in so many is taken beyond the demand, so that codes can be added in place


class DeviceCodes:
    """n codes on one GPU; ``extended`` gives more of them in the same memory, where there is room."""

    def __init__(self, bits: int, device: int, n: int = 0, room: _Room | None = None) -> None:
        self.bits, self.device, self.n = bits, device, n
        self._room = _Room(bits, device, 0) if room is None else room

    @classmethod
    def of_rows(cls, bits: int, rows: Any, n: int, maker: Any) -> DeviceCodes:
        """Codes of packed rows for the time of a call, in memory of the maker: freeing it waits for nothing."""
        lib = library()
        size = lib.size("code_bytes", n, bits)
        tiles = maker.empty((size,), np.uint8, f"a search among {n} codes of {bits} bits")
        with lib.on(maker.device):
            lib.launch("add", maker.pointer(tiles), bits, 0, maker.pointer(rows), n, maker.stream)
        return cls(bits, maker.device, n, _Room(bits, maker.device, n, (maker.pointer(tiles), tiles)))

    @property
    def nbytes(self) -> int:
        """Bytes of the codes, without what is left for more."""
        return library().size("code_bytes", self.n, self.bits)

    def extended(self, rows: int, count: int, stream: int, ahead: int = 0) -> DeviceCodes:
        """These and ``count`` packed rows, which are at an address on the GPU, in the order of a stream.

        Room is taken for so many more codes that are ``ahead``.

        Raises
        ------
        MemoryError
            There is too little memory left; these codes stay as they are.
        """
        lib, total = library(), self.n + count
        with lib.on(self.device):
            room = self._room
            if not room.claim(self.n, total):
                spare = total // _SPARE if self.n else 0
                # The rest of a block comes behind the whole ones, in a call of its own (``segments.extended``).
                room = _Room(self.bits, self.device, total + max(spare, ahead + BLOCK - 1))
                room.claim(0, total)
                if self.n:
                    lib.check(lib.functions.udsph_cuda_copy(room.pointer, self._room.pointer, self.nbytes, stream))
            lib.launch("add", room.pointer, self.bits, self.n, rows, count, stream)
        return DeviceCodes(self.bits, self.device, total, room)

    def read(self, positions: Any, count: int, rows: Any, maker: Any) -> None:
        """Packed rows of codes at positions."""
        lib = library()
        with lib.on(self.device):
            places, to = maker.pointer(positions), maker.pointer(rows)
            lib.launch("read", self._struct(), places, count, to, maker.stream)

    def search(self, rows: Any, n_queries: int, k: int, allowed: Any, maker: Any) -> tuple[Any, Any]:
        """Distances (nq, k) int32 and positions (nq, k) int64 of the k nearest."""
        lib = library()
        distances, positions = maker.empty((n_queries, k), np.int32), maker.empty((n_queries, k), np.int64)
        if n_queries:
            scratch, size = self._scratch(n_queries, k, maker)
            queries = _queries(rows, n_queries, allowed, scratch, size, maker)
            with lib.on(self.device):
                results = maker.pointer(distances), maker.pointer(positions)
                lib.launch("search", self._struct(), ctypes.byref(queries), k, *results, maker.stream)
        return distances, positions

    def range_search(
        self, rows: Any, n_queries: int, radius: int, allowed: Any, maker: Any, most: int | None = None
    ) -> Iterator[tuple[Counts, Any, Any]]:
        """How many results each query has, on the host, distances and positions: of some queries after the others.

        They are as many as a search takes at once, or fewer, so that the results are at most ``most``, or one query's.
        Waits for every batch: the caller's stream knows how large its results are.
        """
        lib, width = library(), (self.bits + 7) // 8
        scratch, size = self._scratch(n_queries, 1, maker)
        step = lib.size("range_batch", self._struct(), n_queries, size)
        for first in range(0, n_queries, step):
            count = min(step, n_queries - first)
            queries = _queries(rows, count, allowed, scratch, size, maker)
            queries.rows += first * width
            counts = maker.empty((count,), np.int64)
            given = self._struct(), ctypes.byref(queries)
            with lib.on(self.device):
                lib.launch("range_count", *given, radius, maker.pointer(counts), maker.stream)
            found = maker.download(counts, (count,), np.int64)
            for begin, end in _groups(found, most):
                here = found[begin:end]
                starts, total = maker.upload(np.cumsum(here) - here), (int(here.sum()),)
                near, positions = maker.empty(total, np.int32, _RESULTS), maker.empty(total, np.int64, _RESULTS)
                places = maker.pointer(starts), maker.pointer(near), maker.pointer(positions)
                with lib.on(self.device):
                    lib.launch("range_fetch", *given, begin, end - begin, *places, maker.stream)
                yield here, near, positions

    def _scratch(self, n_queries: int, k: int, maker: Any) -> tuple[Any, int]:
        """Memory for a search, and how much: at most 256 MiB, and what one query takes where there is too little."""
        for name in ("scratch", "least_scratch"):
            size = library().size(name, self.n, self.bits, n_queries, k)
            try:
                return maker.empty((size,), np.uint8), size
            except MemoryError:
                if name == "least_scratch":
                    raise
        raise AssertionError

    def _struct(self) -> Any:
        return ctypes.byref(interface.Codes(self._room.pointer, self.n, self.bits))


class _Room:
    """Memory for codes. Each place is written once, by the codes that claim it, before anybody else knows of it."""

    def __init__(self, bits: int, device: int, codes: int, held: tuple[int, Any] | None = None) -> None:
        size = library().size("code_bytes", codes, bits)
        if held is None and codes:
            buffer = Buffer(size, device, f"an index of {codes} codes of {bits} bits")
            held = buffer.pointer, buffer
        self.pointer: int
        self._owner: Any
        self.pointer, self._owner = held or (0, None)
        tile = library().size("code_bytes", 1, bits)
        self._codes = 4096 * (size // tile)  # whole tiles
        self._used = 0
        self._lock = ForkSafeLock()

    def claim(self, begin: int, end: int) -> bool:
        """Whether the places are there and nobody else's."""
        with self._lock.here:
            free = self._used == begin and end <= self._codes
            if free:
                self._used = end
            return free


def _groups(counts: Counts, most: int | None) -> Iterator[tuple[int, int]]:
    """Runs of queries, [begin, end), of at most so many results together, or of one query."""
    begin, held = 0, 0
    for query, count in enumerate(counts.tolist()):
        if most is not None and query > begin and held + count > most:
            yield begin, query
            begin, held = query, 0
        held += count
    yield begin, len(counts)


def _queries(rows: Any, n: int, allowed: Any, scratch: Any, size: int, maker: Any) -> interface.Queries:
    mask = None if allowed is None else allowed.pointer if isinstance(allowed, Buffer) else maker.pointer(allowed)
    return interface.Queries(maker.pointer(rows), n, mask, maker.pointer(scratch), size)


def distances(queries: Any, n_queries: int, rows: Any, n: int, width: int, maker: Any) -> Any:
    """Distances of all pairs of packed rows, (nq, n) int32."""
    lib, out = library(), maker.empty((n_queries, n), np.int32, "a matrix of distances")
    with lib.on(maker.device):
        given = maker.pointer(queries), n_queries, maker.pointer(rows), n, width, maker.pointer(out)
        lib.launch("distances", *given, maker.stream)
    return out
