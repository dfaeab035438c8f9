"""`Index` with tables against other libraries' indexes at their best settings for a recall: one process, one thread.

    python bench/lookup_peers.py [--n 1_000_000] [--k 10] [--kinds clustered learned]

Prints a Markdown table of microseconds of processor time a query, for 1000 queries at once and one at a time. Ours and
the flat scans are exact; HNSW (FAISS, USearch, PyNear) and hashing (FAISS, PyNear) are asked with growing effort until
the recall is reached. Recall counts neighbours no farther than the true k-th, so that ties harm nobody. Queries are
members with 0 to 4 bits flipped. What is not installed is left out.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from benchmarks.common import best_seconds, processor, size
from benchmarks.sources import make_source
from lookup import members

from udsph import hamming

QUERIES, SINGLES, BITS = 1000, 64, 64
RECALLS = (0.95, 0.99)
EFFORTS = (8, 16, 32, 64, 128, 256, 512, 1024)
Search = Callable[[np.ndarray], np.ndarray]  # distances, (nq, k)


def faiss_indexes(codes: np.ndarray, k: int) -> Iterator[tuple[str, float, Iterator[Search]]]:
    """Name, seconds to build, and searches of growing effort."""
    try:
        import faiss
    except ImportError:
        return
    faiss.omp_set_num_threads(1)
    flat, spent = built(lambda: filled(faiss.IndexBinaryFlat(BITS), codes))
    yield "FAISS flat", spent, iter([lambda q: flat.search(q, k)[0]])
    width = max(8, int(np.log2(len(codes))) - 2)
    hashed, spent = built(lambda: filled(faiss.IndexBinaryMultiHash(BITS, max(2, BITS // width), width), codes))

    def flipping(flips: int) -> Search:
        def search(queries: np.ndarray) -> np.ndarray:
            hashed.nflip = flips
            return hashed.search(queries, k)[0]

        return search

    yield f"FAISS MultiHash {hashed.nhash}x{hashed.b}", spent, map(flipping, range(5))
    graph, spent = built(lambda: filled(faiss.IndexBinaryHNSW(BITS, 16), codes))

    def exploring(effort: int) -> Search:
        def search(queries: np.ndarray) -> np.ndarray:
            graph.hnsw.efSearch = effort
            return graph.search(queries, k)[0]

        return search

    yield "FAISS HNSW 16", spent, map(exploring, EFFORTS)


def usearch_indexes(codes: np.ndarray, k: int) -> Iterator[tuple[str, float, Iterator[Search]]]:
    """As above."""
    try:
        from usearch.index import Index
    except ImportError:
        return
    graph = Index(ndim=BITS, metric="hamming", dtype="b1", connectivity=16)
    _, spent = built(lambda: graph.add(np.arange(len(codes)), codes, threads=1))

    def exploring(effort: int) -> Search:
        def search(queries: np.ndarray) -> np.ndarray:
            graph.expansion_search = effort
            return np.asarray(graph.search(queries, k, threads=1).distances).reshape(len(queries), -1)

        return search

    yield "USearch HNSW 16", spent, map(exploring, EFFORTS)


def pynear_indexes(codes: np.ndarray, k: int) -> Iterator[tuple[str, float, Iterator[Search]]]:
    """As above."""
    try:
        import pynear
    except ImportError:
        return

    def near(index: Any, queries: np.ndarray, **options: int) -> np.ndarray:
        found = index.searchKNN_arrays(queries, k, **options)[1].astype(np.float64)
        return np.where(found > BITS, np.inf, found)  # a missing neighbour is at the largest integer

    for parts in (2, 4):
        hashed, spent = built(lambda parts=parts: told(pynear.MIHBinaryIndex(m=parts), codes))
        widths = (
            lambda q, index=hashed, radius=parts * (flips + 1) - 1: near(index, q, radius=radius) for flips in range(4)
        )
        yield f"PyNear MIH {parts}", spent, widths
    graph, spent = built(lambda: told(pynear.HNSWBinaryIndex(M=16), codes))

    def exploring(effort: int) -> Search:
        def search(queries: np.ndarray) -> np.ndarray:
            graph.set_ef(effort)
            return near(graph, queries)

        return search

    yield "PyNear HNSW 16", spent, map(exploring, EFFORTS)


def told(index: Any, codes: np.ndarray) -> Any:
    """The index of PyNear with the codes."""
    index.set(codes)
    return index


def filled(index: Any, codes: np.ndarray) -> Any:
    """The index with the codes."""
    index.add(codes)
    return index


def built(make: Callable[[], Any]) -> tuple[Any, float]:
    """What is made, and the seconds that took."""
    begin = time.process_time()
    made = make()
    return made, time.process_time() - begin


def rows(kind: str, n: int, k: int) -> Iterator[str]:
    """Rows of the table for one source."""
    codes = make_source(kind, BITS)(np.random.default_rng(0), n)
    ours = hamming.Index(BITS, kind="multi")
    ours.add(codes)
    _, spent = built(lambda: ours.optimize(threads=1))
    queries = np.concatenate([members(ours, np.random.default_rng(seed)) for seed in range(-(-QUERIES // 256))])[
        :QUERIES
    ]
    truth = ours.search(queries, k).distances
    flat = hamming.FlatIndex(BITS)
    flat.add(codes)
    exact = iter([lambda q: ours.search(q, k, threads=1).distances])
    scan = iter([lambda q: flat.search(q, k, threads=1).distances])
    indexes = [("ours, tables", spent, exact), ("ours, scan", 0.0, scan)]
    peers = (faiss_indexes, usearch_indexes, pynear_indexes)
    for name, seconds, searches in itertools.chain(indexes, *(peer(codes, k) for peer in peers)):
        wanted = list(RECALLS)
        for search in searches:
            near = np.pad(search(queries).astype(np.float64), ((0, 0), (0, k)), constant_values=np.inf)[:, :k]
            recall = float((near <= truth[:, -1:]).mean())
            reached = [w for w in wanted if recall >= w]
            if not reached:
                continue
            wanted = [w for w in wanted if recall < w]
            batch = best_seconds(lambda search=search: search(queries), 0, 3, time.process_time) / len(queries)
            one = np.median(
                [best_seconds(lambda q=q, s=search: s(q), 0, 3, time.process_time) for q in queries[:SINGLES, None]]
            )
            asked = " and ".join(f"{w:g}" for w in reached)
            yield (
                f"| {kind}, {n:,} | {name} | {asked}: {recall:.3f} | {1e6 * batch:.1f} | {1e6 * one:.1f} "
                f"| {seconds:.1f} |"
            )
            if not wanted:
                break
        else:
            missed = " and ".join(f"{w:g}" for w in wanted)
            yield f"| {kind}, {n:,} | {name} | {missed} not reached | - | - | {seconds:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--kinds", nargs="+", default=["clustered", "learned"])
    given = parser.parse_args()
    print(f"{processor()}, level {hamming.simd_level()}, one thread, processor time, k = {given.k}.\n")
    print("| codes | index | recall asked: reached | batch, us a query | one, us | build s |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for kind in given.kinds:
        for row in rows(kind, size(given.n), given.k):
            print(row, flush=True)


if __name__ == "__main__":
    main()
