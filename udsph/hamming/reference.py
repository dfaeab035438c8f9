"""Every operation once more in plain NumPy: the truth that the other backends are held against.

Arguments are already checked: codes are C-contiguous uint8 rows of one width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NO_ID = -1
NO_DISTANCE = np.iinfo(np.int32).max
_PAIRS_PER_STEP = 1 << 22  # distances held at a time

_POPCOUNT = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def distances(queries: NDArray[np.uint8], codes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Hamming distances, (nq, n) int32."""
    out = np.zeros((len(queries), len(codes)), np.int32)
    for row, query in zip(out, queries, strict=True):
        for byte in range(codes.shape[1]):
            row += _POPCOUNT[codes[:, byte] ^ query[byte]]
    return out


def top_k(queries: NDArray[np.uint8], codes: NDArray[np.uint8], k: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distances and positions of the k nearest, sorted by (distance, position) and padded, each (nq, k)."""
    nearest = np.full((len(queries), k), NO_DISTANCE, np.int32)
    positions = np.full((len(queries), k), NO_ID, np.int64)
    found = min(k, len(codes))
    step = max(1, _PAIRS_PER_STEP // max(1, len(codes)))
    for begin in range(0, len(queries), step):
        matrix = distances(queries[begin : begin + step], codes)
        order = np.argsort(matrix, axis=1, kind="stable")[:, :found]
        nearest[begin : begin + step, :found] = np.take_along_axis(matrix, order, axis=1)
        positions[begin : begin + step, :found] = order
    return nearest, positions
