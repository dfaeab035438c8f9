"""Search by bits and rescoring beside what sentence-transformers does: python bench/rescoring.py [N] [QUERIES]

One process, one thread, the top 100 of N codes of 1024 bits (a million). Its `semantic_search_faiss` searches a faiss
index for twice as many, reads every candidate back by itself, unpacks the bits to integers and takes the dot product;
those steps are written out here, without the package around them. Its search over all queries takes minutes: it is
measured on a share of them.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from udsph import hamming
from udsph.hamming.sentence_transformers import semantic_search

DIMENSIONS, TOP, MULTIPLIER = 1024, 100, 2


def make(n: int, nq: int) -> tuple[np.ndarray, np.ndarray]:
    """Packed codes of clustered vectors, and queries near some of them."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5000, DIMENSIONS)).astype(np.float32)
    packed = np.empty((n, DIMENSIONS // 8), np.uint8)
    for begin in range(0, n, 16384):
        some = centres[rng.integers(0, len(centres), min(16384, n - begin))]
        noise = rng.standard_normal(some.shape, np.float32)
        packed[begin : begin + len(some)] = np.packbits(some + noise > 0, axis=1)
    queries = centres[rng.integers(0, len(centres), nq)] + rng.standard_normal((nq, DIMENSIONS), np.float32)
    return packed, queries


def clock(call) -> tuple[float, object]:
    """Seconds, and the result."""
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def by_faiss(index, queries: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rescoring of semantic_search_faiss."""
    rows = np.array([[index.reconstruct(id.item()) for id in row] for row in ids])
    scores = np.einsum("ij,ikj->ik", queries, np.unpackbits(rows, axis=-1).astype(int))
    order = np.argsort(-scores)[:, :TOP]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)


def main() -> None:
    import faiss

    faiss.omp_set_num_threads(1)
    n, nq = (int(float(value)) for value in [*sys.argv[1:], 1_000_000, 1000][:2])
    packed, queries = make(n, nq)
    theirs = faiss.IndexBinaryFlat(DIMENSIONS)
    theirs.add(packed)
    ours = hamming.FlatIndex(DIMENSIONS, bitorder="big")
    ours.add(packed)
    codes = np.packbits(queries > 0, axis=1)
    own_search, found = clock(lambda: ours.search(codes, TOP * MULTIPLIER, threads=1))
    share = max(1, nq // 20)
    search, _ = clock(lambda: theirs.search(codes[:share], TOP * MULTIPLIER))
    search *= nq / share
    own, best = clock(lambda: hamming.rescore(queries, ours, found.ids, TOP, threads=1))
    rescoring, (scores, _) = clock(lambda: by_faiss(theirs, queries, found.ids))
    np.testing.assert_allclose(best.scores, scores, rtol=1e-4)
    whole, _ = clock(
        lambda: semantic_search(queries, corpus_index=ours, top_k=TOP, rescore_multiplier=MULTIPLIER, threads=1)
    )
    stored = np.random.default_rng(1).integers(-128, 128, (n, DIMENSIONS)).astype(np.int8)
    numbers, _ = clock(lambda: hamming.rescore(queries, stored, found.ids, TOP, threads=1))
    print(f"{nq} queries, the top {TOP} of {n:,} codes of {DIMENSIONS} bits, {TOP * MULTIPLIER} candidates; one thread")
    print("| step | ours | sentence-transformers | times |\n| --- | ---: | ---: | ---: |")
    for name, a, b in (
        ("search", own_search, search),
        ("rescoring", own, rescoring),
        ("both", own_search + own, search + rescoring),
    ):
        print(f"| {name} | {a:.2f} s | {b:.2f} s | {b / a:.1f} |")
    print(f"\nsemantic_search with its lists of dicts: {whole:.2f} s; rescoring by int8 rows: {numbers:.2f} s")


if __name__ == "__main__":
    main()
