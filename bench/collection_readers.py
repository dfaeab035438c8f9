"""A writer and readers at once: python bench/collection_readers.py [SECONDS] [READERS] [FOLDER]; 300 and 4.

The writer adds a million codes a minute, removes those that are older than a minute, and commits once a second; every
minute it compacts. Each reader, in a process of its own, refreshes twice a second and compares what it finds with a
plain search of the codes that its generation must have. Memory, files and descriptors are noted as they go on: they
are to stay as they are after the first minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from udsph import hamming

STEP = 1_000_000 // 60  # codes a second
KEPT = 60 * STEP
QUERIES = 5


def codes_of(begin: int, end: int) -> np.ndarray:
    """A code for each number, the same in every process."""
    numbers = np.arange(begin, end, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    numbers ^= numbers >> np.uint64(29)
    numbers *= np.uint64(0xBF58476D1CE4E5B9)
    return (numbers ^ (numbers >> np.uint64(32))).view(np.uint8).reshape(-1, 8)


def write(path: Path, seconds: float) -> None:
    """Add, remove, commit; print how many codes were added and how long commits took."""
    began, steps, late, spent = time.monotonic(), 0, 0, []
    with hamming.Collection.create(path, 64) as writer:
        while time.monotonic() - began < seconds:
            first = steps * STEP
            writer.add(codes_of(first, first + STEP), np.arange(first, first + STEP))
            if first >= KEPT:
                writer.remove(np.arange(first - KEPT, first - KEPT + STEP))
            begin = time.perf_counter()
            writer.compact() if steps % 60 == 59 else writer.commit()
            spent.append(time.perf_counter() - begin)
            steps += 1
            left = began + steps - time.monotonic()
            late += left < 0
            time.sleep(max(0.0, left))
    middle, most = 1e3 * np.median(spent), 1e3 * max(spent)
    print(
        f"writer: {steps * STEP:,} codes, {late} of {steps} steps late, commits {middle:.0f} ms, at most {most:.0f} ms"
    )


def read(path: Path, seconds: float) -> None:
    """Refresh, search, compare; print how many generations were seen."""
    began, seen, rng = time.monotonic(), set(), np.random.default_rng(os.getpid())
    while not list(path.glob("*1.manifest")):
        time.sleep(0.1)
    reader = hamming.Collection.open(path)
    begin, truth = 0, codes_of(0, 0)
    while time.monotonic() - began < seconds:
        reader.refresh()
        seen.add(reader.generation)
        n = len(reader)
        last = int(reader.ids[-1]) + 1 if n else 0
        assert last % STEP == 0 and n == min(last, KEPT), f"{n} codes up to {last} are those of no generation"
        truth = np.concatenate([truth, codes_of(begin + len(truth), last)])[-n:]
        begin = last - n
        queries = rng.integers(0, 256, (QUERIES, 8), dtype=np.uint8)
        ours, theirs = reader.search(queries, 10, threads=1), hamming.search(queries, truth, 10, threads=1)
        assert (ours.distances == theirs.distances).all() and (ours.ids == theirs.ids + begin).all(), "wrong answers"
        time.sleep(0.5)
    print(f"reader: {len(seen)} generations, all answers right")


def measured(path: Path, processes: list[subprocess.Popen[bytes]], seconds: float) -> None:
    """A row of the table now and then."""
    print("| seconds | files | MB on disk | MB of the writer | of readers | descriptors |\n" + "| ---: " * 6 + "|")
    began = time.monotonic()
    while time.monotonic() - began < seconds and all(process.poll() is None for process in processes):
        time.sleep(min(15.0, seconds / 10))
        sizes = []
        for name in os.listdir(path) if path.exists() else []:
            try:
                sizes.append(os.stat(path / name).st_size)
            except FileNotFoundError:
                continue
        own = [anonymous(process.pid) / 1e6 for process in processes]
        descriptors = max(len(os.listdir(f"/proc/{process.pid}/fd")) for process in processes)
        cells = f"{time.monotonic() - began:.0f} | {len(sizes)} | {sum(sizes) / 1e6:.0f} | {own[0]:.0f}"
        print(f"| {cells} | {' '.join(f'{one:.0f}' for one in own[1:])} | {descriptors} |", flush=True)


def anonymous(pid: int) -> int:
    """Bytes of a process that are not of mapped files."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    return 0


def main() -> None:
    seconds, readers = (float(value) for value in [*sys.argv[1:3], *[300, 4][len(sys.argv[1:3]) :]])
    with tempfile.TemporaryDirectory(dir=[*sys.argv[3:4], None][0]) as folder:
        path = Path(folder) / "collection"
        command = [sys.executable, __file__, "--do"]
        roles = ["write"] + int(readers) * ["read"]
        processes = [subprocess.Popen([*command, role, str(path), str(seconds)]) for role in roles]
        measured(path, processes, seconds)
        assert [process.wait() for process in processes] == [0] * len(processes), "a process failed"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--do"]:
        {"write": write, "read": read}[sys.argv[2]](Path(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
