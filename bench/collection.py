"""A stored collection: python bench/collection.py [N] [FOLDER]; 100 million codes of 64 bits in a temporary folder.

Needs some 20 N bytes on the disk of FOLDER. Times are the median of several runs by the wall clock, and those of syncs
depend on the disk; the ratio of speeds is measured in turn, by processor time.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.common import random_codes

from udsph import hamming

STEP = 1 << 22  # codes that are made at a time


def median_ms(call: Callable[[], object], times: int = 9) -> float:
    """Wall clock of one call."""
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(seconds)


def ratio(one: Callable[[], object], other: Callable[[], object], times: int = 11) -> float:
    """How many times as fast ``other`` is as ``one``, measured in turn."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for call, seconds in zip((one, other), spent, strict=True):
            begin = time.process_time()
            call()
            seconds.append(time.process_time() - begin)
    return statistics.median(spent[0]) / statistics.median(spent[1])


def row(what: str, value: str, asked: str = "") -> None:
    """A row of the table."""
    print(f"| {what} | {value} | {asked} |", flush=True)


def large(path: Path, n: int) -> None:
    """Open and append to a large collection."""
    with hamming.Collection.create(path, 64) as writer:
        for begin in range(0, n, STEP):
            writer.add(random_codes(min(STEP, n - begin), 64, begin))
    row(f"open {n:,} codes", f"{median_ms(lambda: hamming.Collection.open(path)):.1f} ms", "20 ms")
    query = random_codes(1, 64, 1)
    row("open, and the first query", f"{median_ms(lambda: hamming.Collection.open(path).search(query, 10)):.0f} ms")
    opened = hamming.Collection.open(path)
    row("a query", f"{median_ms(lambda: opened.search(query, 10)):.0f} ms")
    with hamming.Collection.open(path, "a") as writer:

        def append() -> None:
            writer.add(random_codes(1000, 64, len(writer)))
            writer.commit()

        def remove() -> None:
            writer.remove(writer.ids[:1000] if len(writer) < STEP else np.arange(1000) + 1000 * writer.generation)
            writer.commit()

        row("append 1,000 codes and commit", f"{median_ms(append, 21):.0f} ms", "50 ms")
        row("remove 1,000 codes and commit", f"{median_ms(remove):.0f} ms")


def pieces(path: Path, n: int) -> None:
    """The speed of a search in 20 mapped files, and in one, against one segment in memory."""
    memory = hamming.FlatIndex(64)
    with hamming.Collection.create(path, 64, durability="none") as writer:
        for number in range(20):
            codes = random_codes(n, 64, number)
            writer.add(codes)
            memory.add(codes)
            writer.commit()
        reader = hamming.Collection.open(path)
        for files, asked in ((reader.stats()["files"], "0.95"), (1, "0.98")):
            for n_queries in (1, 100):
                queries = random_codes(n_queries, 64, 99)
                found = ratio(lambda q=queries: memory.search(q, 10), lambda q=queries: reader.search(q, 10))
                row(f"{n_queries} queries, {20 * n:,} codes in {files} files, against memory", f"{found:.2f}", asked)
            writer.compact()
            reader.refresh()


def tables(path: Path, n: int) -> None:
    """The first query of a collection whose tables are stored, and later ones against tables in memory."""
    codes = clustered(n)
    queries = codes[:: max(1, n // 1000)][:1000].copy()
    queries[:, 0] ^= 1
    with hamming.Collection.create(path, 64, durability="none") as writer:
        writer.add(codes)
        spent = median_ms(lambda: writer.compact(tables=True), 1)
        row(f"compact {n:,} clustered codes, with tables", f"{spent / 1e3:.1f} s")

    def first(k: int, cold: bool) -> float:
        spent = []
        for query in queries[:9]:
            if cold:
                forget(path)
            begin = time.perf_counter()
            hamming.Collection.open(path).search(query, k, threads=1)
            spent.append(time.perf_counter() - begin)
        return 1e3 * statistics.median(spent)

    for k in (1, 10):
        warm, cold = first(k, False), first(k, True)
        row(f"open, and the first query, k={k}, with tables", f"{warm:.1f} ms, on a cold cache {cold:.0f} ms", "100 ms")
    mapped, memory = hamming.Collection.open(path), hamming.Collection.open(path)
    memory.optimize()
    for asked in (queries[:1], queries):

        def in_memory(asked: np.ndarray = asked) -> None:
            memory.search(asked, 10, threads=1)

        def where_they_lie(asked: np.ndarray = asked) -> None:
            mapped.search(asked, 10, threads=1)

        found = ratio(in_memory, where_they_lie)
        row(f"{len(asked)} queries, k=10, in mapped tables, against tables in memory", f"{found:.2f}")


def clustered(n: int) -> np.ndarray:
    """Codes in clusters of fifty, with up to four bits flipped."""
    rng = np.random.default_rng(0)
    words = random_codes(max(1, n // 50), 64, 5).view(np.uint64)[:, 0][rng.integers(0, max(1, n // 50), n)]
    for flip in range(4):
        bits = np.uint64(1) << rng.integers(0, 64, n, dtype=np.uint64)
        words = words ^ np.where(rng.integers(0, 5, n) > flip, bits, np.uint64(0))
    return words.view(np.uint8).reshape(n, 8)


def forget(path: Path) -> None:
    """Let the system forget the pages of a collection's files, as far as it does."""
    for file in path.glob("*.segment"):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def parquet(folder: Path, n: int) -> None:
    """Codes to Parquet and back, by processor time too."""
    file, codes, rng = folder / "codes.parquet", random_codes(n, 64, 0), np.random.default_rng(0)
    kinds = {"positions": None, "shuffled ids": rng.permutation(n), "any ids": rng.integers(0, 1 << 62, n)}
    for name, ids in kinds.items():
        with hamming.Collection.create(folder / f"out {name}", 64, durability="none") as writer:
            writer.add(codes, ids)
            megabytes, spent = 16 * n / 1e6, median_ms(lambda writer=writer: writer.export_codes(file), 3)
            row(f"export to Parquet, {name}", f"{1e3 * megabytes / spent:.0f} MB/s", "200")
        with hamming.Collection.create(folder / f"in {name}", 64, durability="none") as writer:
            clock, used = time.perf_counter(), time.process_time()
            writer.import_codes(file)
            rates = megabytes / (time.perf_counter() - clock), megabytes / (time.process_time() - used)
            row(f"import from Parquet, {name}", f"{rates[0]:.0f} MB/s, {rates[1]:.0f} by processor time", "200")


def main() -> None:
    n = int(float([*sys.argv[1:2], 100_000_000][0]))
    with tempfile.TemporaryDirectory(dir=[*sys.argv[2:3], None][0]) as folder:
        print("| case | measured | asked |\n| --- | ---: | ---: |")
        large(Path(folder) / "large", n)
        pieces(Path(folder) / "pieces", max(1000, n // 100))
        tables(Path(folder) / "tables", max(20_000, n // 10))
        parquet(Path(folder), max(1000, n // 10))


if __name__ == "__main__":
    main()
