"""Hamming search and counting on a GPU: the rows of docs/gpu.md, beside FAISS's where it is installed for GPUs.

    python bench/gpu_search.py [--only NAME ...] [--limits FILE] [--output FILE] [--small]

Queries, codes and results are tensors of torch on the GPU; medians of device events after a warm-up. Each case is held
to the CPU's answer first: the same bytes for a few of its queries. A case that fails is a row that says so.
``--limits`` is what ``gpu_limits.py`` wrote; ``--small`` divides the number of codes by 100.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parent.parent)]

from udsph.evaluation import count  # noqa: E402
from udsph.hamming import FlatIndex  # noqa: E402

Rows = Iterator[list[Any]]  # of a table, as they come

MILLION = 10**6
CHECKED = 3  # queries of a case that are compared with the CPU


def random_codes(n: int, bits: int, seed: int) -> torch.Tensor:
    """Uniform codes on the GPU, (n, bytes) uint8."""
    generator = torch.Generator("cuda").manual_seed(seed)
    return torch.randint(0, 256, (n, bits // 8), dtype=torch.uint8, device="cuda", generator=generator)


def seconds(call: Callable[[], Any], least: int = 5, longest: float = 4.0) -> float:
    """The median of calls by device events, after a warm-up."""
    call()
    times: list[float] = []
    began = time.monotonic()
    while len(times) < least and (len(times) < 2 or time.monotonic() - began < longest):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        call()
        last.record()
        torch.cuda.synchronize()
        times.append(first.elapsed_time(last) / 1e3)
    return statistics.median(times)


class Case:
    """Codes of one width on the GPU and on the host, shared by the rows about them."""

    def __init__(self, bits: int, n: int, n_queries: int) -> None:
        codes = random_codes(n, bits, bits)
        self.bits, self.n, self.codes = bits, n, codes.cpu().numpy()
        self.queries = random_codes(n_queries, bits, bits + 1)
        del codes
        self.index = FlatIndex(bits, device="cuda")
        self.index.add(self.codes)
        self._on_cpu: FlatIndex | None = None

    @property
    def on_cpu(self) -> FlatIndex:
        """The same codes on the CPU, the truth."""
        if self._on_cpu is None:
            self._on_cpu = FlatIndex(self.bits)
            self._on_cpu.add(self.codes)
        return self._on_cpu

    def search(self, k: int, where: Any = None) -> float:
        """Seconds of a search, once its answer is that of the CPU."""
        rows = self.queries[:CHECKED]
        found = self.index.search(rows, k, where=where)
        expected = self.on_cpu.search(rows.cpu().numpy(), k, where=None if where is None else where.cpu().numpy())
        same(found, expected)
        return seconds(lambda: self.index.search(self.queries, k, where=where))

    def replayed(self, k: int) -> float:
        """Seconds of a search that was captured as a CUDA graph."""
        self.index.search(self.queries, k)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.index.search(self.queries, k)
        return seconds(graph.replay)

    def range_search(self, radius: int) -> float:
        """Seconds of a range search, once its answer is that of the CPU."""
        rows = self.queries[:CHECKED]
        same(self.index.range_search(rows, radius), self.on_cpu.range_search(rows.cpu().numpy(), radius))
        return seconds(lambda: self.index.range_search(self.queries, radius))

    def faiss(self, k: int) -> float | None:
        """Seconds of FAISS on the same GPU with as many queries; None where it is not installed for GPUs."""
        try:
            import faiss

            resources = faiss.StandardGpuResources()
            index = faiss.GpuIndexBinaryFlat(resources, self.bits)
        except (ImportError, AttributeError):
            return None
        index.add(self.codes)
        queries = self.queries.cpu().numpy()
        index.search(queries[:100], k)
        began = time.perf_counter()
        index.search(queries, k)  # waits for its results
        return time.perf_counter() - began

    def radius_of(self, k: int) -> int:
        """A radius within which a query finds about so many codes."""
        found = self.index.search(self.queries[:100], k)
        return int(found.distances[:, -1].float().median())


def same(found: Any, expected: Any) -> None:
    """Raise if results on the GPU are not the CPU's, byte for byte."""
    for a, b in zip(found, expected, strict=True):
        if not np.array_equal(a.cpu().numpy(), b):
            raise AssertionError("the answer is not that of the CPU")


def throughput(case: Case, limits: dict[str, Any]) -> Rows:
    """Top-10 of many queries, against the rate of POPC and, last for it may crash, FAISS."""
    taken, pairs = case.search(10), case.n * len(case.queries)
    yield [f"{case.bits} bits, top-10, {len(case.queries):,} x {case.n:,}", taken, pairs / taken / 1e12]
    popc = limits.get("popc", 0) / (case.bits / 32)
    yield ["  times the limit of POPC", "" if popc else "not run: no limits", pairs / taken / popc if popc else None]
    peer = case.faiss(10)
    yield ["  times FAISS", "" if peer else "not run: no FAISS for GPUs", peer / taken if peer else None]


def selections(case: Case, limits: dict[str, Any]) -> Rows:
    """What k=1000, a filter and a range search cost beside k=10."""
    base = case.search(10)
    half = torch.rand(case.n, device="cuda") < 0.5
    yield ["k=10", base, 1.0]
    failed: list[Exception] = []
    others: dict[str, Callable[[], float]] = {
        "k=100": lambda: case.search(100),
        "k=1000": lambda: case.search(1000),
        "k=10, filter of one half": lambda: case.search(10, half),
        "range of about 10": lambda: case.range_search(case.radius_of(10)),
    }
    for name, measure in others.items():
        try:
            taken = measure()
            yield [f"{name}: times k=10", taken, taken / base]
        except Exception as error:  # told at the end: the others are measured first
            failed.append(error)
    if failed:
        raise failed[0]


def one_query(case: Case, limits: dict[str, Any]) -> Rows:
    """One query among many codes, against the time in which their bytes are read."""
    taken, size = case.search(10), case.n * case.bits / 8
    read = limits.get("read_bytes")
    yield [f"{case.bits} bits, 1 query x {case.n:,}", taken, size / taken / 1e12]
    ratio = "  bytes of the codes a second, times the card's reading"
    yield [ratio, "" if read else "not run: no limits", size / taken / read if read else None]
    taken = case.replayed(10)
    yield ["  the same as a CUDA graph, without the host's launches", taken, size / taken / 1e12]
    yield [ratio, "" if read else "not run: no limits", size / taken / read if read else None]


def counting(n: int, n_queries: int) -> Rows:
    """Joint counts with 24 labels, from host memory, against one core."""
    rng, part = np.random.default_rng(0), max(1, n // 50)
    codes, queries = (rng.integers(0, 256, (m, 8), dtype=np.uint8) for m in (n, n_queries))
    labels, own = ((rng.random((m, 24)) < 0.1).astype(np.uint8) for m in (n, n_queries))
    found = count(queries, codes[:part], own, labels[:part], device="cuda")
    began = time.perf_counter()
    expected = count(queries, codes[:part], own, labels[:part], threads=1)
    core = n_queries * part / (time.perf_counter() - began)
    if not (np.array_equal(found.items, expected.items) and np.array_equal(found.relevant, expected.relevant)):
        raise AssertionError("the counts are not those of the CPU")
    began = time.perf_counter()
    count(queries, codes, own, labels, device="cuda")
    taken = time.perf_counter() - began
    rate = n_queries * n / taken
    yield [f"MAP's counts, 64 bits, 24 labels, {n_queries:,} x {n:,}", taken, rate / 1e12]
    yield ["  times one core of this machine", "", rate / core]


def cases(small: bool) -> dict[str, Callable[[dict[str, Any]], Rows]]:
    """By name."""
    n, queries = (10 * MILLION // 100, 1000) if small else (10 * MILLION, 10_000)
    many = MILLION if small else 100 * MILLION
    return {
        "64": lambda limits: throughput(Case(64, n, queries), limits),
        "256": lambda limits: throughput(Case(256, n, queries), limits),
        "1024": lambda limits: throughput(Case(1024, n // 2, queries), limits),
        "selection": lambda limits: selections(Case(64, n, queries), limits),
        "one": lambda limits: one_query(Case(64, many, 1), limits),
        "counting": lambda limits: counting(n, queries // 2),
    }


def shown(row: list[Any]) -> str:
    """A row of the table."""
    name, taken, value = row
    time_text = f"{1e3 * taken:.2f}" if isinstance(taken, float) else taken
    return f"| {name} | {time_text} | {'' if value is None else format(value, '.3g')} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(cases(True)))
    parser.add_argument("--limits", type=Path)
    parser.add_argument("--output", type=Path, help="a file for the numbers, JSON")
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    limits = json.loads(given.limits.read_text()) if given.limits and given.limits.exists() else {}
    rows: list[list[Any]] = []
    failed = 0

    def keep(row: list[Any]) -> None:
        """Print a row, and write it with those before it: what comes next may crash."""
        rows.append(row)
        print(shown(row), flush=True)
        if given.output:
            given.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

    print(
        f"{torch.cuda.get_device_name()}\n\n| case | ms | 10^12 pairs/s, or ratio |\n| --- | ---: | ---: |", flush=True
    )
    for name, run in cases(given.small).items():
        if given.only and name not in given.only:
            continue
        try:
            for row in run(limits):
                keep(row)
        except Exception as error:  # one case loses nothing of the others
            failed += 1
            keep(
                [f"{name}: {type(error).__name__}: {error}"[:200].replace("|", "/").replace("\n", " "), "failed", None]
            )
        torch.cuda.empty_cache()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
