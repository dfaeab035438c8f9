"""What a cluster must be for so many codes and queries: rates measured here, a model of them, a simulation of the rest.

    python bench/cluster_model.py --output bench/results            rates of this machine, table and figure
    python bench/cluster_model.py --output bench/results --runs bench/results/cluster.json
                                                                    and the model beside what bench/cluster.py measured

Measured: nanoseconds a code of a scan for many queries and for one, costs of lookups in tables, of merging. Given: what
a node is (``--cores``, ``--memory``, ``--network``) and how often it is slow or lost. Everything beyond this machine is
extrapolated, and the table says so. Rates are of processor time, so that other work here matters little.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from udsph import files, plotting
from udsph.hamming import FlatIndex, Index
from udsph.hamming.multi import Multi
from udsph.hamming.results import merge_search

WIDTHS = (64, 128, 256, 512, 1024)
SIZES = (10**9, 10**10, 10**11, 10**12)
RATES = (1, 100, 10_000)  # queries a second
K = 10
BATCH = 1000
BUSY = 0.7  # of a node's processors, beyond which queries queue up
NAME = "cluster-model"


class Rates(NamedTuple):
    """Of one width, in ns of one thread."""

    many: float  # a code and a query of a batch
    one: float  # a code of a scan for one query
    lookup: float
    candidate: float


@dataclass(frozen=True)
class Node:
    """A machine, and what goes wrong with it."""

    cores: int = 32
    memory: float = 256e9  # bytes
    network: float = 3.1e9  # bytes a second: 25 GbE
    read: float = 200e9  # bytes a second from memory, by all cores
    call: float = 1.5e-3  # s of a call to a shard, there and back
    merge: float = 25e-9  # s of one neighbour of one query of one shard
    slow: float = 0.001  # share of calls that are stragglers
    slower: float = 10.0  # times as long as others
    lost: float = 1 / (90 * 86400)  # failures a second: one in 90 days
    recovery: float = 30.0  # s until a lost node's shard answers again from a copy on disk


def processor_time(call: Callable[[], Any], least: float = 0.2) -> float:
    """Seconds of one call, the best of several."""
    best, spent = math.inf, 0.0
    while spent < least:
        begin = time.thread_time()
        call()
        taken = time.thread_time() - begin
        best, spent = min(best, taken), spent + taken
    return best


def measured(bits: int, small: bool) -> Rates:
    """Rates of this machine."""
    n = (1 << 16 if small else 1 << 23) * 64 // bits
    codes = np.random.default_rng(0).integers(0, 256, (n, bits // 8), dtype=np.uint8)
    queries = np.random.default_rng(1).integers(0, 256, (200, bits // 8), dtype=np.uint8)
    flat = FlatIndex(bits)
    flat.add(codes)
    many = processor_time(lambda: flat.search(queries, K, threads=1)) / (n * len(queries))
    one = processor_time(lambda: flat.search(queries[0], K, threads=1)) / n
    tables = Index(bits, kind="multi")
    tables.add(codes[: 1 << 19])
    tables.optimize(threads=1)
    costs = next(part.costs for part in tables._snapshot.segments if isinstance(part, Multi))
    assert costs is not None
    return Rates(1e9 * many, 1e9 * one, costs.lookup, costs.candidate)


def merging(small: bool) -> float:
    """Seconds of one neighbour of one query of one shard."""
    rng = np.random.default_rng(0)
    near = np.sort(rng.integers(0, 20, (BATCH, K)).astype(np.int32), axis=1)
    part = near, rng.integers(0, 1 << 20, (BATCH, K))
    parts = 4 if small else 32
    bases = list(range(0, parts << 20, 1 << 20))
    return processor_time(lambda: merge_search([part] * parts, bases)) / (parts * BATCH * K)


def radius_of(n: float, bits: int) -> int:
    """The distance of the k-th of n uniform codes: the first ball that holds k of them."""
    log_wanted, total = math.log2(K / n) + bits, 0.0
    for radius in range(bits + 1):
        total += float(math.comb(bits, radius))
        if math.log2(total) >= log_wanted:
            return radius
    return bits


def lookups(n: float, bits: int, radius: int, rates: Rates) -> float:
    """Seconds of one query in tables over n codes whose k-th neighbour is at a radius: by the best number of chunks."""
    best = math.inf
    for chunks in range(1, bits // 8 + 1):
        width, within = bits / chunks, radius // chunks
        if width > 40:
            continue
        probes = chunks * sum(math.comb(round(width), flips) for flips in range(within + 1))
        candidates = probes * n / 2**width
        best = min(best, 1e-9 * (probes * rates.lookup + candidates * rates.candidate))
    return best


def batch_time(n: float, shards: int, processors: int, node: Node, rates: Rates, queries: int) -> float:
    """Seconds of a batch over shards of one machine or of many, each of one thread, on so many processors."""
    rate = rates.many if queries > 1 else rates.one
    waves = math.ceil(shards / processors)
    scan = 1e-9 * rate * queries * (n / shards) * waves
    merge = node.merge * shards * queries * K
    return node.call + scan + merge


@dataclass(frozen=True)
class Plan:
    """A cluster for a load."""

    nodes: int
    bound: str
    p50: float
    p99: float


def planned(n: int, bits: int, rate: float, node: Node, rates: Rates, draws: int, replicas: int) -> Plan:
    """Nodes, and the latency of single queries by simulation.

    Every query goes to one replica of every node's shard; queries that wait are answered as one batch, whose codes are
    read once. A straggler is overtaken by its replica after twice the usual time, where there is one.
    """
    by_memory = n * bits / 8 / (0.8 * node.memory)
    by_scan = rate * n * 1e-9 * rates.many / (node.cores * BUSY)
    shards = max(1, math.ceil(max(by_memory, by_scan / replicas)))
    bound = "queries" if by_scan / replicas > by_memory else "memory"
    alone = max(1e-9 * rates.one / node.cores, bits / 8 / node.read) * (n / shards)
    together = 1e-9 * rates.many * (n / shards) / node.cores
    waiting = max(1.0, rate / replicas * alone)  # queries of one batch, once they come faster than one by one
    service = max(alone, waiting * together)
    rng = np.random.default_rng(0)
    slow = rng.random((draws, min(shards, 4096))) < node.slow
    usual = service * rng.lognormal(0, 0.1, slow.shape)
    lost = rng.random(slow.shape) < node.lost * (node.recovery + service)
    taken = np.where(slow, usual * node.slower, usual)
    if replicas > 1:
        again = 2 * service + service * rng.lognormal(0, 0.1, slow.shape)
        taken = np.minimum(np.where(lost, np.inf, taken), again)
    else:
        taken = np.where(lost, rng.random(slow.shape) * node.recovery + taken, taken)
    wait = rng.random(draws) * service  # until the batch before has left
    network = shards * (bits / 8 + 12 * K) / node.network
    fan = math.ceil(math.log(max(2, shards), 8))
    merge = fan * (node.call + 8 * K * node.merge)
    latency = node.call + wait + taken.max(axis=1) + network + merge
    return Plan(shards * replicas, bound, *np.quantile(latency, [0.5, 0.99]).tolist())


def crossing(bits: int, rates: Rates, near: int | None) -> float | None:
    """Codes from which a query is faster by tables than by the scan of one thread; None: within 10^12 never."""
    for exponent in np.arange(4, 12.01, 0.05):
        n = 10**exponent
        radius = radius_of(n, bits) if near is None else near
        if lookups(n, bits, radius, rates) < 1e-9 * rates.one * n:
            return n
    return None


def checked(runs: dict[str, Any], rates: Rates, merge: float) -> list[str]:
    """The model beside the runs of ``bench/cluster.py shards``."""
    known = runs["shards"]
    one = min(known[s]["one"]["least"] for s in ("1", "2"))
    call = max(0.5e-3, one - 1e-9 * rates.one * known["codes"])  # what is left of one query is the call
    node = Node(call=min(call, 20e-3), merge=merge)
    lines = ["| shards | batch of 1,000: model, ms | measured, ms | ratio |", "| ---: | ---: | ---: | ---: |"]
    for shards in ("1", "2", "4", "8"):
        model = batch_time(known["codes"], int(shards), 2, node, rates, known["queries"])
        least = known[shards]["batch"]["least"]
        lines.append(f"| {shards} | {1e3 * model:.0f} | {1e3 * least:.0f} | {least / model:.2f} |")
    about = (
        f"{known['codes']:,} codes of 64 bits, 2 processors, load average {known['load average']:.0f}, {known['date']}"
    )
    return [f"The model and runs on this machine ({about}):", "", *lines, ""]


def clock(seconds: float) -> str:
    return f"{1e3 * seconds:,.1f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def report(rates: dict[int, Rates], node: Node, runs: dict[str, Any], draws: int) -> tuple[str, dict[str, Any]]:
    """The page, and its figures."""
    lines = ["Measured on this machine, one thread:", "", "| bits | scan, ns a code: batch | one query | lookup, ns |"]
    lines.append("| ---: | ---: | ---: | ---: |")
    for bits, r in rates.items():
        lines.append(f"| {bits} | {r.many:.4f} | {r.one:.3f} | {r.lookup:.1f} |")
    lines += ["", f"Merging: {1e9 * node.merge:.1f} ns a neighbour.", ""]
    if "shards" in runs:
        lines += checked(runs, rates[64], node.merge)
    lines += [
        f"Extrapolated: {node.cores} cores, {node.memory / 1e9:.0f} GB of memory read at {node.read / 1e9:.0f} GB/s, a "
        f"network of {node.network / 1e9:.1f} GB/s a node; "
        f"2 replicas; {node.slow:.1%} of calls take {node.slower:.0f} times as long; k = {K}.",
        "",
        "| codes | bits | queries a second | nodes | bound by | p50 | p99 |",
        "| ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    plans: dict[str, Any] = {}
    for n in SIZES:
        for bits, r in rates.items():
            for rate in RATES:
                plan = planned(n, bits, rate, node, r, draws, 2)
                plans[f"{n}/{bits}/{rate}"] = asdict(plan)
                row = f"| 10^{round(math.log10(n))} | {bits} | {rate:,} | {plan.nodes:,} | {plan.bound} "
                lines.append(f"{row}| {clock(plan.p50)} | {clock(plan.p99)} |")
    lines += [
        "", "Codes from which one query is faster by tables than by a scan with one thread (model, not measured):", "",
        "| bits | k-th neighbour of uniform codes | within bits / 16 |", "| ---: | ---: | ---: |",
    ]  # fmt: skip
    cross: dict[int, Any] = {}
    for bits, r in rates.items():
        found = [crossing(bits, r, near) for near in (None, bits // 16)]
        cross[bits] = found
        words = ["beyond 10^12" if n is None else f"{n:.1e}" for n in found]
        lines.append(f"| {bits} | {words[0]} | {words[1]} |")
    return "\n".join(lines) + "\n", {"plans": plans, "crossing": cross}


def draw(rates: dict[int, Rates], node: Node, path: Path) -> None:
    """Nodes against codes for each width, at 100 queries a second."""
    with plotting.style():
        figure = plotting.figure(6, 3.8)
        axes = figure.subplots()
        sizes = np.logspace(8, 12, 33)
        for colour, marker, (bits, r) in zip(plotting.HUES, plotting.MARKERS, rates.items(), strict=False):
            nodes = [planned(int(n), bits, 100, node, r, 1, 2).nodes for n in sizes]
            axes.plot(sizes, nodes, color=colour)
            axes.plot(SIZES, np.interp(SIZES, sizes, nodes), marker, color=colour)
            axes.annotate(f"{bits} bits", (sizes[-1], nodes[-1]), (4, 0), textcoords="offset points", color=colour)
        axes.axvspan(1e8, 2e8, color=plotting.RULE)
        axes.annotate("run here", (1e8, 3), (2, 0), textcoords="offset points", color=plotting.MUTED)
        axes.set(xscale="log", yscale="log", xlabel="codes", ylabel="nodes")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(
                lambda value, _: f"10^{round(math.log10(value))}" if value >= 1000 else f"{value:g}"
            )
        axes.set_title(f"{node.cores} cores a node, 100 queries a second, extrapolated")
        plotting.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help=f"folder for {NAME}.md, .json and .svg")
    parser.add_argument("--runs", type=Path, help="what bench/cluster.py wrote")
    parser.add_argument("--cores", type=int, default=Node.cores)
    parser.add_argument("--memory", type=float, default=Node.memory, help="bytes")
    parser.add_argument("--network", type=float, default=Node.network, help="bytes a second")
    parser.add_argument("--small", action="store_true", help="toy sizes")
    arguments = parser.parse_args()
    rates = {bits: measured(bits, arguments.small) for bits in WIDTHS}
    node = Node(arguments.cores, arguments.memory, arguments.network, merge=merging(arguments.small))
    runs = files.read_json(arguments.runs) if arguments.runs else {}
    text, found = report(rates, node, runs, 200 if arguments.small else 2000)
    arguments.output.mkdir(parents=True, exist_ok=True)
    files.write_text(arguments.output / f"{NAME}.md", text)
    measured_rates = {bits: r._asdict() for bits, r in rates.items()}
    files.write_json(arguments.output / f"{NAME}.json", {"rates": measured_rates, "node": asdict(node), **found})
    draw(rates, node, arguments.output / f"{NAME}.svg")
    print(text)


if __name__ == "__main__":
    main()
