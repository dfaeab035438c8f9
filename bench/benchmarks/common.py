"""Data and settings that the benchmarks share. Nothing here is named like a benchmark."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import numpy as np

# A quick run that only shows that every benchmark works.
SMALL = os.environ.get("UDSPH_BENCH_SMALL", "0") not in ("", "0")
SECONDS = 0.05 if SMALL else 0.5  # of work measured for a track_
PEER_SECONDS = 0.05 if SMALL else 5.0


def size(n: int) -> int:
    """The number of codes that stands for n in this run."""
    return min(n, 2000) if SMALL else n


def random_codes(n: int, bits: int, seed: int) -> np.ndarray:
    """Uniform random packed codes, (n, bits // 8) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (n, bits // 8), dtype=np.uint8)


def skip_unsupported_level() -> None:
    """Skip a benchmark, rather than fail it, where UDSPH_SIMD names a level that this machine does not have."""
    from udsph import hamming

    try:
        hamming.simd_level()
    except ValueError as error:
        raise NotImplementedError(str(error)) from error


def optional(name: str) -> ModuleType:
    """A module that asv's environment, which has NumPy alone, may lack; the benchmark is then skipped."""
    try:
        return import_module(name)
    except ImportError as error:
        raise NotImplementedError(str(error)) from error


def best_seconds(call: Callable[[], object], seconds: float) -> float:
    """Shortest time of one call; calls for `seconds`, at least twice."""
    best, end, calls = float("inf"), time.perf_counter() + seconds, 0
    while calls < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
        calls += 1
    return best
