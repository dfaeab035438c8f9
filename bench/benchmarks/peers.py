"""Other packages' exact search over packed codes, each as a function of queries and k, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Search = Callable[[np.ndarray, int], Any]


class Faiss:
    """FAISS's flat search on one thread, as installed and with everything forced that it can be forced to.

    Its wheel picks an instruction-set level and a top-k method; neither is always the fastest.
    """

    def __init__(self, codes: np.ndarray) -> None:
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(1)
        self.index = faiss.IndexBinaryFlat(8 * codes.shape[1])
        self.index.add(codes)

    def ways(self) -> Iterator[str]:
        """Go through all levels and top-k methods: each is set while its name is out, and at the end what was there."""
        settings, prefix = self.faiss.SIMDConfig, "SIMDLevel_"
        before = settings.get_level(), self.index.use_heap
        names = [name for name in dir(self.faiss) if name.startswith(prefix) and not name.endswith("COUNT")]
        try:
            for name in names:
                level = getattr(self.faiss, name)
                if settings.is_simd_level_available(level):
                    settings.set_level(level)
                    for self.index.use_heap in (True, False):
                        yield f"{name.removeprefix(prefix)}, {'heap' if self.index.use_heap else 'counting'}"
        finally:
            settings.set_level(before[0])
            self.index.use_heap = before[1]


def faiss(codes: np.ndarray, bits: int) -> Search:
    """FAISS as installed."""
    return Faiss(codes).index.search


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
