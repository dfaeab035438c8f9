"""Exact search: in one call over packed codes, or through an index that holds them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import backend
from udsph.hamming.codes import bytes_per_code, check_bits, check_codes


class SearchResult(NamedTuple):
    """Nearest neighbours, sorted by (distance, insertion order).

    distances : (nq, k) int32, ``2**31 - 1`` where there are fewer than k codes
    ids : (nq, k) int64, -1 there
    """

    distances: NDArray[np.int32]
    ids: NDArray[np.int64]


def check_k(k: Any) -> int:
    """Return ``k`` as a positive int."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"k must be an int, got {type(k).__name__}")
    if k <= 0:
        raise ValueError(f"k must be at least 1, got {k}")
    return int(k)


def distances(queries: Any, codes: Any) -> NDArray[np.int32]:
    """Hamming distances between all queries and all codes.

    Parameters
    ----------
    queries : (nq, bytes) uint8
    codes : (n, bytes) uint8

    Returns
    -------
    (nq, n) int32

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or dimension, or widths that differ.
    """
    codes = check_codes(codes, None, "codes")
    return backend.module().distances(check_codes(queries, 8 * codes.shape[1], "queries"), codes)


def search(queries: Any, codes: Any, k: int) -> SearchResult:
    """Find the k nearest codes of every query.

    Parameters
    ----------
    queries : (nq, bytes) uint8
    codes : (n, bytes) uint8
    k : int
        Neighbours wanted, at least 1; more than n are padded.

    Returns
    -------
    SearchResult
        ``distances`` (nq, k) int32 and ``ids`` (nq, k) int64, the row numbers of ``codes``, sorted by (distance, id).

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or dimension, widths that differ, or k below 1.
    """
    codes = check_codes(codes, None, "codes")
    return SearchResult(*backend.module().top_k(check_codes(queries, 8 * codes.shape[1], "queries"), codes, check_k(k)))


class FlatIndex:
    """Exact index over binary codes of one width.

    Parameters
    ----------
    bits : int
        Width of the codes, 1 to 8192.

    Examples
    --------
    >>> import numpy as np
    >>> import udsph.hamming as hamming
    >>> rng = np.random.default_rng(0)
    >>> codes = hamming.pack(rng.normal(size=(1000, 64)))
    >>> index = hamming.FlatIndex(64)
    >>> index.add(codes)
    >>> distances, ids = index.search(codes[:3], k=1)
    >>> ids[:, 0]
    array([0, 1, 2])
    """

    def __init__(self, bits: int) -> None:
        self.bits = check_bits(bits)
        self._parts: list[NDArray[np.uint8]] = []

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __repr__(self) -> str:
        return f"FlatIndex(bits={self.bits}, {len(self)} codes)"

    def add(self, codes: Any) -> None:
        """Append codes; their ids are their insertion positions.

        Parameters
        ----------
        codes : (n, (bits + 7) // 8) uint8
        """
        self._parts.append(check_codes(codes, self.bits, "codes").copy())

    def search(self, queries: Any, k: int) -> SearchResult:
        """Find the k nearest codes of every query.

        Parameters
        ----------
        queries : (nq, (bits + 7) // 8) uint8
        k : int
            Neighbours wanted, at least 1.

        Returns
        -------
        SearchResult
            ``distances`` (nq, k) int32 and ``ids`` (nq, k) int64, sorted by (distance, insertion order) and padded with
            ``2**31 - 1`` and -1.
        """
        if len(self._parts) != 1:
            empty = np.empty((0, bytes_per_code(self.bits)), np.uint8)
            self._parts = [np.concatenate([empty, *self._parts])]
        queries = check_codes(queries, self.bits, "queries")
        return SearchResult(*backend.module().top_k(queries, self._parts[0], check_k(k)))
