"""Searches in which queries differ in their filter or their radius: those that are alike are searched together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.hamming.arrays import as_array
from udsph.hamming.filters import Bitmap
from udsph.hamming.ids import Unknown
from udsph.hamming.results import RangeResult, SearchResult
from udsph.hamming.segments import Snapshot

Codes = NDArray[np.uint8]


def has_own_filters(where: Any) -> bool:
    """Whether ``where`` is one filter per query: a list of them, or rows of a mask."""
    if isinstance(where, (list, tuple)):
        return len(where) > 0 and any(map(_is_filter, where[:2]))
    return isinstance(where, np.ndarray) and where.ndim == 2 and where.dtype == np.bool_


def check_radius(radius: Any, queries: Codes, bits: int) -> int | NDArray[np.int64]:
    """Return one radius, or one per query, none larger than a distance can be.

    Raises
    ------
    TypeError, InputError
        They are not integers, negative, or not one per query.
    """
    if not (isinstance(radius, (list, tuple)) or getattr(radius, "ndim", None)):
        return min(check_int(radius, "radius", 0), bits)
    radii = as_array(radius, "radius")
    if queries.ndim == 1:
        raise InputError(f"radius must be one int for one query, got shape {radii.shape}")
    if radii.shape != (len(queries),):
        raise InputError(f"radius must be one int, or have shape ({len(queries)},), got {radii.shape}")
    if radii.size == 0:
        return 0
    if radii.dtype.kind not in "iu":
        raise TypeError(f"radius must be integers, got dtype {radii.dtype}")
    if int(radii.min()) < 0:
        raise InputError(f"radius must be at least 0, got {radii.min()}")
    return np.minimum(radii, bits).astype(np.int64)


def search(snapshot: Snapshot, queries: Codes, k: int, where: Any, threads: int, unknown: Unknown) -> SearchResult:
    """The k nearest of every query among those that its filter allows."""
    filters = _filters(where, queries, len(snapshot))
    if queries.ndim == 1:
        return snapshot.search(queries, k, filters[0], threads, unknown)
    near = np.empty((len(queries), k), np.int32)
    ids: NDArray[Any] | None = None
    for which, allowed, _ in _groups(filters, np.zeros(len(queries), np.int64)):
        found = snapshot.search(queries[which], k, allowed, threads, unknown)
        ids = np.empty(near.shape, found.ids.dtype) if ids is None else ids
        near[which], ids[which] = found
    assert ids is not None
    return SearchResult(near, ids)


def range_search(
    snapshot: Snapshot, queries: Codes, radius: int | NDArray[np.int64], where: Any, threads: int, unknown: Unknown
) -> RangeResult:
    """All within each query's radius among those that its filter allows."""
    filters = (
        _filters(where, queries, len(snapshot)) if has_own_filters(where) else [where] * len(np.atleast_2d(queries))
    )
    if queries.ndim == 1:
        assert isinstance(radius, int)
        return snapshot.range_search(queries, radius, filters[0], threads, unknown)
    radii = np.broadcast_to(np.asarray(radius, np.int64), len(queries))
    groups = _groups(filters, radii)
    parts = [
        (which, snapshot.range_search(queries[which], r, allowed, threads, unknown)) for which, allowed, r in groups
    ]
    counts = np.zeros(len(queries), np.int64)
    for which, part in parts:
        counts[which] = np.diff(part.offsets)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    near = np.empty(offsets[-1], np.int32)
    ids = np.empty(offsets[-1], parts[0][1].ids.dtype)
    for which, part in parts:
        to = np.arange(len(part.ids)) + np.repeat(offsets[which] - part.offsets[:-1], np.diff(part.offsets))
        near[to], ids[to] = part.distances, part.ids
    return RangeResult(offsets, near, ids)


def _is_filter(entry: Any) -> bool:
    if entry is None or isinstance(entry, (Bitmap, list, tuple)):
        return True
    return not isinstance(entry, (str, bytes)) and hasattr(entry, "__len__") and getattr(entry, "ndim", 1) > 0


def _filters(where: Any, queries: Codes, n: int) -> list[Any]:
    """One filter per query."""
    filters = list(where)
    count = 1 if queries.ndim == 1 else len(queries)
    if isinstance(where, np.ndarray) and where.shape != (count, n):
        raise InputError(f"where must have shape ({n},) or ({count}, {n}), got {where.shape}")
    if len(filters) != count:
        raise InputError(f"where has {len(filters)} filters, there are {count} queries")
    wrong = next((entry for entry in filters if not _is_filter(entry)), None)
    if wrong is not None:
        raise TypeError(
            f"where holds {type(wrong).__name__} among filters; give each query a mask, a Bitmap, ids or None"
        )
    return filters


def _groups(filters: list[Any], radii: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], Any, int]]:
    """Queries, filter and radius of each group: those with the same filter object and the same radius."""
    members: dict[tuple[int, int], list[int]] = {}
    for query, (allowed, radius) in enumerate(zip(filters, radii.tolist(), strict=True)):
        members.setdefault((id(allowed), radius), []).append(query)
    return [(np.array(queries), filters[queries[0]], radius) for (_, radius), queries in members.items()]
