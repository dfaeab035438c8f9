"""The table of bench/README.md: udsph.hamming beside FAISS, in one process, with its targets.

    python bench/hamming.py --output bench/results              everything, about ten minutes
    python bench/hamming.py --only wide --output bench/results  one group, merged into the results that are there
    python bench/hamming.py --report --output bench/results     the table and the figure from results, nothing measured
    python bench/hamming.py --quick                             a check that it runs, on toy sizes

Every speed is the best of several runs, in Gpairs/s (10**9 query-code pairs per second). FAISS gets as many of the
queries as fit in a second.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import importlib.metadata
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import common, peers
from benchmarks.common import random_codes

from udsph import hamming
from udsph.files import write_text
from udsph.hamming import backend

HERE = Path(__file__).parent
# On a machine that others use, --clock cpu counts this process's time only; rows of two threads need a quiet machine.
clock = time.perf_counter
WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
# Ratios to reach: to FAISS as installed, and to the best of its levels and top-k methods.
TARGETS = {16: (80, 60), 32: (22, 20), 64: (20, 14), 128: (12, 10), 256: (9, 8), 512: (8, 8), 1024: (9, 9)}


class Sizes:
    """How much is measured."""

    def __init__(self, quick: bool) -> None:
        self.codes = 20_000 if quick else 1_000_000
        self.queries = 60 if quick else 1000
        self.many = 100_000 if quick else 100_000_000
        self.seconds = 0.02 if quick else 1.5  # per measurement of ours
        self.peer_seconds = 0.02 if quick else 0.7


def learned_like(n: int, bits: int, seed: int) -> np.ndarray:
    """Codes around 10,000 random centres, each bit flipped with probability 0.05."""
    centres = random_codes(10_000, bits, 99)
    rng = np.random.default_rng(seed)
    codes = centres[rng.integers(0, len(centres), n)]
    for begin in range(0, n, 100_000):
        part = codes[begin : begin + 100_000]
        part ^= np.packbits(rng.random((len(part), bits), np.float32) < 0.05, axis=1)
    return codes


def best_seconds(call: Callable[[], Any], seconds: float) -> float:
    """Shortest time of one call, of at least three."""
    return common.best_seconds(call, seconds, 3, clock)


def index_of(codes: np.ndarray) -> hamming.FlatIndex:
    index = hamming.FlatIndex(8 * codes.shape[1])
    index.add(codes)
    return index


class Faiss(peers.Faiss):
    """Its rates, of as many queries as fit in some seconds."""

    def __init__(self, codes: np.ndarray, seconds: float) -> None:
        super().__init__(codes)
        self.seconds = seconds

    def rate(self, search: Callable[[np.ndarray], Any], queries: np.ndarray) -> float:
        """Gpairs/s: as many queries as fit in the time, at least 32."""
        few = queries[:32]
        search(few)
        start = clock()
        search(few)
        fit = int(self.seconds / 2 / (clock() - start) * len(few))
        some = queries[: max(32, min(len(queries), fit))]
        return len(some) * self.index.ntotal / best_seconds(lambda: search(some), self.seconds) / 1e9

    def both(self, queries: np.ndarray, k: int) -> dict[str, Any]:
        """As installed, and the best forced."""
        search = lambda some: self.index.search(some, k)  # noqa: E731
        installed = self.rate(search, queries)
        best, how = installed, "as installed"
        for way in self.ways():
            rate = self.rate(search, queries)
            if rate > best:
                best, how = rate, way
        return {"faiss": installed, "faiss best": best, "faiss best is": how}


def ours(index: hamming.FlatIndex, queries: np.ndarray, k: int, sizes: Sizes, **options: Any) -> float:
    call = lambda: index.search(queries, k, threads=1, **options)  # noqa: E731
    return len(index) * len(queries) / best_seconds(call, sizes.seconds) / 1e9


def measure_widths(sizes: Sizes, widths: tuple[int, ...]) -> dict[str, Any]:
    """k=10 at these widths; USearch and NumPy too, for the figure."""
    rows = {}
    for bits in widths:
        codes, queries = random_codes(sizes.codes, bits, 0), random_codes(sizes.queries, bits, 1)
        row: dict[str, Any] = {"ours": ours(index_of(codes), queries, 10, sizes)}
        row |= Faiss(codes, sizes.peer_seconds).both(queries, 10)
        for name in ("usearch", "numpy"):
            peer = getattr(peers, name)(codes, bits)
            row[name] = 5 * len(codes) / best_seconds(lambda peer=peer, five=queries[:5]: peer(five, 10), 0.1) / 1e9
        row["target"], row["target best"] = TARGETS[bits]
        rows[f"{bits} bits, k=10"] = row
    return rows


def measure_neighbours(sizes: Sizes) -> dict[str, Any]:
    """More neighbours, and learned-like codes."""
    rows: dict[str, Any] = {}
    codes, queries = random_codes(sizes.codes, 64, 0), random_codes(sizes.queries, 64, 1)
    index, peer = index_of(codes), Faiss(codes, sizes.peer_seconds)
    for k, target in ((100, (14, 10)), (1000, (8, 8))):
        rows[f"64 bits, k={k}"] = {"ours": ours(index, queries, k, sizes), **peer.both(queries, k)}
        rows[f"64 bits, k={k}"] |= {"target": target[0], "target best": target[1]}
    both = learned_like(sizes.codes + sizes.queries, 64, 3)
    clustered = index_of(both[: sizes.codes])
    for k in (10, 100):
        uniform = ours(index, queries, k, sizes)
        learned = ours(clustered, both[sizes.codes :], k, sizes)
        rows[f"64 bits, k={k}, learned-like codes against uniform"] = {
            "ours": learned,
            "uniform": uniform,
            "ratio": learned / uniform,
            "target": 0.75,
        }
    return rows


def measure_levels(sizes: Sizes) -> dict[str, Any]:
    """Lower instruction-set levels against FAISS as installed."""
    codes, queries = random_codes(sizes.codes, 64, 0), random_codes(sizes.queries, 64, 1)
    index, peer = index_of(codes), Faiss(codes, sizes.peer_seconds)
    rows: dict[str, Any] = {}
    before = hamming.simd_level()
    for level, target in (("avx2", 6), ("scalar", 3)):
        if level in hamming.simd_levels():
            backend.module().set_level(level)
            row = {"ours": ours(index, queries, 10, sizes), "target": target}
            row["faiss"] = peer.rate(lambda some: peer.index.search(some, 10), queries)
            rows[f"64 bits, k=10, UDSPH_SIMD={level}"] = row
    backend.module().set_level(before)
    return rows


def measure_filters(sizes: Sizes) -> dict[str, Any]:
    """Filters by bitmap, and range search."""
    codes, queries = random_codes(sizes.codes, 64, 0), random_codes(sizes.queries, 64, 1)
    index, peer = index_of(codes), Faiss(codes, sizes.peer_seconds)
    faiss = peer.faiss
    half = np.random.default_rng(2).random(len(codes)) < 0.5
    bitmap = np.packbits(half, bitorder="little")
    selector = faiss.IDSelectorBitmap(len(codes), faiss.swig_ptr(bitmap))
    parameters = faiss.SearchParameters(sel=selector)
    rows: dict[str, Any] = {}
    rows["64 bits, k=10, filter that keeps one half"] = {
        "ours": ours(index, queries, 10, sizes, where=hamming.Bitmap(bitmap, len(codes))),
        "faiss": peer.rate(lambda some: peer.index.search(some, 10, params=parameters), queries),
        "target": 100,
    }
    rare = hamming.Bitmap.from_mask(np.random.default_rng(2).random(len(codes)) < 0.001)
    unfiltered, filtered = ours(index, queries, 10, sizes), ours(index, queries, 10, sizes, where=rare)
    rows["64 bits, k=10, filter that keeps one in a thousand against none"] = {
        "ours": filtered,
        "unfiltered": unfiltered,
        "ratio": filtered / unfiltered,
        "target": 1,
    }
    seconds = best_seconds(lambda: index.range_search(queries, 11, threads=1), sizes.seconds)
    rows["64 bits, range search, radius 11"] = {
        "ours": len(codes) * len(queries) / seconds / 1e9,
        "faiss": peer.rate(lambda some: peer.index.range_search(some, 12), queries),  # strictly below 12
        "target": 15,
    }
    return rows


def measure_threads(sizes: Sizes) -> dict[str, Any]:
    """Two threads against one."""
    index, queries = index_of(random_codes(sizes.codes, 64, 0)), random_codes(sizes.queries, 64, 1)
    rates = {1: 0.0, 2: 0.0}
    for _ in range(8):  # by turns, so that a disturbance meets both
        for threads in rates:
            seconds = best_seconds(lambda threads=threads: index.search(queries, 10, threads=threads), sizes.seconds)
            rates[threads] = max(rates[threads], len(index) * len(queries) / seconds / 1e9)
    row = {"ours": rates[2], "one thread": rates[1], "ratio": rates[2] / rates[1], "target": 1.8}
    return {"64 bits, k=10, 2 threads against 1": row}


def measure_bandwidth(sizes: Sizes) -> dict[str, Any]:
    """One query over many codes, against a plain read of the same memory."""
    index = hamming.FlatIndex(64)
    step = min(sizes.many, 10_000_000)
    for seed in range(sizes.many // step):
        index.add(random_codes(step, 64, seed))
    query = random_codes(1, 64, 1)
    rows: dict[str, Any] = {}
    for threads in (1, 2):
        gigabytes = 8 * len(index) / 1e9
        read, search = float("inf"), float("inf")
        for _ in range(4):  # by turns, so that a disturbance meets both
            read = min(
                read, best_seconds(lambda threads=threads: index._snapshot.searched()[0][0].sum_words(threads), 0)
            )
            search = min(search, best_seconds(lambda threads=threads: index.search(query, 10, threads=threads), 0))
        rows[f"one query, {len(index):,} codes of 64 bits, {threads} thread{'s' if threads > 1 else ''}, GB/s"] = {
            "ours": gigabytes / search,
            "plain read": gigabytes / read,
            "ratio": read / search,
            "target": 0.85,
        }
    return rows


def measure_memory(sizes: Sizes) -> dict[str, Any]:
    """Adding codes, and the memory of an index and of a search."""
    rows: dict[str, Any] = {}
    for bits in WIDTHS:
        codes = random_codes(sizes.codes, bits, 0)
        seconds = best_seconds(lambda bits=bits, codes=codes: hamming.FlatIndex(bits).add(codes), sizes.seconds / 3)
        rows[f"add, {bits} bits, GB/s"] = {"ours": codes.nbytes / seconds / 1e9, "target": 1}
    for n in (100_000, sizes.codes):
        index = index_of(random_codes(n, 64, 0))
        rows[f"index of {n:,} codes of 64 bits, bytes against packed codes"] = {
            "ours": index.nbytes / (8 * n),
            "target": 1.1,
            "at most": True,
        }
    queries = random_codes(10 * sizes.queries, 64, 1)
    for k in (10, 1000):
        some = queries[: len(queries) // (k // 10)]
        index.search(some[:50], k)  # whatever is allocated once
        ctypes.CDLL(None).malloc_trim(0)  # or memory that was used before would be used again, uncounted
        before = common.resident_bytes()
        common.reset_peak()
        found = index.search(some, k, threads=2)
        extra = max(0, common.peak_bytes() - before - found.ids.nbytes - found.distances.nbytes) / 2**20
        rows[f"memory of a search beside its results, k={k}, MiB"] = {"ours": extra, "target": 64, "at most": True}
    return rows


def measure_shape(sizes: Sizes) -> dict[str, Any]:
    """Between the listed values, on uniform and on learned-like codes: is there a cliff? For the second figure."""
    short = Sizes(True)
    short.seconds = min(sizes.seconds, 0.15)
    kinds: dict[str, Any] = {}
    for kind, made in (("uniform", random_codes), ("learned-like", learned_like)):
        both = made(sizes.codes + 4 * sizes.queries, 64, 3)
        codes, queries = both[: sizes.codes], both[sizes.codes :]
        index = index_of(codes)
        shape: dict[str, Any] = {"k": {}, "nq": {}, "n": {}}
        for k in (1, 2, 5, 10, 20, 49, 50, 100, 200, 500, 1000, 2000):
            shape["k"][k] = ours(index, queries[: sizes.queries], k, short)
        for nq in (1, 2, 4, 8, 19, 20, 40, 80, 150, 300, 600, 1000, 1024, 1025, 1500, 2000, 4000):
            shape["nq"][nq] = ours(index, queries[:nq], 10, short)
        for n in (1000, 3000, 10_000, 30_000, 100_000, 300_000, sizes.codes):
            shape["n"][n] = ours(index_of(codes[:n]), queries[: sizes.queries], 10, short)
        kinds[kind] = shape
    return {"shape": kinds}


def popcount_limit() -> dict[str, Any]:
    """Compile and run popcount_limit.cpp where this machine can."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if "avx512_vpopcntdq" not in flags:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/limit"
        source = str(HERE / "popcount_limit.cpp")
        subprocess.run(["g++", "-O3", "-mavx512f", "-mavx512vpopcntdq", source, "-o", program], check=True)
        return json.loads(subprocess.check_output([program]))


GROUPS: dict[str, Callable[[Sizes], dict[str, Any]]] = {
    "narrow": lambda sizes: measure_widths(sizes, WIDTHS[:4]),
    "wide": lambda sizes: measure_widths(sizes, WIDTHS[4:]) | {"popcount limit": popcount_limit()},
    "neighbours": measure_neighbours,
    "levels": measure_levels,
    "filters": measure_filters,
    "threads": measure_threads,
    "bandwidth": measure_bandwidth,
    "memory": measure_memory,
    "shape": measure_shape,
}


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    return {
        "cpu": common.processor(),
        "cores": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "simd_level": hamming.simd_level(),
        "compiler": hamming.build_info()["compiler"],
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "faiss-cpu", "usearch")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=GROUPS, action="append", help="measure this group")
    parser.add_argument("--output", type=Path, help="folder of results and figures; bench/results: also the table")
    parser.add_argument("--quick", action="store_true", help="toy sizes: the figures mean nothing")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    global clock
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    if arguments.quick and arguments.output:
        parser.error("--quick measures nothing worth keeping: leave out --output")
    results: dict[str, Any] = {"rows": {}}
    path = arguments.output / "hamming.json" if arguments.output else None
    if path and path.exists() and (arguments.only or arguments.report):
        results = json.loads(path.read_text())
    for group in [] if arguments.report else arguments.only or GROUPS:
        results["rows"] |= GROUPS[group](Sizes(arguments.quick))
        results["machine"] = machine()
        results.setdefault("clock", {})[group] = arguments.clock
        print(f"{group} measured", flush=True)
        if path:  # after each group, so that what is measured is kept
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(results, indent=1) + "\n")
    import hamming_report

    print(hamming_report.table(results))
    if path and not arguments.quick:
        # A trial elsewhere draws its own figures; the README has those of the kept results alone.
        readme = HERE / "README.md" if path.resolve() == HERE.resolve() / "results" / path.name else None
        hamming_report.write(results, readme, arguments.output)


if __name__ == "__main__":
    main()
