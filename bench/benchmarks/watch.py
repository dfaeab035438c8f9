"""What is watched from release to release: a few cases of a few milliseconds each, with the API of every release.

``bench_watch.py`` hands them to asv, ``bench/regression.py`` compares two commits by them. Nothing here is named like a
benchmark. Times are processor times, the least of several calls: those of a busy machine differ least in them.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from .common import random_codes, size

Call = Callable[[], object]


def searched(bits: int, n: int, n_queries: int, k: int = 10) -> Call:
    """Top k of random queries among random codes."""
    from udsph.hamming import FlatIndex

    index = FlatIndex(bits)
    index.add(random_codes(size(n), bits, 0))
    queries = random_codes(n_queries, bits, 1)
    return lambda: index.search(queries, k, threads=1)


def filtered() -> Call:
    """The same with a filter that keeps one half."""
    from udsph.hamming import FlatIndex

    n = size(500_000)
    index = FlatIndex(64)
    index.add(random_codes(n, 64, 0))
    queries, kept = random_codes(200, 64, 1), np.arange(n) % 2 == 0
    return lambda: index.search(queries, 10, where=kept, threads=1)


def ranged() -> Call:
    """Everything within 11 of 64 bits."""
    from udsph.hamming import FlatIndex

    index = FlatIndex(64)
    index.add(random_codes(size(500_000), 64, 0))
    queries = random_codes(200, 64, 1)
    return lambda: index.range_search(queries, 11, threads=1)


def added() -> Call:
    """Codes into a new index."""
    from udsph.hamming import FlatIndex

    codes = random_codes(size(300_000), 256, 0)
    return lambda: FlatIndex(256).add(codes)


def looked_up() -> Call:
    """Members of a million codes in clusters, each with some bits flipped, one nearest, from tables."""
    from udsph.hamming import Index

    from .sources import make_source

    index = Index(64)
    index.add(make_source("clustered", 64)(np.random.default_rng(0), size(500_000)))
    index.optimize()
    queries = np.array(index.reconstruct(np.arange(200)))
    queries[:, 3] ^= 5
    return lambda: index.search(queries, 1, threads=1)


def paired() -> Call:
    """Pairs within 3 bits, a fifth of the codes being near-duplicates."""
    from udsph import hamming

    from .sources import near_duplicates

    codes = near_duplicates(np.random.default_rng(0), size(100_000))
    return lambda: sum(len(block.left) for block in hamming.pairs(codes, 3, threads=1))


def evaluated(**options: str) -> Call:
    """MAP of 200 queries over 200,000 codes with 24 labels."""
    from udsph.evaluation import mean_average_precision

    rng = np.random.default_rng(0)
    codes, labels = random_codes(size(200_000), 64, 0), (rng.random((size(200_000), 24)) < 0.1).astype(np.uint8)
    queries, asked = codes[:200], labels[:200]
    return lambda: mean_average_precision(queries, codes, asked, labels, threads=1, **options)


def imported() -> Call:
    """A process that imports the search and ends."""
    return lambda: subprocess.run([sys.executable, "-c", "import udsph.hamming"], check=True)


CASES: dict[str, Callable[[], Call]] = {
    "search, 64 bits, 200 x 500,000, k=10": lambda: searched(64, 500_000, 200),
    "search, 64 bits, 200 x 500,000, k=100": lambda: searched(64, 500_000, 200, 100),
    "search, 256 bits, 100 x 300,000, k=10": lambda: searched(256, 300_000, 100),
    "search, 64 bits, 1 x 2,000,000, k=10": lambda: searched(64, 2_000_000, 1),
    "search with a filter, 64 bits, 200 x 500,000": filtered,
    "range search, 64 bits, 200 x 500,000, radius 11": ranged,
    "search by tables, 64 bits, 200 x 500,000, k=1": looked_up,
    "add, 256 bits, 300,000": added,
    "pairs within 3, 64 bits, 100,000": paired,
    "MAP, 64 bits, 200 x 200,000": evaluated,
    "MAP in insertion order, 64 bits, 200 x 200,000": lambda: evaluated(ties="insertion"),
    "import udsph.hamming": imported,
}


def processor_seconds(call: Call) -> float:
    """Of this process and of those that it waited for."""
    children, start = _of_children(), time.process_time()
    call()
    return time.process_time() - start + _of_children() - children


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
