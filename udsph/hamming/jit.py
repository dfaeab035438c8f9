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
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from udsph.compiled import compiled
from udsph.hamming.results import NO_DISTANCE, NO_ID
from udsph.threads import share_out

Codes = NDArray[np.uint8]
_ALL = np.empty(0, np.bool_)


@intrinsic
def popcount(typingctx: Any, word: Any) -> Any:
    """Population count of an unsigned integer, as one instruction where the CPU has one."""
    if not isinstance(word, types.Integer):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return word(word), codegen


@compiled(nogil=True, inline="always")
def _word(code, byte):
    """Eight bytes of a code as one number."""
    word = np.uint64(0)
    for i in range(8):
        word |= np.uint64(code[byte + i]) << np.uint64(8 * i)
    return word


@compiled(nogil=True)
def distance(a: Codes, b: Codes) -> np.int32:
    """Hamming distance of two packed codes, each (bytes,) uint8."""
    total = np.uint64(0)
    whole = len(a) - len(a) % 8
    for byte in range(0, whole, 8):
        total += popcount(_word(a, byte) ^ _word(b, byte))  # type: ignore[call-arg]
    for byte in range(whole, len(a)):
        total += np.uint64(popcount(np.uint64(a[byte] ^ b[byte])))  # type: ignore[call-arg]
    return np.int32(total)


@compiled(nogil=True)
def _distances(queries, codes, out):
    for q in range(len(queries)):
        for i in range(len(codes)):
            out[q, i] = distance(queries[q], codes[i])


@compiled(nogil=True)
def search_one(
    query: Codes,
    codes: Codes,
    allowed: NDArray[np.bool_],
    best: NDArray[np.int32],
    positions: NDArray[np.int64],
) -> None:
    """Write the nearest of one query, as many as ``best`` has room for, sorted by (distance, position) and padded.

    query : (bytes,) uint8; codes : (n, bytes) uint8; allowed : (n,) bool, or of length 0: all;
    best : (k,) int32 and positions : (k,) int64, written.
    """
    k = len(best)
    counts = np.zeros(8 * codes.shape[1] + 2, np.int64)
    row = np.empty(len(codes), np.int32)
    for i in range(len(codes)):
        if len(allowed) == 0 or allowed[i]:
            row[i] = distance(query, codes[i])
            counts[row[i] + 1] += 1
        else:
            row[i] = -1
    place = np.cumsum(counts)
    for i in range(len(codes)):
        if row[i] >= 0:
            at = place[row[i]]
            place[row[i]] += 1
            if at < k:
                best[at] = row[i]
                positions[at] = i
    found = min(k, counts.sum())
    best[found:] = NO_DISTANCE
    positions[found:] = NO_ID


@compiled(nogil=True)
def range_search_one(
    query: Codes, codes: Codes, radius: int, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distances int32 and positions int64 of the codes within the radius, sorted by (distance, position)."""
    counts = np.zeros(8 * codes.shape[1] + 2, np.int64)
    row = np.empty(len(codes), np.int32)
    for i in range(len(codes)):
        row[i] = distance(query, codes[i])
        if row[i] <= radius and (len(allowed) == 0 or allowed[i]):
            counts[row[i] + 1] += 1
        else:
            row[i] = -1
    place = np.cumsum(counts)
    total = place[-1]
    near = np.empty(total, np.int32)
    positions = np.empty(total, np.int64)
    for i in range(len(codes)):
        if row[i] >= 0:
            near[place[row[i]]] = row[i]
            positions[place[row[i]]] = i
            place[row[i]] += 1
    return near, positions


@compiled(nogil=True)
def _search(queries, codes, allowed, best, positions):
    for q in range(len(queries)):
        search_one(queries[q], codes, allowed, best[q], positions[q])


def distances(queries: Codes, codes: Codes, threads: int = 1) -> NDArray[np.int32]:
    """Hamming distances of packed codes, (nq, bytes) and (n, bytes) uint8 -> (nq, n) int32."""
    out = np.empty((len(queries), len(codes)), np.int32)
    share_out(len(queries), threads, lambda part: _distances(queries[part], codes, out[part]))
    return out


def search(
    queries: Codes, codes: Codes, k: int, allowed: NDArray[np.bool_] | None = None, threads: int = 1
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distances int32 and positions int64 of the k nearest, sorted by (distance, position) and padded, each (nq, k)."""
    mask = _ALL if allowed is None else allowed
    best = np.empty((len(queries), k), np.int32)
    positions = np.empty((len(queries), k), np.int64)
    share_out(len(queries), threads, lambda part: _search(queries[part], codes, mask, best[part], positions[part]))
    return best, positions


def range_search(
    queries: Codes, codes: Codes, radius: int, allowed: NDArray[np.bool_] | None = None, threads: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Offsets (nq + 1), distances and positions of all codes within the radius, sorted by (distance, position)."""
    mask = _ALL if allowed is None else allowed
    parts: list[Any] = [None] * len(queries)

    def work(part: slice) -> None:
        for q in range(part.start, part.stop):
            parts[q] = range_search_one(queries[q], codes, radius, mask)

    share_out(len(queries), threads, work)
    offsets = np.zeros(len(queries) + 1, np.int64)
    np.cumsum([len(near) for near, _ in parts], out=offsets[1:])
    near = [np.empty(0, np.int32), *(near for near, _ in parts)]
    positions = [np.empty(0, np.int64), *(found for _, found in parts)]
    return offsets, np.concatenate(near), np.concatenate(positions)
