"""Tanimoto search beside FPSim2 and RDKit, in one process and one thread: python bench/similarity.py [N]

Needs ``pip install FPSim2 rdkit``. Fingerprints are like Morgan's of radius 2 and 2048 bits: some 50 bits of very
unequal frequency, in families that share a scaffold. FPSim2 searches the table that its engine keeps in memory, through
the functions that its engine calls; RDKit compares with a list of its bit vectors. Both are asked one query at a time,
which is all they take; ours one at a time, and 256 at once.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from benchmarks.sources import fingerprints

from udsph import hamming

BITS, QUERIES, K, THRESHOLD = 2048, 256, 10, 0.7


class Fpsim2:
    """The table of an engine: id, words, number of bits; in ascending order of the last."""

    def __init__(self, codes: np.ndarray) -> None:
        sizes = np.unpackbits(codes, axis=1).sum(axis=1, dtype=np.uint64)
        order = np.argsort(sizes, kind="stable")
        self.table = np.empty((len(codes), BITS // 64 + 2), np.uint64)
        self.table[:, 0], self.table[:, 1:-1], self.table[:, -1] = order, codes[order].view(np.uint64), sizes[order]
        counts, starts = np.unique(self.table[:, -1], return_index=True)
        ends = [*starts[1:], len(codes)]
        self.ranges = [(int(c), (int(s), int(e))) for c, s, e in zip(counts, starts, ends, strict=True)]

    def __call__(self, code: np.ndarray, threshold: float, k: int) -> np.ndarray:
        from FPSim2.FPSim2lib import GenericSearch
        from FPSim2.io.chem import METRICS, get_bounds_range

        query = np.zeros(self.table.shape[1], np.uint64)
        query[1:-1], query[-1] = code.view(np.uint64), np.unpackbits(code).sum()
        bounds = get_bounds_range(query, threshold, None, None, self.ranges, "tanimoto")
        return GenericSearch(query, self.table, threshold, k, METRICS["tanimoto"], *bounds)


class Rdkit:
    """A list of bit vectors."""

    def __init__(self, codes: np.ndarray) -> None:
        from rdkit import DataStructs

        self.data = DataStructs
        self.vectors = [DataStructs.CreateFromBinaryText(row.tobytes()) for row in codes]

    def __call__(self, code: np.ndarray, threshold: float, k: int) -> np.ndarray:
        query = self.data.CreateFromBinaryText(code.tobytes())
        similarities = np.array(self.data.BulkTanimotoSimilarity(query, self.vectors))
        if k == 0:
            return np.flatnonzero(similarities >= threshold)
        best = np.argpartition(-similarities, k - 1)[:k]
        return best[np.argsort(-similarities[best])]


def seconds(call, queries: np.ndarray, most: float = 5.0) -> float:
    """Of one query; as many as fit in so many seconds."""
    begin, done = time.perf_counter(), 0
    while done < len(queries) and (done == 0 or time.perf_counter() - begin < most):
        call(queries[done])
        done += 1
    return (time.perf_counter() - begin) / done


def main() -> None:
    n = int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(0)
    codes, queries = fingerprints(rng, n), fingerprints(np.random.default_rng(1), QUERIES)
    begin = time.perf_counter()
    index = hamming.SimilarityIndex(BITS)
    index.add(codes)
    built, sizes = time.perf_counter() - begin, np.unpackbits(codes[:1000], axis=1).sum(axis=1)
    print(f"{n:,} fingerprints of {sizes.mean():.0f} bits on average; built in {built:.1f} s")
    fpsim2, rdkit = Fpsim2(codes), Rdkit(codes)
    cases = {
        f"top {K}": (0.0, K, lambda q: index.search(q, K, threads=1)),
        f"top {K} from {THRESHOLD}": (THRESHOLD, K, lambda q: index.search(q, K, threshold=THRESHOLD, threads=1)),
        f"all from {THRESHOLD}": (THRESHOLD, 0, lambda q: index.range_search(q, THRESHOLD, threads=1)),
    }
    print("| case | ours, batch | ours, one | FPSim2 | RDKit | x batch, one (FPSim2) | x batch, one (RDKit) |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, (threshold, k, ours) in cases.items():
        begin = time.perf_counter()
        found = ours(queries)
        batch = (time.perf_counter() - begin) / len(queries)
        one = seconds(lambda code, ours=ours: ours(code[None]), queries)
        them = [seconds(lambda c, peer=peer, t=threshold, k=k: peer(c, t, k), queries) for peer in (fpsim2, rdkit)]
        for q in range(3):  # the same result
            wanted = np.sort(fpsim2(queries[q], threshold, k)["coeff"])[::-1][: k or None]
            own = found.similarities[q] if k else found.similarities[found.offsets[q] : found.offsets[q + 1]]
            np.testing.assert_allclose(own[own >= 0], wanted, rtol=1e-6)
        times = " | ".join(f"{1e3 * value:.2f} ms" for value in (batch, one, *them))
        ratios = " | ".join(f"{other / batch:.0f}, {other / one:.0f}" for other in them)
        print(f"| {name} | {times} | {ratios} |")


if __name__ == "__main__":
    main()
