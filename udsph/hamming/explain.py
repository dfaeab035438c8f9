"""What a search does and why: which codes are scanned, looked up or read one by one, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.apart import has_own_filters
from udsph.hamming.filters import BLOCK
from udsph.hamming.ids import Unknown
from udsph.hamming.multi import Costs, Multi
from udsph.hamming.segments import Segment, Snapshot
from udsph.hamming.where import Few

Codes = NDArray[np.uint8]

_BATCH = 8  # queries from which a scan shares tables among them
_SAMPLE = 1 << 18  # codes that are scanned to measure a scan
_BITS_PER_THREAD = 1 << 27  # compared bits that are worth a thread (csrc/hamming/job.cpp)

# Milliseconds of a query, and of a query and code, measured once in a process.
_scan_costs: dict[tuple[str, str, int, bool], tuple[float, float]] = {}


class Explanation(dict[str, Any]):
    """What a search did: a dict, and a text for a reader.

    Keys: ``queries``, ``k`` or ``radius``, ``codes``, ``bits``, ``threads``, ``allowed`` (codes that the filter lets
    through, or None), ``estimated_ms``, ``measured_ms`` and ``parts``, one dict per group of codes that is searched in
    one way: ``how`` ("scan", "tables" or "few"), ``codes``, ``why``, ``estimated_ms``, ``measured_ms``; of tables also
    ``chunks``, ``scan_ms`` (what a scan would take, estimated), ``lookups``, ``candidates`` and ``hits`` per query, and
    ``handed_over``, the queries that a scan answered.
    """

    def __str__(self) -> str:
        wanted = f"{self['k']} nearest" if "k" in self else f"all within {self['radius']}"
        lines = [
            f"{wanted} of {_count(self['queries'], 'query', 'queries')} among {_count(self['codes'], 'code', 'codes')} "
            f"of {self['bits']} bits, {_count(self['threads'], 'thread', 'threads')}: {_times(self)}"
        ]
        if self["allowed"] is not None:
            lines.append(f"  the filter lets {self['allowed']:,} codes through")
        for part in self["parts"]:
            how = {"scan": "scan of", "few": "read one by one:", "tables": f"{part.get('chunks')} tables over"}[
                part["how"]
            ]
            lines.append(f"  {how} {_count(part['codes'], 'code', 'codes')}: {_times(part)}")
            if part["how"] == "tables":
                lines.append(
                    f"    {part['lookups']:,.0f} lookups, {part['candidates']:,.0f} codes compared and "
                    f"{part['hits']:,.0f} hits a query; {part['handed_over']} of {self['queries']} queries were left "
                    f"to a scan, which would take {part['scan_ms']:.3g} ms for all"
                )
            lines.append(f"    because {part['why']}")
        return "\n".join(lines)


def explain(
    snapshot: Snapshot, queries: Codes, wanted: dict[str, int], where: Any, threads: int, unknown: Unknown, why: str
) -> Explanation:
    """Search part by part, with a look at the clock; ``wanted`` has k or radius, ``why`` says why codes are scanned."""
    rows = np.atleast_2d(queries)
    if where is not None and has_own_filters(where):
        raise InputError("explain takes one filter for all queries, where= is a list of filters")
    allowed = snapshot.allowed(where, unknown)
    told = Explanation(queries=len(rows), **wanted, codes=len(snapshot), bits=snapshot.bits, threads=threads)
    count: int | None = None
    if isinstance(allowed, Few):
        count, parts = len(allowed.positions), [_few(snapshot, rows, wanted, allowed, threads)]
    else:
        if where is not None and allowed is not None:
            count = int(np.unpackbits(allowed.view(np.uint8), count=snapshot.n, bitorder="little").sum())
        parts = [
            _tables(part, rows, wanted, words, threads, why)
            if isinstance(part, Multi)
            else _scan(part, rows, wanted, words, threads, snapshot.empty, _why_scanned(snapshot, why))
            for part, words in snapshot.parts(allowed)
        ]
    told["allowed"] = count
    told["estimated_ms"] = sum(part["estimated_ms"] for part in parts)
    told["measured_ms"] = sum(part["measured_ms"] for part in parts)
    told["parts"] = parts
    return told


def _why_scanned(snapshot: Snapshot, why: str) -> str:
    tables = any(isinstance(part, Multi) for part, _ in snapshot.searched())
    return "they came after optimize, or are no whole block" if tables else why


def _few(snapshot: Snapshot, rows: Codes, wanted: dict[str, int], few: Few, threads: int) -> dict[str, Any]:
    def search() -> None:
        _searched(snapshot.segment_of(few.positions), rows, wanted, None, threads)

    one = np.zeros(1, np.int64)
    read = min(_ms(lambda: snapshot.read_positions(one)) for _ in range(3)) if len(snapshot) else 0.0
    return {
        "how": "few",
        "codes": len(few.positions),
        "why": f"the filter names so few of {snapshot.n:,} codes",
        "estimated_ms": read * len(few.positions)
        + _scan_ms(snapshot.empty, snapshot.empty, len(rows), len(few.positions), threads),
        "measured_ms": _ms(search),
    }


def _scan(
    part: Segment, rows: Codes, wanted: dict[str, int], words: Any, threads: int, empty: Segment, why: str
) -> dict[str, Any]:
    return {
        "how": "scan",
        "codes": len(part),
        "why": why,
        "estimated_ms": _scan_ms(part, empty, len(rows), len(part), threads),
        "measured_ms": _ms(lambda: _searched(part, rows, wanted, words, threads)),
    }


def _tables(part: Multi, rows: Codes, wanted: dict[str, int], words: Any, threads: int, why: str) -> dict[str, Any]:
    met = np.zeros(4, np.uint64)
    call = part.tables.search if "k" in wanted else part.tables.range_search
    spent = _ms(lambda: call(part.segment, rows, next(iter(wanted.values())), words, threads, met))
    costs = part.costs or Costs(0, 0, 0, 0, 0)
    scan = costs.scan_one if len(rows) < _BATCH else costs.scan_many
    scan_ms = scan * len(part) * len(rows) / _threads(len(rows), len(part), part.bits, threads) / 1e6
    lookups, candidates, hits, handed = (float(count) for count in met)
    looked_up = (lookups * costs.lookup + candidates * costs.candidate + hits * costs.hit) / 1e6
    queries = max(len(rows), 1)
    return {
        "how": "tables",
        "codes": len(part),
        "why": why,
        "chunks": part.tables.chunks,
        "estimated_ms": looked_up / min(threads, queries) + scan_ms * handed / queries,
        "measured_ms": spent,
        "scan_ms": scan_ms,
        "lookups": lookups / queries,
        "candidates": candidates / queries,
        "hits": hits / queries,
        "handed_over": int(handed),
    }


def _searched(part: Any, rows: Codes, wanted: dict[str, int], words: Any, threads: int) -> None:
    if "k" in wanted:
        part.search(rows, wanted["k"], words, threads)
    else:
        part.range_search(rows, wanted["radius"], words, threads)


def _scan_ms(segment: Segment, empty: Segment, queries: int, codes: int, threads: int) -> float:
    """What a scan takes, by what one took that was measured in this process."""
    if queries == 0 or codes == 0:
        return 0.0
    many = queries >= _BATCH
    key = backend.name(), backend.simd_level(), empty.bits, many
    if key not in _scan_costs:
        width = (empty.bits + 7) // 8
        if len(segment) >= 4 * BLOCK:
            rows = segment.read(np.arange(min(len(segment), _SAMPLE)))
        else:
            rows = np.random.default_rng(0).integers(0, 256, (4 * BLOCK, width), dtype=np.uint8)
            if empty.bits % 8:
                rows[:, -1] &= (1 << empty.bits % 8) - 1
        sample, asked = empty.extended(rows), np.repeat(rows[:1], 64 if many else 1, axis=0)
        least = _ms_per_query(empty.extended(rows[:BLOCK]), asked)
        whole = _ms_per_query(sample, asked)
        code = max(whole - least, 0.0) / (len(rows) - BLOCK)
        _scan_costs[key] = max(least - BLOCK * code, 0.0), code
    each, code = _scan_costs[key]
    return queries * (each + codes * code) / _threads(queries, codes, empty.bits, threads)


def _ms_per_query(segment: Segment, queries: Codes) -> float:
    return min(_ms(lambda: segment.search(queries, 10, None, 1)) for _ in range(3)) / len(queries)


def _threads(queries: int, codes: int, bits: int, threads: int) -> int:
    """Threads that are worth starting."""
    return max(1, min(threads, queries * codes * bits // _BITS_PER_THREAD))


def _ms(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begin)


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


def _times(part: dict[str, Any]) -> str:
    return f"{part['measured_ms']:.3g} ms measured, {part['estimated_ms']:.3g} estimated"
