"""Candidates of a search by bits once more, by what the queries were before they were bits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.codes import MAX_BITS, BitOrder, as_array, as_codes, bytes_per_code, check_bitorder
from udsph.hamming.flat import FlatIndex
from udsph.hamming.results import NO_ID
from udsph.threads import thread_count

_KINDS = ("int8", "uint8", "float16", "float32")
_COLUMN = 64  # dimensions of a step of the kernels


class RescoreResult(NamedTuple):
    """Candidates sorted by (score descending, place among the candidates).

    scores : (nq, k) float32, minus infinity where there are fewer than k candidates
    ids : (nq, k), -1 there, or None among texts
    """

    scores: NDArray[np.float32]
    ids: NDArray[Any]


def rescore(
    queries: Any,
    store: Any,
    ids: Any,
    k: int | None = None,
    *,
    scale: Any = None,
    offset: Any = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
) -> RescoreResult:
    """Order candidates by the dot product of real queries with what is stored of them.

    Parameters
    ----------
    queries : (nq, dimensions) floats
        As they were before they were made to codes. One query by itself, with candidates (c,), has results with one
        dimension less.
    store : index or (n, width) array
        Where the candidates are. A ``FlatIndex`` or ``Index`` of ``dimensions`` bits, which count as 0 and 1; packed
        bits in an array, or in int8 as sentence-transformers has them; or rows of ``dimensions`` numbers in int8,
        uint8, float16 or float32. Of a memory map (``numpy.load(file, mmap_mode="r")``) only the candidates' rows are
        read.
    ids : (nq, c) integers or texts
        Candidates of every query: ids of the index, as in a ``SearchResult``, or numbers of rows; -1, among texts None,
        stands for none.
    k : int, optional
        How many of them to return, by default all.
    scale, offset : (dimensions,) floats, optional
        Of stored numbers: a row stands for ``row * scale + offset``. By default 1 and 0.
    bitorder : {"little", "big"}
        Of packed bits in an array.
    threads : int, optional
        Default: see ``FlatIndex.search``.

    Returns
    -------
    RescoreResult

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or dimension, widths that differ, an unknown id, NaN in a query or in the row of a candidate.

    Notes
    -----
    Sums are in double precision and in one order, so that scores do not depend on threads or instruction sets. Of bits
    as -1 and 1 the dot product is ``2 * score - query.sum()``, which gives the same order.

    Examples
    --------
    >>> import numpy as np
    >>> import udsph.hamming as hamming
    >>> vectors = np.random.default_rng(0).normal(size=(1000, 256)).astype(np.float32)
    >>> index = hamming.FlatIndex(256)
    >>> index.add(hamming.pack(vectors))
    >>> queries = vectors[:3] + 0.1
    >>> candidates = index.search(hamming.pack(queries), 50).ids
    >>> hamming.rescore(queries, index, candidates, 5).ids[:, 0]
    array([0, 1, 2])
    """
    given, names = as_array(queries, "queries"), as_array(ids, "ids")
    if given.ndim == 1 and names.ndim == 1:
        options: Any = {"scale": scale, "offset": offset, "bitorder": bitorder, "threads": threads}
        scores, found = rescore(given[None], store, names[None], k, **options)
        return RescoreResult(scores[0], found[0])
    real = _queries(given)
    names = names.astype(object) if names.dtype.kind in "UT" else names
    if names.ndim != 2 or len(names) != len(real):
        raise InputError(f"ids must have shape ({len(real)}, candidates), one row per query, got {names.shape}")
    k = names.shape[1] if k is None else check_int(k, "k", 1)
    count, dimensions = thread_count(threads), real.shape[1]
    rows, positions, bits = _stored(store, names, dimensions, check_bitorder(bitorder))
    if bits and not (scale is None and offset is None):
        raise InputError("scale and offset are of stored numbers, and the store holds bits")
    real, added = _scaled(real, scale, offset)
    scores = _scores(real, rows, positions, bits, count)
    if np.isnan(scores).any():
        q, place = np.argwhere(np.isnan(scores))[0]
        raise InputError(f"store has a NaN, or infinite numbers, in row {names[q, place]}, a candidate of query {q}")
    if added is not None:
        scores += added[:, None].astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found, best = np.take_along_axis(names, order, axis=1), np.take_along_axis(scores, order, axis=1)
    if k > names.shape[1]:
        missing = ((0, 0), (0, k - names.shape[1]))
        none: Any = None if found.dtype == object else NO_ID
        found, best = np.pad(found, missing, constant_values=none), np.pad(best, missing, constant_values=-np.inf)
    return RescoreResult(best, found)


def _queries(queries: NDArray[Any]) -> NDArray[np.float64]:
    array = queries
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise TypeError(f"queries must be floats, as they were before they were packed, got dtype {array.dtype}")
    if array.ndim != 2 or not 1 <= array.shape[1] <= MAX_BITS:
        raise InputError(f"queries must have shape (nq, dimensions), got {array.shape}")
    real = array.astype(np.float64)
    if not np.isfinite(real).all():
        row, column = np.argwhere(~np.isfinite(real))[0]
        what = "a NaN" if np.isnan(real[row, column]) else "an infinite number"
        raise InputError(f"queries has {what} in row {row}")
    return real


def _stored(
    store: Any, names: NDArray[Any], dimensions: int, bitorder: BitOrder
) -> tuple[NDArray[Any], NDArray[np.int64], bool]:
    """Rows, which of them every candidate is (-1: none), and whether they are packed bits."""
    if isinstance(store, FlatIndex):
        if store.bits != dimensions:
            raise InputError(f"queries must have the {store.bits} dimensions of the index, got {dimensions}")
        some, positions = _distinct(names)
        rows = store._snapshot.read(some)
        if len(rows) != len(some):
            raise InputError("ids must tell codes apart: this index has several codes of one id (multi=True)")
        return rows, positions, True
    if names.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers, got dtype {names.dtype}")
    if isinstance(store, np.ma.MaskedArray) or not (
        hasattr(store, "shape") and hasattr(store, "dtype") and hasattr(store, "__getitem__")
    ):
        store = as_array(store, "store")
    if len(store.shape) != 2 or store.shape[1] not in (dimensions, bytes_per_code(dimensions)):
        raise InputError(
            f"store must have {dimensions} numbers or {bytes_per_code(dimensions)} packed bytes in a row, as queries "
            f"have {dimensions} dimensions, got shape {tuple(store.shape)}"
        )
    if names.size and (int(names.max()) >= store.shape[0] or int(names.min()) < NO_ID):
        raise InputError(
            f"ids must be rows of the store, -1 to {store.shape[0] - 1}, got {names.min()} to {names.max()}"
        )
    dtype = np.dtype(store.dtype)
    packed = store.shape[1] != dimensions
    if packed:
        some, positions = _distinct(names)
        return as_codes(np.asarray(store[some]), dimensions, bitorder, "store"), positions, True
    if dtype.name not in _KINDS:
        raise TypeError(f"store must hold {', '.join(_KINDS)} or packed bits, got dtype {dtype}")
    if isinstance(store, np.ndarray) and store.flags.c_contiguous and dtype.isnative:
        return np.asarray(store), np.ascontiguousarray(names, np.int64), False
    some, positions = _distinct(names)
    return np.ascontiguousarray(store[some], dtype.newbyteorder("=")), positions, False


def _distinct(names: NDArray[Any]) -> tuple[Any, NDArray[np.int64]]:
    """The distinct ids, and which of them every candidate is; -1 for none."""
    if names.dtype.kind not in "iu":
        place: dict[Any, int] = {}
        flat = [-1 if id is None else place.setdefault(id, len(place)) for id in names.ravel().tolist()]
        return list(place), np.array(flat, np.int64).reshape(names.shape)
    some, places = np.unique(names, return_inverse=True)
    places = places.reshape(names.shape).astype(np.int64)
    missing = int(len(some) > 0 and some[0] == NO_ID)
    return some[missing:], places - missing


def _scaled(
    queries: NDArray[np.float64], scale: Any, offset: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Queries with the scale of the stored numbers in them, and what their offset adds to every score."""
    added = None
    if offset is not None:
        added = queries @ _per_dimension(offset, queries.shape[1], "offset")
    if scale is not None:
        queries = queries * _per_dimension(scale, queries.shape[1], "scale")
    return queries, added


def _per_dimension(values: Any, dimensions: int, name: str) -> NDArray[np.float64]:
    array = as_array(values, name)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}")
    if array.shape not in ((), (dimensions,)):
        raise InputError(f"{name} must have shape ({dimensions},), got {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite, got {array[~np.isfinite(array)].flat[0] if array.ndim else array}")
    return np.broadcast_to(array.astype(np.float64), (dimensions,))


def _scores(
    queries: NDArray[np.float64], rows: NDArray[Any], positions: NDArray[np.int64], bits: bool, threads: int
) -> NDArray[np.float32]:
    if backend.name() == "native":
        padded = np.zeros((len(queries), -(-queries.shape[1] // _COLUMN) * _COLUMN))
        padded[:, : queries.shape[1]] = queries
        numbers = rows.view(np.uint16) if rows.dtype == np.float16 else rows
        return backend.module().score_rows(padded, numbers, positions, bits, threads)
    scores = np.full(positions.shape, -np.inf, np.float32)
    for q, query in enumerate(queries):
        there = positions[q] >= 0
        own = rows[positions[q][there]]
        numbers = np.unpackbits(own, axis=1, count=len(query), bitorder="little") if bits else own
        with np.errstate(invalid="ignore"):  # the caller names what has no score
            scores[q, there] = numbers.astype(np.float64) @ query
    return scores
