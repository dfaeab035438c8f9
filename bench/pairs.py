"""All pairs within a radius: python bench/pairs.py [N] [THREADS] [KIND:BITS:RADIUS ...]; a million codes, 2 threads.

Each row is one call of `hamming.pairs`. The scan, which is what a join replaces, is measured on 100,000 of the codes,
and its time multiplied by the square of their share.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from benchmarks.common import peak_bytes, reset_peak, resident_bytes
from benchmarks.sources import make_source, near_duplicates

from udsph import hamming
from udsph.hamming.operations import join_plans, joins

CASES = [  # kind, bits, radius
    ("near-duplicates", 64, 3),
    ("near-duplicates", 64, 6),
    ("near-duplicates", 64, 8),
    ("clustered", 64, 3),
    ("learned", 64, 3),
    ("clustered", 256, 10),
    ("pdq", 256, 31),
]


def pdq(rng: np.random.Generator, n: int) -> np.ndarray:
    """Uniform codes of 256 bits, a fifth of them with a sixteenth of another's bits changed."""
    codes, places = rng.integers(0, 256, (n, 32), dtype=np.uint8), rng.permutation(n)[: n // 5]
    codes[places] = codes[rng.integers(0, n, len(places))]
    for some in np.array_split(places, max(1, len(places) // 65536)):
        codes[some] ^= np.packbits(rng.random((len(some), 256)) < 1 / 16, axis=1)
    return codes


def make(kind: str, bits: int, n: int) -> np.ndarray:
    """Codes of a kind."""
    sources = {"near-duplicates": near_duplicates, "pdq": pdq}
    return (sources[kind] if kind in sources else make_source(kind, bits))(np.random.default_rng(0), n)


def count(codes: np.ndarray, radius: int, threads: int) -> tuple[int, float]:
    """Number of pairs, and seconds."""
    begin = time.perf_counter()
    found = sum(len(block.left) for block in hamming.pairs(codes, radius, threads=threads))
    return found, time.perf_counter() - begin


def main() -> None:
    n, threads = int(float([*sys.argv[1:2], 1_000_000][0])), int([*sys.argv[2:3], 2][0])
    print(f"{n:,} codes, {threads} threads")
    print("| codes | bits | radius | pairs | how | join | memory beside the codes | scan (estimate) | times |")
    print("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    for kind, bits, radius in [(k, int(b), int(r)) for k, b, r in (a.split(":") for a in sys.argv[3:])] or CASES:
        codes = make(kind, bits, n)
        plan = join_plans.make_plan(codes, codes, radius, bits, n * (n - 1) / 2)
        how = "scan" if plan is None else f"{len(plan.masks)} chunks, {'close' if plan.probed else 'equal'}"
        reset_peak()
        before = resident_bytes()
        found, seconds = count(codes, radius, threads)
        memory = (peak_bytes() - before) / 1e6
        some = codes[: min(n, 100_000)]
        planned, joins.make_plan = joins.make_plan, lambda *arguments: None
        scanned = count(some, radius, threads)[1] * (n / len(some)) ** 2
        joins.make_plan = planned
        row = (
            f"| {kind} | {bits} | {radius} | {found:,} | {how} | {seconds:.1f} s | {memory:.0f} MB | {scanned:.0f} s |"
        )
        print(f"{row} {scanned / seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
