"""One protocol for all methods: fit on the training pairs, code queries and database from one view each, score, time.

A comparison is a list of jobs (method, bits, seed). Each finished job is one file in ``OUTPUT/rows``, written beside
and renamed, so an interrupted comparison continues where it was; a job that failed leaves a row with its error and is
tried again by the next call. ``results.json`` is the list of all rows.
"""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from udsph._version import __version__
from udsph.baselines import create, methods
from udsph.baselines.base import Method
from udsph.baselines.features import Describer
from udsph.baselines.networks import PRECISIONS
from udsph.data import Dataset, Modality, load
from udsph.errors import InputError
from udsph.evaluation import evaluate, evaluate_scores, mean_average_precision
from udsph.training import Config
from udsph.training.estimator import resolve

CUTOFFS = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
METRICS = ("map", "precision")
SETTINGS, ROWS, RESULTS = "comparison.json", "rows", "results.json"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "UDSPH_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """One training: a method, a code length, a seed."""

    method: str
    bits: int
    seed: int

    @property
    def file(self) -> str:
        return f"{self.method}-{self.bits}-{self.seed}.json"


@dataclass(frozen=True)
class Comparison:
    """What is compared, on what.

    Attributes
    ----------
    data, root, settings
        Arguments of :func:`udsph.data.load`.
    names, bits
        Methods and code lengths.
    seeds
        How many, from 0.
    deep_seeds
        How many for the deep methods; None for as many as ``seeds``, or one where there are pixels.
    epochs, precision
        Of the deep methods; 0 epochs: as many as UDSPH has by default for the kind and amount of data.
    """

    data: str
    root: str | None
    settings: Mapping[str, Any]
    names: tuple[str, ...]
    bits: tuple[int, ...]
    seeds: int
    deep_seeds: int | None = None
    epochs: int = 0
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in methods():
                raise InputError(f"unknown method '{name}'; known: all, {', '.join(methods())}")
        if not self.names or not self.bits:
            raise InputError("name at least one method and one code length")
        for bits in self.bits:
            if not 1 <= bits <= 8192:
                raise InputError(f"bits={bits}: expected 1 to 8192")
        if self.seeds < 1 or (self.deep_seeds is not None and self.deep_seeds < 1) or self.epochs < 0:
            raise InputError("seeds and deep seeds must be at least 1, epochs at least 0")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision={self.precision}: expected one of {', '.join(PRECISIONS)}")

    def jobs(self, dataset: Dataset) -> list[Job]:
        """All jobs, the deep ones first, because they take longest."""
        deep_seeds = self.deep_seeds or (1 if dataset.image.kind == "pixels" else self.seeds)
        found = []
        for name in sorted(self.names, key=lambda name: methods()[name].kind != "deep"):
            seeds = deep_seeds if methods()[name].kind == "deep" else self.seeds
            found += [Job(name, bits, seed) for bits in self.bits for seed in range(seeds)]
        return found

    def protocol(self) -> dict[str, Any]:
        """What must be the same for rows to stand in one table."""
        return {
            "data": self.data,
            "settings": {key: str(value) for key, value in self.settings.items()},
            "epochs": self.epochs,
            "precision": self.precision,
        }

    def resolved(self, dataset: Dataset) -> Comparison:
        """The comparison with the number of epochs in place that 0 stands for."""
        return replace(self, epochs=resolve(Config(epochs=self.epochs), dataset).epochs)


class Views:
    """Training pairs, queries and database of a dataset, as one kind of method wants them.

    Shallow methods get the fixed features of :mod:`udsph.baselines.features`, computed once for all of them.
    """

    def __init__(self, dataset: Dataset, *, fixed_features: bool) -> None:
        self.labels = {split: dataset.labels[index] for split, index in dataset.splits.items()}
        self.parts = {}
        for view in ("image", "text"):
            modality = getattr(dataset, view)
            describe = Describer(modality.take(dataset.splits["train"])) if fixed_features else None
            for split, index in dataset.splits.items():
                part = modality.take(index)
                self.parts[view, split] = part if describe is None else Modality("vectors", describe(part))


def run_job(job: Job, views: Views, epochs: int = 0, precision: str = "32-true") -> dict[str, Any]:
    """The row of one job."""
    settings: dict[str, Any] = {}
    if methods()[job.method].kind == "deep":
        settings = {"epochs": epochs, "precision": precision}
    method = create(job.method, bits=job.bits, random_state=job.seed, **settings)
    parts = views.parts
    started, worked = time.perf_counter(), time.process_time()
    method.fit(parts["image", "train"], parts["text", "train"], views.labels["train"])
    row: dict[str, Any] = {"method": job.method, "bits": job.bits, "seed": job.seed, "kind": method.kind}
    row["train_seconds"] = time.perf_counter() - started
    row["train_cpu_seconds"] = time.process_time() - worked  # of all threads; says more where jobs share a machine
    started = time.perf_counter()
    codes = {
        (view, split): encoded(method, view, parts[view, split])
        for view in ("image", "text")
        for split in ("query", "database")
    }
    items = sum(len(part) for part in codes.values())
    row["encode_seconds"] = time.perf_counter() - started
    row["encode_microseconds_per_item"] = 1e6 * row["encode_seconds"] / items
    for name, asking, answering in (("image_to_text", "image", "text"), ("text_to_image", "text", "image")):
        row[name] = score(method, codes[asking, "query"], codes[answering, "database"], views.labels)
    return row


def encoded(method: Method, view: str, items: Modality) -> np.ndarray:
    """Codes, or the embeddings of a real-valued method."""
    verb = "embed" if method.real_valued else "encode"
    return getattr(method, f"{verb}_{view}")(items)


def score(
    method: Method, queries: np.ndarray, database: np.ndarray, labels: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """MAP and its standard error over the queries, precision at cutoffs, and the precision-recall curve by rank."""
    cutoffs = tuple(k for k in CUTOFFS if k <= len(database))
    options: dict[str, Any] = {"metrics": METRICS, "cutoffs": cutoffs}
    if method.real_valued:
        relevant = labels["query"].astype(np.int64) @ labels["database"].astype(np.int64).T > 0
        found = evaluate_scores(queries @ database.T, relevant, **options)
    else:
        found = evaluate(queries, database, labels["query"], labels["database"], **options)
    average_precision = found.per_query["map"]
    return {
        "map": found["map"],
        "map_standard_error": float(average_precision.std() / np.sqrt(len(average_precision))),
        "precision_at": {str(k): found[f"precision@{k}"] for k in cutoffs},
        "curve": {
            "ranks": found.ranks.tolist(),
            "precision": found.precision_by_rank.tolist(),
            "recall": found.recall_by_rank.tolist(),
        },
    }


def chance(dataset: Dataset) -> float:
    """Expected MAP of codes that are all equal."""
    labels = [dataset.labels[dataset.splits[split]] for split in ("query", "database")]
    return mean_average_precision(*(np.zeros((len(part), 1), np.uint8) for part in labels), *labels)


class Runner:
    """Runs the jobs of a comparison in several processes and keeps their rows.

    Parameters
    ----------
    output
        Folder of the comparison; made, or continued if it holds the same one.
    processes
        How many jobs run at once; the machine's cores are divided among them, unless OMP_NUM_THREADS says otherwise.

    Raises
    ------
    InputError
        If the folder holds something else, or another comparison.
    """

    def __init__(self, comparison: Comparison, output: Path, processes: int) -> None:
        if processes < 1:
            raise InputError(f"processes={processes}: expected at least 1")
        self.output, self.processes = output, processes
        self.dataset = load(comparison.data, root=comparison.root, **comparison.settings)
        self.comparison = comparison.resolved(self.dataset)
        self.jobs = self.comparison.jobs(self.dataset)
        self._claim()

    def _claim(self) -> None:
        path = self.output / SETTINGS
        splits = {name: len(index) for name, index in self.dataset.splits.items()}
        content = {**self.comparison.protocol(), "splits": splits}
        if path.exists():
            known = read_json(path)
            for key, value in content.items():
                if known.get(key) != value:
                    raise InputError(
                        f"{self.output} holds a comparison with {key} {known.get(key)}, not {value}; "
                        "choose another output"
                    )
            return
        if self.output.exists() and (not self.output.is_dir() or any(self.output.iterdir())):
            raise InputError(f"{self.output} exists and is not a comparison; choose another output")
        (self.output / ROWS).mkdir(parents=True, exist_ok=True)
        write_json(path, {"udsph": __version__, "chance": chance(self.dataset), **content})

    @property
    def chance(self) -> float:
        """Expected MAP of codes that are all equal."""
        return float(read_json(self.output / SETTINGS)["chance"])

    def missing(self) -> list[Job]:
        """Jobs without a row, or with one that says how they failed."""
        return [job for job in self.jobs if "error" in self._row(job, {"error": "not run"})]

    def _row(self, job: Job, default: dict[str, Any]) -> dict[str, Any]:
        path = self.output / ROWS / job.file
        return read_json(path) if path.exists() else default

    def run(self) -> Iterator[dict[str, Any]]:
        """Run what is missing; yields each row when it is there. ``results.json`` is up to date after every row."""
        waiting = self.missing()
        if not waiting:
            self.collect()
        attempts, processes = 0, self.processes
        while waiting:
            for job, row in self._pool(waiting, processes):
                write_json(self.output / ROWS / job.file, row)
                self.collect()
                waiting.remove(job)
                yield row
            # A process that was killed takes the pool with it. The rest runs one by one, each in a process of its own.
            attempts, processes = attempts + 1, 1
            if waiting and attempts > 1:
                job = waiting.pop(0)
                row = failed_row(job, "the process was killed, perhaps for want of memory")
                write_json(self.output / ROWS / job.file, row)
                self.collect()
                yield row

    def _pool(self, jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, dict[str, Any]]]:
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
        before = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(dict.fromkeys(_THREADS, threads))  # read by the children when they load their libraries
        arguments = (self.comparison, int(threads), os.getpid())
        pool = ProcessPoolExecutor(processes, get_context("spawn"), _open, arguments)
        try:
            futures: dict[Future[dict[str, Any]], Job] = {pool.submit(_work, job): job for job in jobs}
            for future in as_completed(futures):
                try:
                    yield futures[future], future.result()
                except BrokenExecutor:
                    return
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list((pool._processes or {}).values()):
                child.terminate()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def collect(self) -> list[dict[str, Any]]:
        """Write ``results.json`` from the rows of all jobs that this folder has ever run, and return them."""
        order = {name: place for place, name in enumerate(methods())}
        rows = [read_json(path) for path in (self.output / ROWS).glob("*.json")]
        rows.sort(key=lambda row: (order.get(row["method"], len(order)), row["bits"], row["seed"]))
        write_json(self.output / RESULTS, rows)
        return rows


_state: dict[str, Any] = {}


def _open(comparison: Comparison, threads: int, parent: int) -> None:
    """In a worker process: follow the parent, whose number is told, since it may be gone before it can be asked for."""
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    _prepare(comparison, threads)


def _prepare(comparison: Comparison, threads: int) -> None:
    """Load the dataset once for all jobs of this process."""
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # see udsph.baselines.networks
    _state["comparison"] = comparison
    _state["dataset"] = load(comparison.data, root=comparison.root, **comparison.settings)


def _follow(parent: int) -> None:
    """End this process when its parent has gone, which may have been killed without a word."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _work(job: Job) -> dict[str, Any]:
    """In a worker process: one job, whose failure is a row like any other."""
    fixed = methods()[job.method].kind != "deep"
    try:
        views = f"views, fixed features {fixed}"
        if views not in _state:
            _state[views] = Views(_state["dataset"], fixed_features=fixed)
        comparison = _state["comparison"]
        return run_job(job, _state[views], comparison.epochs, comparison.precision)
    except Exception as error:  # whatever a method does, the others go on
        return failed_row(job, f"{type(error).__name__}: {error}", traceback.format_exc())


def failed_row(job: Job, error: str, trace: str = "") -> dict[str, Any]:
    """The row of a job that did not come to its scores."""
    row = {"method": job.method, "bits": job.bits, "seed": job.seed, "kind": methods()[job.method].kind, "error": error}
    return {**row, "traceback": trace} if trace else row


def read_json(path: Path) -> Any:
    """A JSON file, or a clear error."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); remove it and run again") from None


def write_json(path: Path, content: Any) -> None:
    """Write beside, then rename."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
