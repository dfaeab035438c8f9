"""What the benchmarks and the scripts beside them share. Nothing here is named like a benchmark."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

Clock = Callable[[], float]

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


def best_seconds(call: Callable[[], object], seconds: float, least: int = 2, clock: Clock = time.perf_counter) -> float:
    """Shortest time of one call; calls for `seconds`, and at least so many times."""
    best, end, calls = float("inf"), clock() + seconds, 0
    while calls < least or clock() < end:
        start = clock()
        call()
        best = min(best, clock() - start)
        calls += 1
    return best


def processor() -> str:
    """Name of the processor, and its family where the system says it."""
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    name, family = (re.search(rf"{key}\s*:\s*(.*)", text) for key in ("model name", "cpu family"))
    found = name[1] if name else platform.processor() or platform.machine()
    return f"{found} (family {family[1]})" if family else found


def resident_bytes() -> int:
    """Resident memory of this process now; Linux."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Its peak since the last `reset_peak`, or since the start."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Let the peak begin with what is held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 if found else 0
