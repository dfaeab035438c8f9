"""What surrounds the search in one call, in microseconds: a query among a thousand codes, ids in many.

    python bench/lookup_calls.py [--n 10_000_000]

Prints a Markdown table: the whole Python call for the ten nearest among 1,000 codes of 64 bits, the smallest median of
five hundreds; and of an index with its own ids, integers in no order or strings, a code by its id, and a search among
three ids, beside one that is told no ids of as few codes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from benchmarks.common import processor, random_codes, size

from udsph import hamming

CALLS, ROUNDS = 100, 5


def microseconds(call: Callable[[], object]) -> float:
    """The smallest of some medians."""
    medians = []
    for _ in range(ROUNDS):
        spent = []
        for _ in range(CALLS):
            began = time.perf_counter_ns()
            call()
            spent.append(time.perf_counter_ns() - began)
        medians.append(np.median(spent))
    return float(min(medians)) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000_000)
    n = size(parser.parse_args().n)
    print(f"{processor()}, level {hamming.simd_level()}, one thread, the clock on the wall.\n")
    print("| case | us |")
    print("| --- | ---: |")
    codes = random_codes(n, 64, 0)
    few = hamming.FlatIndex(64)
    few.add(codes[:1000])
    query = codes[5].copy()
    print(f"| a query, k=10, 1,000 codes | {microseconds(lambda: few.search(query, 10)):.1f} |", flush=True)
    three_codes = hamming.FlatIndex(64)
    three_codes.add(codes[:3])
    beside = microseconds(lambda: three_codes.search(query, 10))
    print(f"| a query, k=10, 3 codes | {beside:.1f} |", flush=True)
    for kind in ("integers", "strings"):
        index = hamming.FlatIndex(64)
        own = np.random.default_rng(0).permutation(n)
        index.add(codes, own if kind == "integers" else [f"doc-{i}" for i in own.tolist()])
        one, three = [[index.ids[i] for i in places] for places in ([n // 3], [5, n // 2, n - 2])]
        print(f"| reconstruct([id]), {n:,} {kind} | {microseconds(lambda i=index, o=one: i.reconstruct(o)):.1f} |")
        spent = microseconds(lambda i=index, t=three: i.search(query, 10, where=t))
        print(f"| a query with where=[3 ids], {n:,} {kind} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()
