"""Exact search in one call over packed codes, without an index."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.hamming import backend, gpu
from udsph.hamming.codes import BitOrder, as_codes, as_pair, as_queries, check_bitorder, width_of
from udsph.hamming.flat import MOST_NEIGHBOURS, FlatIndex
from udsph.hamming.operations.similarity import SimilarityIndex, SimilarityResult, check_metric
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
        Width of a code; by default all bits of the rows, texts or bytes of ``codes``.
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
    if gpu.on_device(codes) or gpu.on_device(queries):
        return gpu.distances(queries, codes, bits, bitorder)
    queries, codes, _ = as_pair(queries, codes, bits, bitorder)
    return backend.module().distances(queries, codes, thread_count(threads))


@overload
def search(
    queries: Any,
    codes: Any,
    k: int,
    *,
    metric: Literal["hamming"] = ...,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
) -> SearchResult: ...


@overload
def search(
    queries: Any,
    codes: Any,
    k: int,
    *,
    metric: Literal["tanimoto", "jaccard", "dice", "containment", "tversky"],
    alpha: float | None = None,
    beta: float | None = None,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
) -> SimilarityResult: ...


def search(
    queries: Any,
    codes: Any,
    k: int,
    *,
    metric: str = "hamming",
    alpha: float | None = None,
    beta: float | None = None,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
) -> SearchResult | SimilarityResult:
    """Find the k nearest codes of every query, without keeping an index.

    Parameters
    ----------
    queries, codes : (nq, width) and (n, width) arrays
        In the forms of ``FlatIndex``. One packed query by itself, (bytes,), has results with one dimension less.
    k : int
        Neighbours wanted, at least 1; more than n are padded.
    metric : {"hamming", "tanimoto", "jaccard", "dice", "containment", "tversky"}
        The distance, or a similarity of ``SimilarityIndex``.
    alpha, beta : float
        Weights of "tversky".
    bits : int, optional
        Width of a code; by default all bits of the rows, texts or bytes of ``codes``.
    bitorder : {"little", "big"}
        Of the bits in a packed byte.
    threads : int, optional
        Default: see ``FlatIndex.search``.

    Returns
    -------
    SearchResult
        ``distances`` (nq, k) int32 and ``ids`` (nq, k) int64, the row numbers of ``codes``, sorted by (distance, id).
    SimilarityResult
        For every metric but "hamming": ``similarities`` (nq, k) float32, descending, and ``ids``.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or dimension, widths that differ, k below 1, an unknown metric or weights that it does not take.
    """
    if metric != "hamming":
        check_metric(metric, alpha, beta)
    elif alpha is not None or beta is not None:
        raise InputError("alpha and beta are of metric='tversky', metric='hamming' has no weights")
    if gpu.on_device(codes) or gpu.on_device(queries):
        if metric != "hamming":
            raise InputError(f"metric={metric!r} is not for codes on a GPU: bring them to the host")
        return gpu.direct(queries, codes, check_int(k, "k", 1, MOST_NEIGHBOURS), bits, bitorder)
    width, order = width_of(codes, bits, "codes"), check_bitorder(bitorder)
    queries, codes = as_queries(queries, width, order), as_codes(codes, width, order, "codes")
    if metric == "hamming":
        index = FlatIndex(width)
        index.add(codes)
        return index.search(queries, k, threads=threads)
    sets = SimilarityIndex(width)
    sets.add(codes)
    return sets.search(queries, k, metric=metric, alpha=alpha, beta=beta, threads=threads)
