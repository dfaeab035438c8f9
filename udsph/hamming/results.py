"""What searches return, and how the results of several segments become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import backend

NO_ID = -1
NO_DISTANCE = 2**31 - 1

Offsets = NDArray[np.int64]
Distances = NDArray[np.int32]
Positions = NDArray[np.int64]


class SearchResult(NamedTuple):
    """Nearest neighbours, sorted by (distance, insertion order); of one query by itself, without the first dimension.

    distances : (nq, k) int32, ``2**31 - 1`` where there are fewer than k codes
    ids : (nq, k) int64, -1 there; or an array of str objects, None there
    """

    distances: Distances
    ids: NDArray[Any]


class RangeResult(NamedTuple):
    """All neighbours within a radius; those of query q are at ``offsets[q]`` to ``offsets[q + 1]``.

    offsets : (nq + 1,) int64
    distances : (total,) int32, per query sorted by (distance, insertion order)
    ids : (total,) int64, or str objects
    """

    offsets: Offsets
    distances: Distances
    ids: NDArray[Any]


def merge_search(parts: Sequence[tuple[Distances, Positions]], bases: Sequence[int]) -> tuple[Distances, Positions]:
    """The k nearest of all parts from the k nearest of each, sorted by (distance, position).

    parts : distances and positions (nq, k) or (k,) of each, padded; bases : the position at which each part begins,
    ascending.
    """
    (near, places), merge = parts[0], _operation("merge_search", _merge_two)
    if bases[0]:
        places = _moved(places, bases[0])
    for (more, positions), base in zip(parts[1:], bases[1:], strict=True):
        near, places = merge(near, places, more, positions, base)
    return near, places


def merge_range(
    parts: Sequence[tuple[Offsets, Distances, Positions]], bases: Sequence[int]
) -> tuple[Offsets, Distances, Positions]:
    """All results of all parts, per query sorted by (distance, position); arguments as for ``merge_search``."""
    (offsets, near, places), merge = parts[0], _operation("merge_range", _merge_two_ranges)
    if bases[0]:
        places = _moved(places, bases[0])
    for (more_offsets, more, positions), base in zip(parts[1:], bases[1:], strict=True):
        offsets, near, places = merge(offsets, near, places, more_offsets, more, positions, base)
    return offsets, near, places


def _operation(name: str, reference: Callable[..., Any]) -> Callable[..., Any]:
    return getattr(backend.module(), name, reference)


def _merge_two(
    near: Distances, places: Positions, more: Distances, positions: Positions, base: int
) -> tuple[Distances, Positions]:
    both = np.concatenate([near, more], axis=-1)
    # Stable, and parts lie in the order of their positions: ties stay in that order, padding comes last.
    order = np.argsort(both, axis=-1, kind="stable")[..., : near.shape[-1]]
    all_places = np.concatenate([places, _moved(positions, base)], axis=-1)
    return np.take_along_axis(both, order, axis=-1), np.take_along_axis(all_places, order, axis=-1)


def _moved(positions: Positions, base: int) -> Positions:
    """Positions counted from where the first part begins; missing ones stay."""
    return np.where(positions < 0, NO_ID, positions + base)


def _merge_two_ranges(
    offsets: Offsets,
    near: Distances,
    places: Positions,
    more_offsets: Offsets,
    more: Distances,
    positions: Positions,
    base: int,
) -> tuple[Offsets, Distances, Positions]:
    counts = np.diff(offsets), np.diff(more_offsets)
    queries = np.concatenate([np.repeat(np.arange(len(count)), count) for count in counts])
    both = np.concatenate([near, more])
    # Two sorted runs in the order of positions: a stable sort merges them in one pass and keeps ties.
    order = np.argsort(queries << 16 | both, kind="stable")
    return offsets + more_offsets, both[order], np.concatenate([places, positions + base])[order]
