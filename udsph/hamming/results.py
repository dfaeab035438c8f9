"""What searches return, and how the results of several segments become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

    parts : distances and positions (nq, k) of each, padded; bases : the position at which each part begins, ascending.
    """
    near, places = parts[0][0], _moved(parts[0][1], bases[0])
    k = near.shape[1]
    for (more, positions), base in zip(parts[1:], bases[1:], strict=True):
        if (more[:, 0] >= near[:, -1]).all():  # nothing nearer: ties belong to the part before
            continue
        both = np.concatenate([near, more], axis=1)
        # Stable, and parts lie in the order of their positions: ties stay in that order, padding comes last.
        order = np.argsort(both, axis=1, kind="stable")[:, :k]
        near = np.take_along_axis(both, order, axis=1)
        places = np.take_along_axis(np.concatenate([places, _moved(positions, base)], axis=1), order, axis=1)
    return near, places


def _moved(positions: Positions, base: int) -> Positions:
    """Positions counted from where the first part begins; missing ones stay."""
    return positions if base == 0 else np.where(positions < 0, NO_ID, positions + base)


def merge_range(
    parts: Sequence[tuple[Offsets, Distances, Positions]], bases: Sequence[int]
) -> tuple[Offsets, Distances, Positions]:
    """All results of all parts, per query sorted by (distance, position); arguments as for ``merge_search``."""
    if len(parts) == 1 and bases[0] == 0:
        return parts[0]
    counts = np.sum([np.diff(offsets) for offsets, _, _ in parts], axis=0)
    queries = np.concatenate([np.repeat(np.arange(len(counts)), np.diff(offsets)) for offsets, _, _ in parts])
    near = np.concatenate([distances for _, distances, _ in parts])
    places = np.concatenate([positions + base for (_, _, positions), base in zip(parts, bases, strict=True)])
    # Sorted runs, one per part, in the order of positions: a stable sort merges them in one pass and keeps ties.
    order = np.argsort(queries << 16 | near, kind="stable")
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), near[order], places[order]
