"""A stored collection: python bench/collection.py [N] [FOLDER] [CASE]; 100 million codes of 64 bits by default.

Cases are "large" with N codes, "pieces" with N / 5, "tables" and "parquet" with N / 10; one that is named by itself has
N. They need some 20 N bytes on the disk of FOLDER, "tables" by itself 60 N, and as much memory. Times are medians by
the wall clock and, of what neither waits nor syncs, by processor time too; ratios are measured in turn by the latter.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.common import random_codes

from udsph import hamming

STEP = 1 << 22  # codes that are made at a time


class Spent(NamedTuple):
    """Milliseconds of one call, in the median and at best, and those of the processor."""

    clock: float
    best: float
    used: float

    def __str__(self) -> str:
        return f"{self.clock:.3g} ms (best {self.best:.3g}, processor {self.used:.3g})"


def spent(call: Callable[[], object], times: int = 9) -> Spent:
    """Time of one call."""
    clock, used = [], []
    for _ in range(times):
        begin, begun = time.perf_counter(), time.process_time()
        call()
        clock.append(1e3 * (time.perf_counter() - begin))
        used.append(1e3 * (time.process_time() - begun))
    return Spent(statistics.median(clock), min(clock), statistics.median(used))


def ratio(one: Callable[[], object], other: Callable[[], object], times: int = 11) -> float:
    """How many times as fast ``other`` is as ``one``, measured in turn."""
    both: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for call, seconds in zip((one, other), both, strict=True):
            begin = time.process_time()
            call()
            seconds.append(time.process_time() - begin)
    return statistics.median(both[0]) / statistics.median(both[1])


def row(what: str, value: str, asked: str = "") -> None:
    """A row of the table."""
    print(f"| {what} | {value} | {asked} |", flush=True)


def large(path: Path, n: int) -> None:
    """Open and append to a large collection."""
    with hamming.Collection.create(path, 64) as writer:
        for begin in range(0, n, STEP):
            writer.add(random_codes(min(STEP, n - begin), 64, begin))
    row(f"open {n:,} codes", f"{spent(lambda: hamming.Collection.open(path))}", "20 ms")
    query = random_codes(1, 64, 1)
    for threads in sorted({1, os.cpu_count() or 1}):

        def first(threads: int = threads) -> None:
            hamming.Collection.open(path).search(query, 10, threads=threads)

        row(f"open, and the first query, {threads} threads", f"{spent(first)}", "100 ms")
    opened = hamming.Collection.open(path)
    row("a query, 1 thread", f"{spent(lambda: opened.search(query, 10, threads=1))}")
    words = [file.words for file in opened._state.files.values()]
    row("reading the codes once, 1 thread (NumPy)", f"{spent(lambda: [part.max() for part in words])}")
    with hamming.Collection.open(path, "a") as writer:

        def append() -> None:
            writer.add(random_codes(1000, 64, len(writer)))
            writer.commit()

        def remove() -> None:
            writer.remove(writer.ids[:1000] if len(writer) < STEP else np.arange(1000) + 1000 * writer.generation)
            writer.commit()

        row("append 1,000 codes and commit", f"{spent(append, 21)}", "50 ms")
        row("remove 1,000 codes and commit", f"{spent(remove)}")


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
        took = spent(lambda: writer.compact(tables=True), 1)
        row(f"compact {n:,} clustered codes, with tables", f"{took}")

    row("open", f"{spent(lambda: hamming.Collection.open(path))}", "20 ms")

    def first(k: int, cold: bool) -> str:
        clock, used = [], []
        for query in queries[:9]:
            if cold:
                forget(path)
            begin, begun = time.perf_counter(), time.process_time()
            hamming.Collection.open(path).search(query, k, threads=1)
            clock.append(1e3 * (time.perf_counter() - begin))
            used.append(1e3 * (time.process_time() - begun))
        return f"{Spent(statistics.median(clock), min(clock), statistics.median(used))}"

    for k in (1, 10):
        value = f"{first(k, False)}, on a cold cache {first(k, True)}"
        row(f"open, and the first query, k={k}, with tables", value, "100 ms")
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
            writer.commit()
            took = spent(lambda writer=writer: writer.export_codes(file), 3)
            row(f"export to Parquet, {name}", rates(n, took), "200")

        def taken(name: str = name) -> None:
            with hamming.Collection.create(folder / f"in {name}", 64, durability="none") as writer:
                writer.import_codes(file)
            shutil.rmtree(folder / f"in {name}")

        row(f"import from Parquet, {name}", rates(n, spent(taken, 3)), "200")
        shutil.rmtree(folder / f"out {name}")


def rates(n: int, took: Spent) -> str:
    """Speeds of what moves n codes of 64 bits and their ids."""
    megabytes = 1e3 * 16 * n / 1e6
    return "{:.0f} MB/s (best {:.0f}, processor {:.0f})".format(*(megabytes / part for part in took))


def main() -> None:
    n = int(float([*sys.argv[1:2], 100_000_000][0]))
    case = [*sys.argv[3:4], None][0]
    cases = {
        "large": (large, 1, 1),
        "pieces": (pieces, 100, 20),
        "tables": (tables, 10, 1),
        "parquet": (parquet, 10, 1),
    }
    with tempfile.TemporaryDirectory(dir=[*sys.argv[2:3], None][0]) as folder:
        print("| case | measured | asked |\n| --- | ---: | ---: |")
        for name, (measure, of_all, alone) in cases.items():
            if case in (None, name):
                (Path(folder) / name).mkdir()
                measure(Path(folder) / name, max(20_000, n // (of_all if case is None else alone)))
                shutil.rmtree(Path(folder) / name)


if __name__ == "__main__":
    main()
