"""Searches whose queries are on a GPU: results stay there, in the order of the caller's stream."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.hamming.codes import BitOrder, check_bitorder, check_bits
from udsph.hamming.filters import words_of_positions
from udsph.hamming.gpu import beside
from udsph.hamming.gpu import codes as operations
from udsph.hamming.gpu.arrays import maker_of, on_device
from udsph.hamming.gpu.codes import DeviceCodes
from udsph.hamming.gpu.library import library
from udsph.hamming.gpu.rows import check_same_device, device_rows, without_unused_bits
from udsph.hamming.gpu.segment import DeviceSegment
from udsph.hamming.results import RangeResult, SearchResult
from udsph.hamming.where import Few


def search(index: Any, queries: Any, k: int, where: Any, unknown: Any) -> SearchResult:
    """The k nearest codes of queries on a GPU, of an index that is on the same."""
    snapshot, maker = _state(index), maker_of(queries, "queries")
    segment = _segment(snapshot, maker)
    rows, single = _rows(index, queries, maker)
    allowed = _allowed(snapshot, where, unknown, maker)
    near, positions = segment.codes.search(rows, rows.shape[0], k, allowed, maker)
    ids = _ids(snapshot, positions, maker)
    return SearchResult(near[0], ids[0]) if single else SearchResult(near, ids)


def range_search(index: Any, queries: Any, radius: Any, where: Any, unknown: Any) -> RangeResult:
    """All codes within a radius of queries on a GPU; waits once for each batch of them, for how many there are."""
    if isinstance(radius, (list, tuple)) or getattr(radius, "ndim", None):
        raise InputError("radius must be one int for queries on a GPU")
    radius = min(check_int(radius, "radius", 0), index.bits)
    snapshot, maker = _state(index), maker_of(queries, "queries")
    segment = _segment(snapshot, maker)
    rows, _ = _rows(index, queries, maker)
    allowed = _allowed(snapshot, where, unknown, maker)
    counts = [np.zeros(1, np.int64)]
    parts: list[tuple[Any, Any]] = []
    for found, *arrays in segment.codes.range_search(rows, rows.shape[0], radius, allowed, maker):
        counts.append(found)
        parts.append((arrays[0], arrays[1]))
    if not parts:
        parts = [(maker.empty((0,), np.int32), maker.empty((0,), np.int64))]
    near, positions = parts[0]
    if len(parts) > 1:
        near, positions = (maker.concatenate(list(part)) for part in zip(*parts, strict=True))
    offsets = np.cumsum(np.concatenate(counts))
    return RangeResult(maker.upload(offsets), near, _ids(snapshot, positions, maker))


def direct(queries: Any, codes: Any, k: int, bits: int | None, bitorder: BitOrder) -> SearchResult:
    """The k nearest of codes on a GPU without an index; sorted by (distance, row of the codes)."""
    maker, bits = _maker_of_both(queries, codes), _width(codes, bits)
    library().serves(maker.device)
    rows = device_rows(codes, bits, check_bitorder(bitorder), "codes", maker)
    single = getattr(queries, "ndim", 2) == 1 and str(queries.dtype).endswith("int8")
    given = device_rows(queries[None] if single else queries, bits, bitorder, "queries", maker)
    held = DeviceCodes.of_rows(bits, rows, rows.shape[0], maker)
    near, positions = held.search(given, given.shape[0], k, None, maker)
    return SearchResult(near[0], positions[0]) if single else SearchResult(near, positions)


def distances(queries: Any, codes: Any, bits: int | None, bitorder: BitOrder) -> Any:
    """All distances between queries and codes on a GPU, (nq, n) int32."""
    maker, bits = _maker_of_both(queries, codes), _width(codes, bits)
    library().serves(maker.device)
    both = [
        without_unused_bits(device_rows(rows, bits, check_bitorder(bitorder), name, maker), bits, maker)
        for rows, name in ((queries, "queries"), (codes, "codes"))
    ]
    return operations.distances(both[0], both[0].shape[0], both[1], both[1].shape[0], both[1].shape[1], maker)


def _maker_of_both(queries: Any, codes: Any) -> Any:
    """What makes arrays like queries and codes, which are on one GPU."""
    maker = maker_of(codes, "codes") if on_device(codes) else maker_of(queries, "queries")
    for values, name in ((queries, "queries"), (codes, "codes")):
        check_same_device(values, maker, name)
    return maker


def _width(codes: Any, bits: int | None) -> int:
    """The width that is asked for, else all bits of the rows."""
    if bits is not None:
        return check_bits(bits)
    if len(codes.shape) != 2:
        raise TypeError(f"codes of shape {tuple(codes.shape)} need bits=")
    return check_bits(8 * codes.dtype.itemsize * codes.shape[1])


def _state(index: Any) -> Any:
    """A state of an index whose ids a GPU can hold."""
    snapshot = index._snapshot
    if snapshot.ids.kind == "strings":
        raise InputError("ids that are strings cannot be on a GPU: bring the queries to the host")
    return snapshot


def _segment(snapshot: Any, maker: Any) -> DeviceSegment:
    parts = [part for part, _ in snapshot.searched()]
    if not isinstance(parts[0], DeviceSegment):
        raise InputError(
            f"queries are on GPU {maker.device}, the index is in host memory: bring it there by index.to('cuda'), or "
            "the queries to the host"
        )
    (segment,) = parts  # what is added to an index on a GPU is added to its one segment
    if segment.codes.device != maker.device:
        raise InputError(f"queries are on GPU {maker.device}, the index is on GPU {segment.codes.device}")
    return segment


def _rows(index: Any, queries: Any, maker: Any) -> tuple[Any, bool]:
    """Packed rows, and whether they are of one query by itself."""
    single = len(queries.shape) == 1 and str(queries.dtype).endswith("int8")
    rows = device_rows(queries[None] if single else queries, index.bits, index.bitorder, "queries", maker)
    return rows, single


def _allowed(snapshot: Any, where: Any, unknown: Any, maker: Any) -> Any:
    """A bit per position on the GPU, or None: all."""
    if where is not None and on_device(where):
        check_same_device(where, maker, "where")
        if str(where.dtype).rpartition(".")[2] != "bool" or tuple(where.shape) != (len(snapshot),):
            raise ValueError(
                f"where on a GPU must be a mask of bools of shape ({len(snapshot)},), got {where.dtype} of shape "
                f"{tuple(where.shape)}"
            )
        return _packed(where, snapshot, maker)
    if where is None:
        return None if snapshot.alive is None else beside.alive(snapshot, maker.device).words
    allowed = snapshot.allowed(where, unknown)
    if isinstance(allowed, Few):
        allowed = words_of_positions(allowed.positions, snapshot.n)
    return maker.upload(allowed.view(np.int64))


def _packed(mask: Any, snapshot: Any, maker: Any) -> Any:
    """A mask of the codes there are as a bit per position."""
    lib, n = library(), snapshot.n
    given, words = maker.as_bytes(mask), maker.empty(((n + 31) // 32,), np.int32)
    held = None if snapshot.alive is None else beside.alive(snapshot, maker.device)
    alive = (None, None) if held is None else (held.words.pointer, held.before.pointer)
    with lib.on(maker.device):
        lib.launch("pack_mask", maker.pointer(given), n, *alive, maker.pointer(words), maker.stream)
    return words


def _ids(snapshot: Any, positions: Any, maker: Any) -> Any:
    """The ids of positions on the GPU, in their place."""
    if snapshot.ids.positional or len(snapshot) == 0:
        return positions
    lib, names = library(), beside.ids(snapshot, maker.device)
    with lib.on(maker.device):
        count = math.prod(positions.shape)
        lib.launch("name", names.pointer, maker.pointer(positions), count, maker.stream)
    return positions
