"""FAISS's flat binary index, its shards, replicas and serialisation, answered by ``FlatIndex`` and ``Index``.

``SUITES_INDEX=tables`` answers from tables. FAISS's radius is exclusive, ours inclusive.
"""

from __future__ import annotations

import os

import faiss
import numpy as np

from udsph import hamming

TABLES = os.environ.get("SUITES_INDEX") == "tables"


class IndexBinaryFlat:
    """The calls that FAISS's tests make."""

    def __init__(self, d: int, index: hamming.FlatIndex | None = None) -> None:
        fresh = hamming.Index(d, kind="multi") if TABLES else hamming.FlatIndex(d)
        self.d, self.code_size, self.use_heap = d, -(-d // 8), True
        self.index = fresh if index is None else index

    @property
    def ntotal(self) -> int:
        return len(self.index)

    def add(self, codes: np.ndarray) -> None:
        self.index.add(codes)
        if TABLES:
            self.index.optimize(threads=1)

    def search(self, queries: np.ndarray, k: int):
        return tuple(self.index.search(queries, k))

    def assign(self, x: np.ndarray, k: int, labels: np.ndarray | None = None) -> np.ndarray:
        return self.index.search(x, k).ids

    def range_search(self, queries: np.ndarray, radius: int):
        return tuple(self.index.range_search(queries, radius - 1))

    def reconstruct(self, key: int) -> np.ndarray:
        return self.index.reconstruct([key])[0]

    def reconstruct_n(self, first: int, n: int) -> np.ndarray:
        return self.index.reconstruct(np.arange(first, first + n))


class IndexBinaryReplicas:
    """Copies that share the queries out."""

    def __init__(self, threaded: bool = False) -> None:
        self.parts: list[IndexBinaryFlat] = []

    @property
    def code_size(self) -> int:
        return self.parts[0].code_size

    def addIndex(self, part: IndexBinaryFlat) -> None:
        self.parts.append(part)

    def add(self, codes: np.ndarray) -> None:
        for part in self.parts:
            part.add(codes)

    def search(self, queries: np.ndarray, k: int):
        pieces = np.array_split(queries, len(self.parts))
        found = [part.search(piece, k) for part, piece in zip(self.parts, pieces, strict=True)]
        return tuple(np.concatenate(columns) for columns in zip(*found, strict=True))


class IndexBinaryShards:
    """Parts of the codes; positions go on from part to part."""

    def __init__(self, d: int) -> None:
        self.parts: list[IndexBinaryFlat] = []

    def add_shard(self, part: IndexBinaryFlat) -> None:
        self.parts.append(part)

    def add(self, codes: np.ndarray) -> None:
        for part, piece in zip(self.parts, np.array_split(codes, len(self.parts)), strict=True):
            part.add(piece)

    def search(self, queries: np.ndarray, k: int):
        from udsph.hamming.results import merge_search

        bases = np.cumsum([0, *(part.ntotal for part in self.parts[:-1])]).tolist()
        return merge_search([part.search(queries, k) for part in self.parts], bases)


def serialize_index_binary(index: IndexBinaryFlat) -> np.ndarray:
    """The bytes of an index."""
    return np.frombuffer(index.index.to_bytes(), np.uint8)


def deserialize_index_binary(data: np.ndarray) -> IndexBinaryFlat:
    """And back."""
    index = hamming.FlatIndex.from_bytes(data)
    return IndexBinaryFlat(index.bits, index)


for _replaced in (
    IndexBinaryFlat,
    IndexBinaryReplicas,
    IndexBinaryShards,
    serialize_index_binary,
    deserialize_index_binary,
):
    setattr(faiss, _replaced.__name__, _replaced)
