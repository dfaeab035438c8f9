"""Searches whose queries are on a GPU: results stay there, in the order of the caller's stream."""

from __future__ import annotations

from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.hamming.codes import BitOrder, check_bitorder, check_bits
from udsph.hamming.filters import Bitmap, words_of_positions
from udsph.hamming.gpu import codes as operations
from udsph.hamming.gpu.arrays import maker_of, on_device
from udsph.hamming.gpu.codes import DeviceCodes
from udsph.hamming.gpu.library import library
from udsph.hamming.gpu.rows import check_same_device, device_rows, without_unused_bits
from udsph.hamming.gpu.segment import DeviceSegment
from udsph.hamming.results import NO_ID, RangeResult, SearchResult
from udsph.hamming.where import Few


def search(index: Any, queries: Any, k: int, where: Any, unknown: Any) -> SearchResult:
    """The k nearest codes of queries on a GPU, of an index that is on the same."""
    snapshot, maker = index._snapshot, maker_of(queries, "queries")
    segment = _segment(snapshot, maker)
    rows, single = _rows(index, queries, maker)
    allowed = _allowed(snapshot, where, unknown, maker)
    near, positions = segment.codes.search(rows, rows.shape[0], k, allowed, maker)
    ids = _ids(snapshot, positions, maker)
    return SearchResult(near[0], ids[0]) if single else SearchResult(near, ids)


def range_search(index: Any, queries: Any, radius: Any, where: Any, unknown: Any) -> RangeResult:
    """All codes within a radius of queries on a GPU; waits once for each batch of them, for how many there are."""
    if not isinstance(radius, int):
        raise InputError("radius must be one int for queries on a GPU")
    snapshot, maker = index._snapshot, maker_of(queries, "queries")
    segment = _segment(snapshot, maker)
    rows, _ = _rows(index, queries, maker)
    allowed = _allowed(snapshot, where, unknown, maker)
    offsets, parts = segment.codes.range_search(rows, rows.shape[0], radius, allowed, maker)
    if not parts:
        parts = [(maker.empty((0,), np.int32), maker.empty((0,), np.int64))]
    near, positions = (maker.concatenate(list(part)) for part in zip(*parts, strict=True))
    return RangeResult(maker.upload(offsets), near, _ids(snapshot, positions, maker))


def direct(queries: Any, codes: Any, k: int, bits: int | None, bitorder: BitOrder) -> SearchResult:
    """The k nearest of codes on a GPU without an index; sorted by (distance, row of the codes)."""
    maker, bits = maker_of(codes, "codes"), _width(codes, bits)
    library().serves(maker.device)
    rows = device_rows(codes, bits, check_bitorder(bitorder), "codes", maker)
    single = getattr(queries, "ndim", 2) == 1 and str(queries.dtype).endswith("int8")
    given = device_rows(queries[None] if single else queries, bits, bitorder, "queries", maker)
    held = DeviceCodes.of_rows(bits, rows, rows.shape[0], maker)
    near, positions = held.search(given, given.shape[0], k, None, maker)
    return SearchResult(near[0], positions[0]) if single else SearchResult(near, positions)


def distances(queries: Any, codes: Any, bits: int | None, bitorder: BitOrder) -> Any:
    """All distances between queries and codes on a GPU, (nq, n) int32."""
    maker, bits = maker_of(codes, "codes"), _width(codes, bits)
    library().serves(maker.device)
    both = [
        without_unused_bits(device_rows(rows, bits, check_bitorder(bitorder), name, maker), bits, maker)
        for rows, name in ((queries, "queries"), (codes, "codes"))
    ]
    return operations.distances(both[0], both[0].shape[0], both[1], both[1].shape[0], both[1].shape[1], maker)


def _width(codes: Any, bits: int | None) -> int:
    """The width that is asked for, else all bits of the rows."""
    if bits is not None:
        return check_bits(bits)
    if len(codes.shape) != 2:
        raise TypeError(f"codes of shape {tuple(codes.shape)} need bits=")
    return check_bits(8 * codes.dtype.itemsize * codes.shape[1])


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
        if snapshot.alive is None:
            return _packed(where, maker)
        where = Bitmap.from_mask(np.asarray(where.tolist(), np.bool_))
    allowed = snapshot.allowed(where, unknown)
    if allowed is None:
        return None
    if isinstance(allowed, Few):
        allowed = words_of_positions(allowed.positions, snapshot.n)
    return maker.upload(allowed.view(np.int64))


def _packed(mask: Any, maker: Any) -> Any:
    lib, n = library(), int(mask.shape[0])
    given, words = maker.as_bytes(mask), maker.empty(((n + 31) // 32,), np.int32)
    with lib.on(maker.device):
        lib.launch("pack_mask", maker.pointer(given), n, maker.pointer(words), maker.stream)
    return words


def _ids(snapshot: Any, positions: Any, maker: Any) -> Any:
    """The ids of positions on the GPU."""
    if snapshot.ids.positional:
        return positions
    if snapshot.ids.kind != "integers":
        raise InputError(f"ids that are {snapshot.ids.kind} cannot be on a GPU: bring the queries to the host")
    if len(snapshot) == 0:
        return positions
    found = positions >= 0
    return maker.where(found, maker.take(snapshot.ids.column().values, positions * found), NO_ID)
