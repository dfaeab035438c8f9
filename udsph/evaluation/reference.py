"""Counting in plain NumPy: the truth that the native kernels are held against, and the way in for custom relevance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import distances


def joint_counts(
    query_codes: NDArray[np.uint8], codes: NDArray[np.uint8], grades: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Pairs by query, distance and grade: (nq, bits + 1, greatest grade + 1) int64.

    Parameters
    ----------
    query_codes, codes : (nq, bytes), (n, bytes) uint8
    grades : (nq, n) whole numbers from 0
    """
    bins, levels = 8 * codes.shape[1] + 1, int(grades.max(initial=0)) + 1
    cells = distances(query_codes, codes) * np.int64(levels) + grades
    counts = np.empty((len(query_codes), bins * levels), np.int64)
    for row, cell in zip(counts, cells, strict=True):
        row[:] = np.bincount(cell, minlength=bins * levels)
    return counts.reshape(len(query_codes), bins, levels)


def ordered_ranks(
    distance: NDArray[np.int32], relevant: NDArray[np.bool_], seen: NDArray[np.int64], hits: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rank, and hits up to and including it, of the relevant items of the next piece of a database in its order.

    Parameters
    ----------
    distance, relevant : (n,)
        Of one query and the items of the piece.
    seen, hits : (bits + 1,) int64
        Per distance, the items (relevant items) that stand before the first item of this piece at that distance: all
        nearer ones of the database and those of earlier pieces. Moved on by this call.

    Returns
    -------
    ranks, hits : (relevant.sum(),) int64, by rank
    """
    order = np.argsort(distance, kind="stable")
    d, rel = distance[order], relevant[order]
    bins = len(seen)
    count, found = np.bincount(d, minlength=bins), np.bincount(d[rel], minlength=bins)
    ranks = np.arange(1, len(d) + 1) + (seen - (np.cumsum(count) - count))[d]
    at_hits = np.cumsum(rel) + (hits - (np.cumsum(found) - found))[d]
    seen += count
    hits += found
    return ranks[rel].astype(np.int64), at_hits[rel].astype(np.int64)


def first_partner(distance: NDArray[np.number], partner: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Of one query: items nearer than its first partner, items as near as that, and partners among the latter."""
    least = distance[partner].min()
    as_near = distance == least
    return int((distance < least).sum()), int(as_near.sum()), int((as_near & partner).sum())
