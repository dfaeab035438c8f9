"""Time retrieval evaluation beside the evaluators that people use, and print the rows of bench/README.md.

    python bench/evaluation.py                    this package, FAISS, and each peer at a size that it can do
    python bench/evaluation.py --data DATA        also the protocol on the real labels of NUS-WIDE

Every row is the best of some repetitions, in one process, on one thread unless it says otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from benchmarks.common import best_seconds, peak_bytes, reset_peak
from benchmarks.peers import Faiss
from evaluation_peers import PEERS

from udsph.evaluation import evaluate, mean_average_precision
from udsph.hamming import simd_level

NO_NDCG = ["map", "precision", "recall", "f1", "r_precision", "mrr", "precision_radius_2"]


def problem(n_queries: int, n_items: int, classes: int = 24, labels: int = 2) -> tuple[np.ndarray, ...]:
    """Random 64-bit codes; items with up to ``labels`` labels each and queries with one more."""
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, 256, (n, 8), dtype=np.uint8) for n in (n_queries, n_items)]
    tables = []
    for n, count in ((n_queries, labels + 1), (n_items, labels)):
        table = np.zeros((n, classes), np.uint8)
        for _ in range(count):
            table[np.arange(n), rng.integers(0, classes, n)] = 1
        tables.append(table)
    return *codes, *tables


def best(function: Callable[[], Any], repetitions: int = 5) -> float:
    """Shortest of some runs, in seconds."""
    return best_seconds(function, 0, repetitions)


def row(what: str, pairs: int, seconds: float, note: str = "") -> None:
    print(f"| {what} | {pairs:.3g} | {seconds:.3f} | {pairs / seconds / 1e9:.4g} | {note} |", flush=True)


def faiss_rate(queries: np.ndarray, database: np.ndarray) -> float:
    """Pairs per second of FAISS's flat search, k=10, at the best of its levels."""
    faiss = Faiss(database)
    seconds = min(best(lambda: faiss.index.search(queries, 10), 2) for _ in faiss.ways())
    return len(queries) * len(database) / seconds


def own_rows() -> float:
    """This package at the size of the goals; returns the time of MAP."""
    case = problem(1000, 1_000_000)
    pairs = 1000 * 1_000_000
    mean_average_precision(*case, threads=1)
    seconds = best(lambda: mean_average_precision(*case, threads=1))
    try:
        faiss = faiss_rate(case[0][:200], case[1])
        note = f"{pairs / seconds / faiss:.2f} x FAISS flat search, k=10, at its best ({faiss / 1e9:.2f} Gpairs/s)"
    except ImportError:
        note = ""
    row("MAP over all", pairs, seconds, note)
    full = best(lambda: evaluate(*case, metrics=NO_NDCG, threads=1))
    row("every metric but NDCG", pairs, full, f"{full / seconds:.2f} x MAP alone")
    row("NDCG, up to 3 shared labels", pairs, best(lambda: evaluate(*case, metrics=["ndcg"], threads=1), 3))
    rng = np.random.default_rng(1)
    eight = (*case[:2], *(rng.permuted(np.tile(np.arange(24) < 8, (n, 1)), axis=1) for n in (1000, 1_000_000)))
    most = int((eight[2].astype(np.float32) @ eight[3].T.astype(np.float32)).max())
    row(f"NDCG, up to {most} shared labels", pairs, best(lambda: evaluate(*eight, metrics=["ndcg"], threads=1), 3))
    thirty = (*case[:2], rng.random((1000, 24)) < 0.1, rng.random((1_000_000, 24)) < 0.138)
    share = (thirty[2].astype(np.float32) @ thirty[3][:10_000].T.astype(np.float32) > 0).mean()
    ordered = best(lambda: mean_average_precision(*thirty, ties="insertion", threads=1), 2)
    expected = best(lambda: mean_average_precision(*thirty, threads=1), 2)
    row(
        'MAP, ties="insertion"',
        pairs,
        ordered,
        f"{share:.0%} relevant; {ordered / expected:.1f} x the time of expected",
    )
    full = best(lambda: evaluate(*thirty, metrics=NO_NDCG, ties="insertion", threads=1), 2)
    row('every metric but NDCG, ties="insertion"', pairs, full, f"{full / ordered:.2f} x MAP alone")
    row(
        'NDCG, ties="insertion"',
        pairs,
        best(lambda: evaluate(*thirty, metrics=["ndcg"], ties="insertion", threads=1), 1),
    )
    if (os.cpu_count() or 1) > 1:
        times: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(40):  # in turns, and often: other work on the second core disturbs it more than anything else
            for threads in times:
                times[threads].append(best(lambda threads=threads: mean_average_precision(*case, threads=threads), 1))
        one, two = (min(seconds) for seconds in times.values())
        row("MAP over all, 2 threads", pairs, two, f"{one / two:.2f} x one thread ({pairs / one / 1e9:.2f} Gpairs/s)")
    return seconds


def protocol_rows(data: Path | None) -> None:
    """The sizes of the usual protocols."""
    coco = problem(5000, 117_218, 80, 3)
    row("MAP, 5,000 x 117,218, 80 labels", 5000 * 117_218, best(lambda: mean_average_precision(*coco, threads=1), 3))
    if data is None:
        return
    archive = np.load(data / "nuswide" / "nuswide81_labels.npz")
    labels = np.unpackbits(archive[archive.files[0]], axis=1)[:, :81]
    labels = labels[:, np.argsort(-labels.sum(axis=0, dtype=np.int64), kind="stable")[:21]]
    labels = labels[labels.any(axis=1)]
    codes = np.random.default_rng(2).integers(0, 256, (len(labels), 8), dtype=np.uint8)
    case = codes[:2100], codes[2100:], labels[:2100], labels[2100:]
    seconds = best(lambda: mean_average_precision(*case, threads=1), 3)
    relevant = case[2].astype(np.float32) @ case[3].astype(np.float32).T > 0
    chance, value = relevant.mean(), mean_average_precision(*case)
    row("MAP, NUS-WIDE TC-21 labels", len(case[0]) * len(case[1]), seconds, f"MAP {value:.4f}, chance {chance:.4f}")


def peer_rows() -> None:
    """Each peer at the largest size that takes it seconds, with this package's value beside."""
    for name, (function, n_queries, n_items) in PEERS.items():
        case = problem(n_queries, n_items)
        distances = np.zeros((n_queries, n_items), np.int32)
        for byte in range(8):
            distances += np.bitwise_count(case[0][:, None, byte] ^ case[1][None, :, byte])
        relevant = case[2] @ case[3].T > 0
        try:
            function(distances[:1, :1000], relevant[:1, :1000])  # imports and compiles
            start = time.perf_counter()
            value = function(distances, relevant)
            seconds = time.perf_counter() - start
        except ImportError as error:
            print(f"| {name} | | | | not installed: {error.name} |")
            continue
        low, high = (mean_average_precision(*case, ties=ties) for ties in ("pessimistic", "optimistic"))
        own = best(lambda case=case: mean_average_precision(*case, threads=1), 3)
        note = f"MAP {value:.4f}, bounds [{low:.4f}, {high:.4f}]; this package {own:.4f} s"
        row(f"{name}, {n_queries:,} x {n_items:,}", n_queries * n_items, seconds, note)


def memory_rows() -> None:
    """What MAP needs beside its inputs, at two sizes of the database."""
    mean_average_precision(*problem(100, 10_000, 8))
    for n_items in (500_000, 8_000_000):
        case = problem(100, n_items, 8)
        reset_peak()
        before = peak_bytes()
        mean_average_precision(*case)
        print(f"memory beside inputs, 100 x {n_items:,}: {(peak_bytes() - before) / 2**20:.1f} MiB")
        evaluate(*case, ties="insertion")
        print(f"every metric, insertion order, 100 x {n_items:,}: {(peak_bytes() - before) / 2**20:.1f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds nuswide/nuswide81_labels.npz")
    parser.add_argument("--only", choices=("own", "protocols", "peers", "memory"))
    arguments = parser.parse_args()
    print(f"level {simd_level()}, NumPy {np.__version__}, Python {sys.version.split()[0]}\n")
    if arguments.only != "memory":
        print("| what | pairs | seconds | Gpairs/s | |\n| --- | ---: | ---: | ---: | --- |")
    if arguments.only in (None, "own"):
        own_rows()
    if arguments.only in (None, "protocols"):
        protocol_rows(arguments.data)
    if arguments.only in (None, "peers"):
        peer_rows()
    if arguments.only == "memory":
        memory_rows()
