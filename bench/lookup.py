"""How much faster `Index` with tables answers than the scan of `FlatIndex`: one process, one thread, processor time.

    python bench/lookup.py [--n 10_000_000] [--bits 64] [--kinds uniform clustered learned collapsed]
    python bench/lookup.py --later 100_000 [...]

Prints a Markdown table: batches of 256 queries and one query at a time, milliseconds a query, and the ratio. Queries
are members of the index with 0 to 4 bits flipped, or new codes of the same source. Every answer is compared with the
scan's, and every case is asked three times, so that the forecast knows it; the best counts.

With ``--later`` instead: one query before and after so many codes are added, and with these codes scanned as they were
until additions got tables of their own.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time

import numpy as np
from benchmarks.common import best_seconds, processor, size
from benchmarks.sources import make_source

from udsph import hamming

BATCH, SINGLES = 256, 16
STEP = 1 << 18  # codes that are made at a time


def rows(kind: str, bits: int, n: int):
    """One row of the table per task."""
    source, rng = make_source(kind, bits), np.random.default_rng(0)
    flat = hamming.FlatIndex(bits)
    for begin in range(0, n, STEP):
        flat.add(source(rng, min(STEP, n - begin)))
    index = hamming.Index(bits, kind="multi")
    index._snapshot = flat._snapshot.shared()
    begin = time.process_time()
    index.optimize(threads=1)
    built = time.process_time() - begin
    memory = (index.nbytes - flat.nbytes) / n
    asked = {"member": members(index, np.random.default_rng(2)), "new": source(np.random.default_rng(1), BATCH)}
    tasks = {f"k={k}": functools.partial(_search, k=k) for k in (1, 10, 100)} | {"radius 8": _range_search}
    for (kind_of, queries), (name, task) in itertools.product(asked.items(), tasks.items()):
        for ours, truth in zip(task(index, queries), task(flat, queries), strict=True):
            np.testing.assert_array_equal(ours, truth)
        batch, single = ([_milliseconds(task, one, queries, step) for one in (index, flat)] for step in (BATCH, 1))
        yield (
            f"| {kind} {bits}, {n:,} | {kind_of} | {name} "
            f"| {batch[0]:.4f} | {batch[1]:.3f} | {batch[1] / batch[0]:.1f} "
            f"| {single[0]:.4f} | {single[1]:.2f} | {single[1] / single[0]:.1f} | {built:.1f} | {memory:.0f} |"
        )


def later_rows(kind: str, bits: int, n: int, later: int):
    """Rows of one query's microseconds before and after an addition."""
    source, rng = make_source(kind, bits), np.random.default_rng(0)
    index = hamming.Index(bits, kind="multi")
    for begin in range(0, n, STEP):
        index.add(source(rng, min(STEP, n - begin)))
    index.optimize(threads=1)
    after, scanned, new = index.copy(), index.copy(), source(rng, later)
    scanned._snapshot = scanned._snapshot.extended(new, None)
    begin = time.process_time()
    after.add(new)
    spent = (time.process_time() - begin) / later
    for k, queries in itertools.product((1, 10, 100), (members(index, np.random.default_rng(2)),)):
        task = functools.partial(_search, k=k)
        for each in (index, after, scanned):  # the forecast learns
            for query in queries[:64]:
                task(each, query)
        before, beside, behind = (1e3 * _milliseconds(task, each, queries, 1) for each in (index, after, scanned))
        yield (
            f"| {kind} {bits}, {n:,} + {later:,} | k={k} | {before:.1f} | {beside:.1f} | {beside / before:.2f} "
            f"| {behind:.1f} | {behind / before:.2f} | {1e6 * spent:.2f} |"
        )


def members(index: hamming.Index, rng: np.random.Generator) -> np.ndarray:
    """Codes of the index with 0 to 4 bits flipped."""
    queries = index.reconstruct(rng.integers(0, len(index), BATCH))
    for flipped in range(4):
        rows = np.flatnonzero(rng.integers(0, 5, BATCH) > flipped)
        places = rng.integers(0, index.bits, len(rows))
        queries[rows, places // 8] ^= (1 << places % 8).astype(np.uint8)
    return queries


def _search(index, queries, k):
    return index.search(queries, k, threads=1)


def _range_search(index, queries):
    return index.range_search(queries, 8, threads=1)


def _milliseconds(task, index, queries, step: int) -> float:
    """Milliseconds a query where so many are asked at a time: of one at a time the median of several."""
    calls = [queries[i : i + step] for i in range(0, step if step > 1 else SINGLES, step)]
    seconds = [best_seconds(lambda part=part: task(index, part), 0, 3, time.process_time) for part in calls]
    return 1e3 * float(np.median(seconds)) / step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--kinds", nargs="+", default=["uniform", "clustered", "learned", "collapsed"])
    parser.add_argument("--later", type=int)
    arguments = parser.parse_args()
    if arguments.later is not None:
        print(f"{processor()}, level {hamming.simd_level()}, one thread, processor time.\n")
        print("| codes | task | before, us | after | ratio | if scanned | ratio | us to add a code |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for kind in arguments.kinds:
            for row in later_rows(kind, arguments.bits, size(arguments.n), size(arguments.later)):
                print(row, flush=True)
        return
    print(f"{processor()}, level {hamming.simd_level()}, one thread, processor time, ms a query.\n")
    print("| codes | queries | task | batch | scan | ratio | one | scan | ratio | build s | bytes a code |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in arguments.kinds:
        for row in rows(kind, arguments.bits, size(arguments.n)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
