"""Native distances and searches for a user's own ``@njit`` code, without the interpreter or its lock.

>>> import numpy as np
>>> from numba import njit
>>> from udsph.hamming import numba_functions as hamming
>>> @njit(nogil=True)
... def farthest_nearest(queries, codes):
...     distances, rows = np.empty(1, np.int32), np.empty(1, np.int64)
...     most = 0
...     for query in queries:
...         hamming.nearest(query, codes, distances, rows)
...         most = max(most, distances[0])
...     return most
>>> farthest_nearest(np.array([[255], [7]], np.uint8), np.array([[15], [127]], np.uint8))
1

A query is one packed code, (bytes,) uint8, codes are packed rows, (n, bytes) uint8. Results are written to arrays of
the caller's, whose lengths say how many are wanted. Where the package was installed without a compiler the same
functions are compiled by Numba (``udsph.hamming.jit``), slower. Functions that call these may be kept with
``cache=True``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import numba
    from llvmlite import binding
    from numba import types
except ModuleNotFoundError as error:
    if error.name not in ("numba", "llvmlite"):
        raise
    from udsph.errors import MissingExtra

    raise MissingExtra("udsph.hamming.numba_functions", "numba") from None

from udsph.compiled import compiled
from udsph.hamming import backend, jit
from udsph.hamming.flat import FlatIndex

Codes = NDArray[np.uint8]
Distances = NDArray[np.int32]
Rows = NDArray[np.int64]

_ALL = np.empty(0, np.bool_)
_BYTES, _INTS, _LONGS = types.CPointer(types.uint8), types.CPointer(types.int32), types.CPointer(types.int64)
_SIZE, _SIZES, _STATUS = types.uintp, types.CPointer(types.uintp), types.int32

# As in udsph.h. They are called by name, so that compiled code which is kept on disk finds them in another process.
_DISTANCES = _STATUS(_BYTES, _SIZE, _BYTES, _SIZE, _SIZE, _SIZE, _INTS)
_NEAREST = _STATUS(_BYTES, _BYTES, _SIZE, _SIZE, _SIZE, _INTS, _LONGS)
_WITHIN = _STATUS(_BYTES, _BYTES, _SIZE, _SIZE, _SIZE, _SIZE, _INTS, _LONGS, _SIZES)
_SEARCH = _STATUS(types.uintp, _BYTES, _SIZE, _SIZE, types.uintp, _SIZE, _INTS, _LONGS)
_BITS = _SIZE(types.uintp)


def _distances_twin(queries, n_queries, codes, n, bits, threads, out):
    rows = numba.carray(codes, (n, bits // 8))
    query, result = numba.carray(queries, bits // 8), numba.carray(out, n)
    for i in range(n):
        result[i] = jit.distance(query, rows[i])
    return 0


def _nearest_twin(query, codes, n, bits, k, distances, rows):
    jit.search_one(
        numba.carray(query, bits // 8),
        numba.carray(codes, (n, bits // 8)),
        _ALL,
        numba.carray(distances, k),
        numba.carray(rows, k),
    )
    return 0


def _within_twin(query, codes, n, bits, radius, room, distances, rows, found):
    near, places = jit.range_search_one(
        numba.carray(query, bits // 8), numba.carray(codes, (n, bits // 8)), np.int64(radius), _ALL
    )
    count = min(room, len(near))
    numba.carray(distances, room)[:count] = near[:count]
    numba.carray(rows, room)[:count] = places[:count]
    numba.carray(found, 1)[0] = len(near)
    return 0


def _no_search(view, queries, n_queries, k, where, threads, distances, ids):
    return 1


def _no_bits(view):
    return 0


_kept: list[Any] = []  # compiled twins, which live as long as their addresses are known


def _function(name: str, signature: Any, twin: Callable[..., int]) -> Any:
    """The native function of a name, or its twin, for calls from compiled code."""
    try:
        address = importlib.import_module("udsph.hamming._native").addresses[name]
    except ImportError:
        made = numba.cfunc(signature)(twin)
        _kept.append(made)
        address = made.address
    binding.add_symbol(f"udsph_{name}", address)
    return types.ExternalFunction(f"udsph_{name}", signature)


_native_distances = _function("distances", _DISTANCES, _distances_twin)
_native_nearest = _function("nearest", _NEAREST, _nearest_twin)
_native_within = _function("within", _WITHIN, _within_twin)
_native_search = _function("search", _SEARCH, _no_search)
_native_bits = _function("bits", _BITS, _no_bits)


@compiled(nogil=True)
def _check(query, codes, results, places):
    if query.shape[0] != codes.shape[1] or not 1 <= query.shape[0] <= 1024:
        raise ValueError("a query must have as many bytes as a row of codes, 1 to 1024")
    if len(results) != len(places):
        raise ValueError("the arrays for results must have one length")


@compiled(nogil=True)
def _check_row(results):
    if len(results) > 1 and results.strides[0] != results.itemsize:
        raise ValueError("an array for results must be contiguous")


@compiled(nogil=True)
def _check_rows(results):
    if results.strides != (results.shape[1] * results.itemsize, results.itemsize):
        raise ValueError("an array for results must be contiguous")


@compiled(nogil=True)
def distances(query: Codes, codes: Codes, out: Distances) -> None:
    """Write the distances of one query and all codes.

    query : (bytes,) uint8; codes : (n, bytes) uint8; out : (n,) int32, contiguous, written.
    """
    query, codes = np.ascontiguousarray(query), np.ascontiguousarray(codes)
    _check(query, codes, codes, out)
    _check_row(out)
    status = _native_distances(query.ctypes, 1, codes.ctypes, len(codes), 8 * len(query), 1, out.ctypes)
    if status != 0:
        raise RuntimeError("udsph: distances failed")


@compiled(nogil=True)
def nearest(query: Codes, codes: Codes, distances: Distances, rows: Rows) -> None:
    """Write the nearest codes of one query, as many as there is room for, sorted by (distance, row).

    query : (bytes,) uint8; codes : (n, bytes) uint8; distances : (k,) int32 and rows : (k,) int64, contiguous, written;
    beyond the n-th they are padded with ``2**31 - 1`` and -1.
    """
    query, codes = np.ascontiguousarray(query), np.ascontiguousarray(codes)
    _check(query, codes, distances, rows)
    _check_row(distances)
    _check_row(rows)
    if len(rows) == 0:
        return
    status = _native_nearest(
        query.ctypes, codes.ctypes, len(codes), 8 * len(query), len(rows), distances.ctypes, rows.ctypes
    )
    if status != 0:
        raise MemoryError("udsph: nearest has not enough memory")


@compiled(nogil=True)
def within(query: Codes, codes: Codes, radius: int, distances: Distances, rows: Rows) -> int:
    """Write the codes within a radius of one query, the nearest first, and return how many there are.

    query : (bytes,) uint8; codes : (n, bytes) uint8; distances : (room,) int32 and rows : (room,) int64, contiguous:
    where there are more codes than room, the nearest are written.
    """
    query, codes = np.ascontiguousarray(query), np.ascontiguousarray(codes)
    _check(query, codes, distances, rows)
    _check_row(distances)
    _check_row(rows)
    if radius < 0:
        raise ValueError("radius must be 0 or more")
    found = np.zeros(1, np.uintp)
    status = _native_within(
        query.ctypes,
        codes.ctypes,
        len(codes),
        8 * len(query),
        radius,
        len(rows),
        distances.ctypes,
        rows.ctypes,
        found.ctypes,
    )
    if status != 0:
        raise MemoryError("udsph: within has not enough memory")
    return np.int64(found[0])


@compiled(nogil=True)
def search(address: int, queries: Codes, distances: Distances, ids: Rows) -> None:
    """Write the nearest codes of every query that a view of an index has, as many as there is room for.

    address : that of ``view(index)``, which must be kept meanwhile; queries : (nq, bytes) uint8, of the width of the
    index; distances : (nq, k) int32 and ids : (nq, k) int64, contiguous, written as ``FlatIndex.search`` returns them.
    """
    queries = np.ascontiguousarray(queries)
    if distances.shape != ids.shape or len(queries) != len(ids) or ids.shape[1] < 1:
        raise ValueError("the arrays for results must both have shape (nq, k)")
    _check_rows(distances)
    _check_rows(ids)
    if queries.shape[1] != (_native_bits(address) + 7) // 8:
        raise ValueError("queries must have the width of the index")
    status = _native_search(address, queries.ctypes, len(queries), ids.shape[1], 0, 1, distances.ctypes, ids.ctypes)
    if status != 0:
        raise RuntimeError("udsph: search failed")


def view(index: FlatIndex) -> Any:
    """The present state of an index for ``search``: its ``address``, ``bits`` and length.

    Raises
    ------
    TypeError
        Something else than an index.
    RuntimeError
        The package was installed without a C++ compiler.
    """
    if "native" not in backend.available():
        raise RuntimeError("a view of an index needs native code: install udsph where a C++ compiler is")
    from udsph.hamming.views import snapshot

    return snapshot(index)
