"""A segment that looks up instead of scanning: multi-index hashing in native code, exact, the scan to fall back on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import backend
from udsph.hamming.filters import BLOCK, Words

Codes = NDArray[np.uint8]

_SAMPLES = 256  # codes whose neighbours are looked for to measure the costs
_ASKED = 64  # of them, one by one
_FAR = 64  # codes of no kind, likewise
_FLIPPED = 2  # bits of each of them
_K = 10
_SCANNED = 1 << 11  # blocks that are scanned to measure the scan of many queries
_MOST_HANDED_OVER = 0.9  # share of sample queries beyond which tables are not worth their memory
_DISTINCT = 1 << 12  # codes of which is seen whether many are equal
_LEAST_LOOKUP = 4e-9  # seconds: no machine does one in less where they are many
_PRICELESS = 1e12  # ns: nothing is handed over to a scan that costs this


class Costs(NamedTuple):
    """What searching costs on this machine, in ns of one thread."""

    lookup: float
    candidate: float  # a code that is compared
    hit: float  # a code that is returned
    scan_one: float  # a code of a scan for one of few queries
    scan_many: float  # and of many


class Multi:
    """A native segment of whole blocks and tables over it; see ``segments.Segment`` and ``csrc/hamming/tables.h``."""

    full = True

    def __init__(self, segment: Any, tables: Any, costs: Costs | None = None) -> None:
        self.segment = segment
        self.tables = tables
        self.costs = costs

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self.segment.bits

    @property
    def nbytes(self) -> int:
        """Bytes of the codes and the tables."""
        return self.segment.nbytes + self.tables.nbytes

    def __len__(self) -> int:
        return len(self.segment)

    @staticmethod
    def joined(parts: Sequence[Any]) -> None:
        """Tables are not joined; ``Index.optimize`` makes new ones."""

    def extended(self, rows: Codes) -> Any:
        """The codes with more at their end, without tables."""
        return self.segment.extended(rows)

    def search(
        self, queries: Codes, k: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Distances and positions of the k nearest."""
        return self.tables.search(self.segment, queries, k, allowed, threads, np.zeros(4, np.uint64))

    def range_search(
        self, queries: Codes, radius: int, allowed: Words | None, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """Offsets, distances and positions of all codes within the radius."""
        return self.tables.range_search(self.segment, queries, radius, allowed, threads, np.zeros(4, np.uint64))

    def read(self, positions: NDArray[np.int64]) -> Codes:
        """Packed rows at positions."""
        return self.segment.read(positions)

    def words(self, begin: int, end: int) -> Words:
        """The blocks [begin, end) in slices."""
        return self.segment.words(begin, end)


def join_native(empty: Any, segments: Sequence[Any]) -> Any:
    """One native object that searches segments one after the other, or None where some are not native."""
    pairs = [(part.segment, part.tables) if isinstance(part, Multi) else (part, None) for part in segments]
    if not all(type(segment) is type(empty) and hasattr(segment, "sum_words") for segment, _ in pairs):
        return None
    return backend.module().Parts(empty, pairs)


def build(
    segment: Any,
    threads: int,
    *,
    always: bool,
    costs: Costs | None = None,
    tell: Callable[[float], object] | None = None,
) -> Any:
    """Tables over a native segment of whole blocks, with costs measured here and now unless they are known.

    Returns the segment itself where a scan would serve nearly all queries like its own codes, asked one at a time,
    unless ``always``: where that is plain, nothing is built. ``tell`` is told which share of the building is done, and
    ends it by raising.
    """
    queries = _sample(segment)
    if not always and _hopeless(segment, queries[:_ASKED], threads):
        return segment
    tables = backend.module().Tables(segment, 0, threads, tell)
    if costs is None:
        costs = _measure(segment, tables, queries)
    else:
        tables.set_costs(*costs)
    met = np.zeros(4, np.uint64)
    for query in queries[:_ASKED]:
        tables.search(segment, query[None], _K, None, 1, met)
    if not always and met[3] > _MOST_HANDED_OVER * _ASKED:
        return segment
    return Multi(segment, tables, costs)


def _hopeless(segment: Any, queries: Codes, threads: int) -> bool:
    """Whether nearly all queries have their neighbours so far away that lookups alone take longer than a scan."""
    near, _ = segment.search(queries, _K, None, threads)
    scan = min(_seconds(lambda: segment.search(queries[:1], _K, None, 1)) for _ in range(3))
    few = segment.read(np.linspace(0, len(segment) - 1, _DISTINCT).astype(np.int64))
    distinct = len(np.unique(few, axis=0)) / _DISTINCT  # copies are looked up once, in more and shorter chunks
    candidate, costs = _candidate(segment.bits), []
    for n in {len(segment)} | {
        max(1, int(len(segment) * distinct) // fewer) for fewer in (1, 8, 64) if distinct < 0.95
    }:
        chunks = backend.module().Tables.size_of(n, segment.bits, 0, 1)[0]
        one = _LEAST_LOOKUP + candidate * n / 2 ** -(-segment.bits // chunks)
        costs.append([one * _lookups(distance, segment.bits, chunks) for distance in near[:, -1].tolist()])
    dear = np.array(costs).min(axis=0) > scan
    return bool(dear.mean() > _MOST_HANDED_OVER)


def _lookups(distance: int, bits: int, chunks: int) -> int:
    """Lookups until everything within a distance has been met."""
    chunks = min(chunks, bits)
    steps, length = min(distance, bits) + 1, bits // chunks
    whole, rest = divmod(steps, chunks)  # every chunk within whole - 1 bits, some within one more
    return chunks * sum(math.comb(length, r) for r in range(whole)) + rest * math.comb(length, whole)


def _sample(segment: Any) -> Codes:
    """Codes of the segment with a few bits flipped; the same for the same segment."""
    rng = np.random.default_rng(0)
    queries = segment.read(np.sort(rng.integers(0, len(segment), _SAMPLES)))
    for _ in range(_FLIPPED):
        bits = rng.integers(0, segment.bits, _SAMPLES)
        queries[np.arange(_SAMPLES), bits // 8] ^= (1 << bits % 8).astype(np.uint8)
    return queries


def _measure(segment: Any, tables: Any, queries: Codes) -> Costs:
    """Set and return what a lookup, a candidate, a hit and a scanned code cost on this machine, in ns of one thread."""
    part = segment.part(0, min(len(segment) // BLOCK, _SCANNED))
    many = _seconds(lambda: part.search(queries, _K, None, 1)) / (len(queries) * len(part))
    one = min(_seconds(lambda: segment.search(queries[:1], _K, None, 1)) for _ in range(3)) / len(segment)
    candidate = _candidate(segment.bits)
    tables.set_costs(1.0, 1e9 * candidate, 1.0, _PRICELESS, _PRICELESS)
    # Codes of no kind find next to nothing, so that their time is that of lookups; like codes find much.
    far = np.random.default_rng(1).integers(0, 256, (_FAR, queries.shape[1]), dtype=np.uint8)
    if segment.bits % 8:
        far[:, -1] &= (1 << segment.bits % 8) - 1
    trials = [_looked_up(tables, segment, far, 3 * tables.chunks - 1)]
    trials += [_looked_up(tables, segment, queries, radius) for radius in (0, 2 * tables.chunks - 1)]
    lookup, hit = _shares(np.array(trials), candidate)
    costs = Costs(*(1e9 * float(cost) for cost in (lookup, candidate, hit, one, many)))
    tables.set_costs(*costs)
    return costs


def _candidate(bits: int) -> float:
    """Seconds for one of many codes in a bucket, which are compared as whole words."""
    rows = np.zeros((1 << 14, (bits + 63) // 64 * 8), np.uint8)
    return min(_seconds(lambda: backend.module().distances(rows[:1], rows, 1)) for _ in range(5)) / len(rows)


def _looked_up(tables: Any, segment: Any, queries: Codes, radius: int) -> tuple[float, float, float, float]:
    """Lookups, candidates, results (and one a query, for what a query costs by itself), and the seconds they took."""
    met = np.zeros(4, np.uint64)
    begin = time.thread_time()
    offsets, _, _ = tables.range_search(segment, queries, min(radius, segment.bits), None, 1, met)
    return met[0], met[1], offsets[-1] + len(queries), time.thread_time() - begin


def _shares(trials: NDArray[np.float64], candidate: float) -> tuple[float, float]:
    """Seconds of a lookup and of a result that explain the trials best, each at least a twentieth of the whole."""
    lookups, candidates, results, spent = trials.T
    left = np.maximum(spent - candidate * candidates, spent / 20)
    weights = 1 / left  # so that a short trial says as much as a long one
    parts = np.stack([lookups, results], axis=1) * weights[:, None]
    lookup, result = np.linalg.lstsq(parts, left * weights)[0]
    least = (left / np.stack([lookups, results])).min(axis=1) / 20
    if lookup < least[0]:
        lookup, result = least[0], np.median((left - least[0] * lookups) / results)
    elif result < least[1]:
        lookup, result = np.median((left - least[1] * results) / lookups), least[1]
    return max(lookup, least[0]), max(result, least[1])


def _seconds(call: Callable[[], object]) -> float:
    """Processor time of this thread in one call."""
    begin = time.thread_time()
    call()
    return time.thread_time() - begin
