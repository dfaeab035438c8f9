"""The course of the learning rate, and seeds for every piece of a training."""

from __future__ import annotations

import math
import zlib
from typing import Any


def one_cycle(done: float, warm: float = 0.1) -> float:
    """Factor on the learning rate: up in a straight line for the first tenth, then down along a cosine."""
    if done < warm:
        return (done + 1e-3) / (warm + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm) / (1 - warm))))


def seed_of(*parts: Any) -> int:
    """A seed from names and numbers, the same in every process."""
    return zlib.crc32(repr(parts).encode())
