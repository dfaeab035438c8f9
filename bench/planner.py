"""Whether a search through tables ever takes much longer than the better of lookups alone and the scan alone.

    python bench/planner.py [--n 10_000 100_000 1_000_000] [--bits 32 64 128 256] [--kinds uniform clustered ...]
    python bench/planner.py --draw

Prints a Markdown table with a row for each kind of codes, width and number: how often lookups alone beat the scan
among the tasks (k of 1 to 1000, radii of 1 to 24), and the planner's time over that of the better one, at its worst and
in the mean (geometric), for a batch of 64 queries and for one at a time. One process, one thread, processor time,
the best of five rounds in which the ways take turns, after the planner has met 1024 queries; queries are new codes of
the same source. What takes less than 30 microseconds is not compared.

The times go to ``bench/results/planner.json``, beside those of other codes that are there already; ``--draw`` makes
figures of all: how far the planner is from the better way, and from how many codes on lookups beat the scan.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from time import thread_time

import numpy as np
from benchmarks.common import processor, size
from benchmarks.sources import make_source
from planner_figures import draw

from udsph import hamming
from udsph.files import write_json
from udsph.hamming import backend
from udsph.hamming.multi import Multi, build

BATCH, SINGLES = 64, 16
ROUNDS, REPEATS = 5, 2
NEIGHBOURS, RADII = (1, 10, 100, 1000), (1, 2, 4, 8, 16, 24)
STEP = 1 << 18  # codes that are made at a time
LEARNT = 1024  # queries from which the planner learns
HOPELESS = 5.0  # times the scan: lookups that take longer for a few queries are not timed for all
NOTHING = 30e-6  # seconds
PRICELESS = 1e15  # ns: the scan takes over nothing

Task = Callable[[object, np.ndarray], object]


RESULTS = Path(__file__).parent / "results" / "planner.json"


def row(kind: str, bits: int, n: int) -> str:
    """The row for one source; its times are kept."""
    source, rng = make_source(kind, bits), np.random.default_rng(0)
    flat = hamming.FlatIndex(bits)
    for begin in range(0, n, STEP):
        flat.add(source(rng, min(STEP, n - begin)))
    snapshot = flat._snapshot
    segment = snapshot.empty.joined(list(snapshot.segments)).part(0, n // 512)
    planned = build(segment, 1, always=True)
    alone = Multi(segment, backend.module().Tables(segment, planned.tables.chunks, 1))
    alone.tables.set_costs(20.0, 1.0, 50.0, PRICELESS, PRICELESS)
    queries, cells = source(np.random.default_rng(1), BATCH), []
    for step in (BATCH, 1):
        found = {name: times(task, segment, alone, planned, queries, step) for name, task in tasks().items()}
        keep(f"{kind} {bits} {n} {'batch' if step > 1 else 'one'}", found)
        found = {name: t for name, t in found.items() if min(t) * step > NOTHING}
        ratios = {name: t[2] / min(t[:2]) for name, t in found.items()}
        worst = max(ratios, key=ratios.__getitem__, default=None)
        said = "-" if worst is None else f"{ratios[worst]:.2f} ({worst})"
        mean = "-" if worst is None else f"{np.exp(np.mean(np.log(list(ratios.values())))):.2f}"
        cells.append(f"{sum(t[1] < t[0] for t in found.values())} of {len(found)} | {said} | {mean}")
    return f"| {kind} {bits}, {n:,} | {' | '.join(cells)} |"


def keep(name: str, found: dict[str, list[float]]) -> None:
    """Microseconds a query of the scan, of lookups (None: hopeless), and of the planner, by task."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept[name] = {task: [None if np.isinf(t) else round(1e6 * t, 2) for t in each] for task, each in found.items()}
    write_json(RESULTS, kept)


def tasks() -> dict[str, Task]:
    """What is asked, by name."""

    def nearest(k: int, segment, queries):
        return segment.search(queries, k, None, 1)

    def within(radius: int, segment, queries):
        return segment.range_search(queries, radius, None, 1)

    return {f"k={k}": functools.partial(nearest, k) for k in NEIGHBOURS} | {
        f"radius {r}": functools.partial(within, r) for r in RADII
    }


def times(task: Task, scan: object, alone: object, planned: object, queries: np.ndarray, step: int) -> list[float]:
    """Seconds a query of the scan, of lookups alone (or infinite where hopeless), of the planner."""
    parts = [queries[i : i + step] for i in range(0, step if step > 1 else SINGLES, step)]
    few = queries[: min(step, 2)]
    for i in range(0, LEARNT, step):
        task(planned, queries[i % BATCH : i % BATCH + step])
    hopeless = best(task, alone, few) / len(few) > HOPELESS * best(task, scan, parts[0]) / step
    ways = (scan, planned) if hopeless else (scan, alone, planned)
    least = np.full((len(ways), len(parts)), np.inf)
    for _ in range(ROUNDS):  # in turns: the machine is not as fast at any time
        for (way, segment), (place, part) in itertools.product(enumerate(ways), enumerate(parts)):
            least[way, place] = min(least[way, place], best(task, segment, part))
    scanned, *looked_up, found = np.median(least, axis=1) / step
    return [scanned, looked_up[0] if looked_up else float("inf"), found]


def best(task: Task, segment: object, part: np.ndarray) -> float:
    """The best seconds of a few calls one after the other, as the first may find another way's memory in the cache."""
    spent = []
    for _ in range(REPEATS):
        began = thread_time()
        task(segment, part)
        spent.append(thread_time() - began)
    return min(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--bits", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--kinds", nargs="+", default=["uniform", "clustered", "learned", "collapsed"])
    parser.add_argument("--draw", action="store_true")
    given = parser.parse_args()
    if given.draw:
        draw(json.loads(RESULTS.read_text()), RESULTS.parent)
        return
    print(f"{processor()}, level {hamming.simd_level()}.\n")
    print("| codes | batch: lookups win | worst | mean | one: lookups win | worst | mean |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind, bits, n in itertools.product(given.kinds, given.bits, given.n):
        print(row(kind, bits, size(n)), flush=True)


if __name__ == "__main__":
    main()
