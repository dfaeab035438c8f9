"""A stored collection: python bench/collection.py [N] [FOLDER]; 100 million codes of 64 bits in a temporary folder.

Needs some 12 N bytes on the disk of FOLDER. Times are the median of several runs by the wall clock, and those of syncs
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


def parquet(folder: Path, n: int) -> None:
    """Codes to Parquet and back."""
    with hamming.Collection.create(folder / "out", 64, durability="none") as writer:
        writer.add(random_codes(n, 64, 0))
        file = folder / "codes.parquet"
        megabytes = 16 * n / 1e6
        row("export to Parquet", f"{1e3 * megabytes / median_ms(lambda: writer.export_codes(file), 3):.0f} MB/s", "200")
    with hamming.Collection.create(folder / "in", 64, durability="none") as writer:
        begin = time.perf_counter()
        writer.import_codes(file)
        row("import from Parquet", f"{os.path.getsize(file) / 1e6 / (time.perf_counter() - begin):.0f} MB/s", "200")


def main() -> None:
    n = int(float([*sys.argv[1:2], 100_000_000][0]))
    with tempfile.TemporaryDirectory(dir=[*sys.argv[2:3], None][0]) as folder:
        print("| case | measured | asked |\n| --- | ---: | ---: |")
        large(Path(folder) / "large", n)
        pieces(Path(folder) / "pieces", max(1000, n // 100))
        parquet(Path(folder), max(1000, n // 10))


if __name__ == "__main__":
    main()
