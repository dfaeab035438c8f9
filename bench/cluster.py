"""What a sharded index costs and survives, on a Ray cluster of this machine: the figures of docs/distributed.md.

    tests/distributed/alone.sh python bench/cluster.py --output bench/results/cluster.json [CASE ...]

Ratios are of calls that take turns. The namespaces of ``alone.sh`` keep the cluster away from the network, and end it
with the command. ``--small`` tries every case on toy sizes.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import resource
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from udsph import evaluation, files
from udsph.distributed import ShardedIndex, connect, evaluate
from udsph.hamming import FlatIndex, Index, load

STORE = 300 << 20
_AFTER = 20  # batches in which the loss of a node is looked for
CASES = ("overhead", "scaling", "one", "tables", "shards", "evaluate", "kills", "large")


def codes_of(n: int, seed: int, bits: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, bits // 8), dtype=np.uint8)


def files_of(folder: Path, shards: int, n: int) -> list[Path]:
    """Index files of n uniform codes each."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(shards):
        paths.append(folder / f"{number:02}.udsph")
        if not paths[-1].exists():
            index = FlatIndex(64)
            index.add(codes_of(n, number))
            index.save(paths[-1])
    return paths


def seconds(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, float]]:
    """Wall-clock seconds of calls that take turns: the least and the median of each."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - begin)
    return {name: {"least": min(all), "median": statistics.median(all)} for name, all in taken.items()}


def merged(paths: list[Path]) -> FlatIndex:
    """One index of all files, which lies in memory."""
    whole = FlatIndex(64)
    for path in paths:
        whole.merge(load(path, verify=False))
    return whole


def equal(ours: Any, theirs: Any) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


def overhead(folder: Path, small: bool) -> dict[str, Any]:
    """A batch of 1,000 queries over 4 shards against one process that holds all codes, with as many threads."""
    paths = files_of(folder / "overhead", 4, 50_000 if small else 5_000_000)
    queries, whole = codes_of(1000, 99), merged(paths)
    with ShardedIndex.open(paths, threads=1, verify=False) as index:
        calls = {
            "one process": lambda: whole.search(queries, 10, threads=2),
            "4 shards": lambda: index.search(queries, 10),
        }
        taken = seconds(calls, 7)
        return taken | {"codes": len(index), "equal": equal(index.search(queries, 10), whole.search(queries, 10))}


def scaling(folder: Path, small: bool) -> dict[str, Any]:
    """The same batches over 2 shards on 2 processors and 1 shard on 1; beside them one process with 2 threads and 1."""
    paths = files_of(folder / "scaling", 2, 50_000 if small else 5_000_000)
    whole = folder / "scaling-whole.udsph"
    index = merged(paths)
    index.save(whole)
    queries = codes_of(4000, 98)
    with (
        ShardedIndex.open(paths, threads=1, verify=False) as two,
        ShardedIndex.open(whole, shards=1, threads=1, verify=False) as one,
    ):
        calls = {"1 shard": lambda: one.search(queries, 10), "2 shards": lambda: two.search(queries, 10)}
        calls |= {f"{n} threads": lambda n=n: index.search(queries, 10, threads=n) for n in (1, 2)}
        halves = [load(path, verify=False) for path in paths]  # each begins without a limit, which costs something
        calls |= {"1 thread, half after half": lambda: [half.search(queries, 10, threads=1) for half in halves]}
        return seconds(calls, 5) | {"equal": equal(one.search(queries, 10), two.search(queries, 10))}


def one(folder: Path, small: bool) -> dict[str, Any]:
    """One query over 4 shards, against the slowest shard asked by itself."""
    paths = files_of(folder / "one", 4, 50_000 if small else 10_000_000)
    query = codes_of(1, 97)[0]
    with ShardedIndex.open(paths, threads=1, verify=False) as index:
        shards = [ShardedIndex.open(path, threads=1, verify=False) for path in paths]
        calls: dict[str, Callable[[], Any]] = {"4 shards": lambda: index.search(query, 10)}
        calls |= {f"shard {n}": lambda s=s: s.search(query, 10) for n, s in enumerate(shards, 1)}
        local = [load(path, verify=False) for path in paths]
        calls |= {f"file {n}": lambda s=s: s.search(query, 10, threads=1) for n, s in enumerate(local, 1)}
        found = seconds(calls, 15)
        for shard in shards:
            shard.close()
        return found


def tables(folder: Path, small: bool) -> dict[str, Any]:
    """One query whose neighbours are near, over 4 shards with tables, as whoever asks one by one has them.

    Codes come in groups of 25 that differ by a few bits, and queries are some of them. Beside it: each shard by itself,
    one process with tables, and one that scans.
    """
    n = 25 * (2_000 if small else 100_000)  # codes of a file
    paths, rng, whole = [], np.random.default_rng(91), Index(64)
    for number in range(4):
        rows = np.repeat(codes_of(n // 25, 90 + number), 25, axis=0)
        for _ in range(3):
            rows[np.arange(n), rng.integers(0, 8, n)] ^= (1 << rng.integers(0, 8, n)).astype(np.uint8)
        part = FlatIndex(64)
        part.add(rows)
        paths.append(folder / f"tables-{number}.udsph")
        part.save(paths[-1])
        whole.add(rows)
    queries, scan = rows[rng.integers(0, n, 64)], merged(paths)
    whole.optimize(threads=2)
    asked = itertools.cycle(queries)
    with ShardedIndex.open(paths, threads=1, verify=False) as index:
        begin = time.perf_counter()
        index.optimize()
        built = time.perf_counter() - begin
        alone = [ShardedIndex.open(path, threads=1, verify=False) for path in paths]
        for shard in alone:
            shard.optimize()
        calls: dict[str, Callable[[], Any]] = {"4 shards": lambda: index.search(next(asked), 10)}
        calls |= {f"shard {n}": lambda s=s: s.search(next(asked), 10) for n, s in enumerate(alone, 1)}
        calls |= {"one process": lambda: whole.search(next(asked), 10, threads=1)}
        calls |= {"one process, scan": lambda: scan.search(next(asked), 10, threads=2)}
        found = seconds(calls, 64)
        alike = equal(index.search(queries, 10), scan.search(queries, 10))
        for shard in alone:
            shard.close()
        return found | {"codes": len(index), "seconds to build": built, "equal": alike}


def shards(folder: Path, small: bool) -> dict[str, Any]:
    """The same codes in 1 to 8 shards: what the cost model is checked against."""
    n = 400_000 if small else 8_000_000
    paths = files_of(folder / "shards", 1, n)
    queries, found = codes_of(1000, 96), {}
    for count in (1, 2, 4, 8):
        with ShardedIndex.open(paths[0], shards=count, threads=1, verify=False) as index:
            calls = {"batch": lambda i=index: i.search(queries, 10), "one": lambda i=index: i.search(queries[0], 10)}
            found[str(count)] = seconds(calls, 5)
    return found | {"codes": n, "queries": 1000, "k": 10}


def evaluating(folder: Path, small: bool) -> dict[str, Any]:
    """Evaluation over 8 pieces against one process with as many threads."""
    n, nq = (200_000, 200) if small else (10_000_000, 5000)
    rng = np.random.default_rng(5)
    query, database = codes_of(nq, 95), codes_of(n, 94)
    few, labels = rng.integers(0, 50, nq), rng.integers(0, 50, n)
    metrics = ["map", "precision", "recall"]
    evaluation.evaluate(query[:9], database[:999], few[:9], labels[:999], metrics=metrics)  # metrics are compiled once
    evaluate(query[:9], database[:200_000], few[:9], labels[:200_000], metrics=metrics, chunks=2)
    begin = time.perf_counter()
    theirs = evaluation.evaluate(query, database, few, labels, metrics=metrics, threads=2)
    middle = time.perf_counter()
    ours = evaluate(query, database, few, labels, metrics=metrics, chunks=8)
    end = time.perf_counter()
    same = all(np.array_equal(ours.per_query[key], theirs.per_query[key]) for key in theirs.per_query)
    return {"queries": nq, "items": n, "one process": middle - begin, "8 pieces": end - middle, "equal": same}


def kills(folder: Path, small: bool, cluster: Any = None) -> dict[str, Any]:
    """Batches while processes are killed at random, and in each round a node that holds half of the shards."""
    paths = files_of(folder / "kills", 4, 20_000)
    queries, whole = codes_of(50, 93), merged(paths)
    wanted, rng = whole.search(queries, 10), np.random.default_rng(1)
    rounds, batches, processes = (1, 30, 3) if small else (10, 200, 10)
    taken: dict[str, list[float]] = {"usual": [], "process killed": [], "node killed": []}
    wrong = 0
    for _ in range(rounds):
        node = cluster.add_node(num_cpus=1, object_store_memory=STORE // 4)
        since = batches  # since the node was killed: what is lost with it may be noticed some batches later
        doomed = set(rng.permutation(batches)[:processes].tolist()) - {batches // 2}
        with ShardedIndex.open(paths, threads=1) as index:
            for batch in range(batches):
                what = "usual"
                if batch == batches // 2:
                    what, since = "node killed", 0
                    cluster.remove_node(node, allow_graceful=False)
                elif batch in doomed:
                    what = "process killed"
                    os.kill(int(rng.choice([facts.process for facts in index._snapshot.calls.open()])), signal.SIGKILL)
                begin = time.perf_counter()
                wrong += not equal(index.search(queries, 10), wanted)
                spent = time.perf_counter() - begin
                if what == "usual" and since < _AFTER:
                    taken["node killed"][-1] = max(taken["node killed"][-1], spent)
                taken[what].append(spent)
                since += 1
    found: dict[str, Any] = {"batches": rounds * batches, "answered": sum(map(len, taken.values())), "wrong": wrong}
    for name, all in taken.items():
        found[name] = {"count": len(all), "median": statistics.median(all), "most": max(all)}
    return found


def large(folder: Path, small: bool) -> dict[str, Any]:
    """200 million codes in 8 shards: made, opened, searched; memory of this process before and after."""
    n = 50_000 if small else 25_000_000
    paths = files_of(folder / "large", 8, n)
    queries = codes_of(2000, 92)
    with ShardedIndex.open(paths, threads=1, verify=False) as index:
        index.search(queries[:100], 10)
        before, begin = _resident(), time.perf_counter()
        for _ in range(2):
            index.search(queries, 10)
        taken = (time.perf_counter() - begin) / 2
        return {
            "codes": len(index),
            "seconds for 2,000 queries": taken,
            "resident MB before": before / 1e6,
            "resident MB after": _resident() / 1e6,
            "most MB ever": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        }


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", default=CASES, help=f"of {', '.join(CASES)}")
    parser.add_argument("--output", type=Path, help="JSON, to which these cases are added")
    parser.add_argument("--folder", type=Path, help="for codes, which are kept there; by default they are removed")
    parser.add_argument("--small", action="store_true", help="toy sizes")
    arguments = parser.parse_args()
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    folder = arguments.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "object_store_memory": STORE, "include_dashboard": False},
    )
    known = files.read_json(arguments.output) if arguments.output and arguments.output.exists() else {}
    work = {
        "overhead": overhead, "scaling": scaling, "one": one, "tables": tables, "shards": shards,
        "evaluate": evaluating, "large": large,
    }  # fmt: skip
    try:
        connect(made.address)
        for case in arguments.cases:
            if case == "kills":
                found = kills(folder, arguments.small, made)
            else:
                found = work[case](folder, arguments.small)
            load_average = os.getloadavg()[0]
            known[case] = found | {"date": str(datetime.date.today()), "load average": load_average}
            print(json.dumps({case: known[case]}, indent=1), flush=True)
            if arguments.output:
                files.write_json(arguments.output, known)
    finally:
        import ray

        ray.shutdown()
        made.shutdown()
        if arguments.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
