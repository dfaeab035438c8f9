"""Exact search in one call over packed codes, without an index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import backend
from udsph.hamming.codes import BitOrder, as_pair
from udsph.hamming.flat import FlatIndex
from udsph.hamming.results import SearchResult
from udsph.threads import thread_count


def distances(
    queries: Any, codes: Any, *, bits: int | None = None, bitorder: BitOrder = "little", threads: int | None = None
) -> NDArray[np.int32]:
    """Hamming distances between all queries and all codes.

    Parameters
    ----------
    queries, codes : (nq, width) and (n, width) arrays
        In the forms of ``FlatIndex``.
    bits : int, optional
        Width of a code; by default all bits of the rows of ``codes``.
    bitorder : {"little", "big"}
        Of the bits in a packed byte.
    threads : int, optional
        Default: see ``FlatIndex.search``.

    Returns
    -------
    (nq, n) int32

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or dimension, or widths that differ.
    """
    queries, codes, _ = as_pair(queries, codes, bits, bitorder)
    return backend.module().distances(queries, codes, thread_count(threads))


def search(
    queries: Any,
    codes: Any,
    k: int,
    *,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
) -> SearchResult:
    """Find the k nearest codes of every query, without keeping an index.

    Parameters
    ----------
    queries, codes : (nq, width) and (n, width) arrays
        In the forms of ``FlatIndex``.
    k : int
        Neighbours wanted, at least 1; more than n are padded.
    bits : int, optional
        Width of a code; by default all bits of the rows of ``codes``.
    bitorder : {"little", "big"}
        Of the bits in a packed byte.
    threads : int, optional
        Default: see ``FlatIndex.search``.

    Returns
    -------
    SearchResult
        ``distances`` (nq, k) int32 and ``ids`` (nq, k) int64, the row numbers of ``codes``, sorted by (distance, id).

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or dimension, widths that differ, or k below 1.
    """
    queries, codes, width = as_pair(queries, codes, bits, bitorder)
    index = FlatIndex(width)
    index.add(codes)
    return index.search(queries, k, threads=threads)
