"""The operations in Numba: the backend where no compiler was at hand, and functions for a user's own ``@njit`` code.

>>> from numba import njit
>>> from udsph.hamming import jit
>>> @njit
... def closest(query, codes):
...     best = 0
...     for i in range(1, len(codes)):
...         if jit.distance(query, codes[i]) < jit.distance(query, codes[best]):
...             best = i
...     return best
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange, types
from numba.extending import intrinsic

NO_ID = -1
NO_DISTANCE = np.int32(2**31 - 1)


@intrinsic
def popcount(typingctx: Any, word: Any) -> Any:
    """Population count of an unsigned integer, as one instruction where the CPU has one."""
    if not isinstance(word, types.Integer):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return word(word), codegen


@njit(cache=True, nogil=True, inline="always")
def _word(code, byte):
    """Eight bytes of a code as one number."""
    word = np.uint64(0)
    for i in range(8):
        word |= np.uint64(code[byte + i]) << np.uint64(8 * i)
    return word


@njit(cache=True, nogil=True)
def distance(a, b):
    """Hamming distance of two packed codes, each (bytes,) uint8."""
    total = np.uint64(0)
    whole = len(a) - len(a) % 8
    for byte in range(0, whole, 8):
        total += popcount(_word(a, byte) ^ _word(b, byte))
    for byte in range(whole, len(a)):
        total += np.uint64(popcount(np.uint64(a[byte] ^ b[byte])))
    return np.int32(total)


@njit(cache=True, nogil=True, parallel=True)
def distances(queries, codes):
    """Hamming distances of packed codes, (nq, bytes) and (n, bytes) uint8 -> (nq, n) int32."""
    out = np.empty((len(queries), len(codes)), np.int32)
    for q in prange(len(queries)):
        for i in range(len(codes)):
            out[q, i] = distance(queries[q], codes[i])
    return out


@njit(cache=True, nogil=True)
def nearest(query, codes, k, best, positions):
    """Write the k nearest of one query, sorted by (distance, position) and padded, into ``best`` and ``positions``."""
    counts = np.zeros(8 * codes.shape[1] + 1, np.int64)
    row = np.empty(len(codes), np.int32)
    for i in range(len(codes)):
        row[i] = distance(query, codes[i])
        counts[row[i]] += 1
    starts = np.cumsum(counts) - counts
    for i in range(len(codes)):
        place = starts[row[i]]
        if place < k:
            best[place] = row[i]
            positions[place] = i
            starts[row[i]] += 1
    best[len(codes) :] = NO_DISTANCE
    positions[len(codes) :] = NO_ID


@njit(cache=True, nogil=True, parallel=True)
def top_k(queries, codes, k):
    """Distances int32 and positions int64 of the k nearest, sorted by (distance, position) and padded, each (nq, k)."""
    best = np.empty((len(queries), k), np.int32)
    positions = np.empty((len(queries), k), np.int64)
    for q in prange(len(queries)):
        nearest(queries[q], codes, k, best[q], positions[q])
    return best, positions
