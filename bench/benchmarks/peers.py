"""Other packages' exact search over packed codes, each as a function of queries and k, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Search = Callable[[np.ndarray, int], Any]


def faiss(codes: np.ndarray, bits: int) -> Search:
    """IndexBinaryFlat as installed: the instruction-set level and top-k method that its wheel picks."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(bits)
    index.add(codes)
    return index.search


def usearch(codes: np.ndarray, bits: int) -> Search:
    """Exact search over bits. It keeps 16 bytes per pair, so callers pass few queries at a time."""
    from usearch.index import MetricKind
    from usearch.index import search as exact

    return lambda queries, k: exact(codes, queries, k, MetricKind.Hamming, exact=True, threads=1)


def numpy(codes: np.ndarray, bits: int) -> Search:
    """bitwise_count of the xor in 64-bit words where the width allows, then argpartition."""
    if not hasattr(np, "bitwise_count"):
        raise ImportError("np.bitwise_count came with NumPy 2.0")
    words = codes.view(np.uint64) if codes.shape[1] % 8 == 0 else codes

    def search(queries: np.ndarray, k: int) -> None:
        for query in queries.view(words.dtype):
            distances = np.bitwise_count(words ^ query).sum(axis=1, dtype=np.uint16)
            nearest = np.argpartition(distances, k)[:k]
            nearest[np.argsort(distances[nearest], kind="stable")]

    return search
