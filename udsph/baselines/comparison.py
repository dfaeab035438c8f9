"""One protocol for all methods: what is compared, and the folder in which a comparison is made and continued.

A comparison is a list of jobs (method, bits, seed), which :mod:`udsph.experiments.jobs` runs; ``results.json`` is the
list of all their rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from udsph._version import __version__
from udsph.baselines import registry
from udsph.baselines.planning import learning, usable
from udsph.baselines.registry import create, methods
from udsph.baselines.scoring import Views, chance, judge
from udsph.checks import check_int
from udsph.data import Dataset, load
from udsph.encoding.hasher import PRECISIONS
from udsph.errors import InputError
from udsph.experiments import Row, Runner, claim
from udsph.files import write_json
from udsph.hamming.codes import check_bits
from udsph.training import Config
from udsph.training.plan import resolve

SETTINGS, RESULTS = "comparison.json", "results.json"


@dataclass(frozen=True)
class Job:
    """One training: a method, a code length, a seed."""

    method: str
    bits: int
    seed: int

    @property
    def file(self) -> str:
        return f"{self.method}-{self.bits}-{self.seed}.json"

    @property
    def facts(self) -> Row:
        return {"method": self.method, "bits": self.bits, "seed": self.seed}


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
        for field, values in (("names", self.names), ("bits", self.bits)):
            if not isinstance(values, list | tuple):
                raise TypeError(f"{field} must be a tuple, also of one, got {type(values).__name__} ({values!r:.40})")
        for name in self.names:
            if name not in methods():
                raise InputError(registry.unknown(name))
        if not self.names or not self.bits:
            raise InputError("name at least one method and one code length")
        for bits in self.bits:
            check_bits(bits)
        check_int(self.seeds, "seeds", 1)
        check_int(self.epochs, "epochs", 0)
        if self.deep_seeds is not None:
            check_int(self.deep_seeds, "deep_seeds", 1)
        if self.precision not in PRECISIONS:
            raise InputError(f"precision={self.precision}: expected one of {', '.join(PRECISIONS)}")

    def load(self) -> Dataset:
        """The data that is compared on."""
        return load(self.data, root=self.root, **self.settings)

    def jobs(self, dataset: Dataset) -> list[Job]:
        """All jobs, the deep ones first, because they take longest."""
        deep_seeds = self.deep_seeds or (1 if dataset.image.kind == "pixels" else self.seeds)
        found = []
        for name in sorted(dict.fromkeys(self.names), key=lambda name: methods()[name].kind != "deep"):
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


class Work:
    """The jobs of a comparison, in whatever process they run: data and views are made once and kept.

    Parameters
    ----------
    comparison
        With its number of epochs resolved.
    dataset
        What its data, root and settings stand for; else loaded for the first job.
    """

    def __init__(self, comparison: Comparison, dataset: Dataset | None = None) -> None:
        self.comparison, self.dataset = comparison, dataset
        self.views: dict[bool, Views] = {}

    def __call__(self, job: Job) -> Row:
        if self.dataset is None:
            self.dataset = self.comparison.load()
        fixed = methods()[job.method].kind != "deep"
        if fixed not in self.views:
            self.views[fixed] = Views(self.dataset, fixed_features=fixed)
        return run_job(job, self.views[fixed], self.comparison.epochs, self.comparison.precision)

    def __getstate__(self) -> dict[str, Any]:
        outside = {name: method for name, method in registry.registered().items() if name in self.comparison.names}
        return {"comparison": self.comparison, "outside": outside}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, method in state["outside"].items():
            registry.register(name, method)
        self.__init__(state["comparison"])  # type: ignore[misc]


def run_job(job: Job, views: Views, epochs: int = 0, precision: str = "32-true") -> Row:
    """The row of one job."""
    settings: dict[str, Any] = {}
    if methods()[job.method].kind == "deep":
        settings = {"epochs": epochs, "precision": precision}
    method = create(job.method, bits=job.bits, random_state=job.seed, **settings)
    return {**job.facts, "kind": method.kind, **settings, **judge(method, views)}


class ComparisonFolder:
    """The folder of a comparison: what is done, what is missing, and the rows of all.

    Parameters
    ----------
    comparison
        What is compared, on what.
    output
        Made, or continued if it holds the same comparison, of any methods, code lengths and seeds.
    processes
        How many jobs run at once, see :class:`udsph.experiments.Runner`.

    Raises
    ------
    InputError
        If the folder holds something else, or another comparison.
    """

    def __init__(self, comparison: Comparison, output: Path, processes: int | str) -> None:
        self.output = output
        self.dataset = comparison.load()
        asked = comparison.names
        comparison = replace(comparison, names=usable(asked, self.dataset))
        self.comparison = comparison.resolved(self.dataset)
        self.jobs = self.comparison.jobs(self.dataset)
        work = Work(self.comparison, self.dataset)
        self.runner: Runner[Job] = Runner(output, work, processes)
        splits = {name: len(index) for name, index in self.dataset.splits.items()}
        known = claim(
            output,
            SETTINGS,
            {**self.comparison.protocol(), "splits": splits},
            lambda: {"udsph": __version__, "chance": chance(self.dataset)},
        )
        self.chance = known["chance"]  # expected MAP of codes that are all equal; None without labels
        self.left_out = tuple(name for name in asked if name not in self.comparison.names)

    def missing(self) -> list[Job]:
        """Jobs without a row, or with one that says how they failed."""
        return self.runner.missing(self.jobs)

    def run(self) -> Iterator[Row]:
        """Run what is missing; yields each row when it is there. ``results.json`` is up to date after every row."""
        self.collect()
        for _, row in self.runner.run(self.jobs):
            self.collect()
            yield row

    def caption(self) -> str:
        """What was compared on what, in words."""
        splits, compared = self.dataset.splits, self.comparison
        parts = [compared.data]
        if compared.settings:
            parts[0] += f" ({', '.join(f'{key}={value}' for key, value in compared.settings.items())})"
        parts.append(f"{len(splits['query']):,} queries, database of {len(splits['database']):,}")
        if any(row["kind"] == "deep" for row in self.rows()):
            precision = "" if compared.precision == "32-true" else f" in {compared.precision}"
            epochs = f"{compared.epochs} epoch{'s' if compared.epochs > 1 else ''}"
            parts.append(f"deep methods with {epochs}{precision}")
        return "; ".join(parts)

    def notes(self) -> list[str]:
        """What a reader of the table must know: who learns from what, which items count, whose codes collapsed."""
        lines = learning((*self.left_out, *self.comparison.names), self.dataset)
        unknown = {
            split: int((~self.dataset.known[self.dataset.splits[split]]).sum()) for split in ("query", "database")
        }
        if self.chance is not None and any(unknown.values()):
            left = " and ".join(f"{count:,} of the {split}" for split, count in unknown.items())
            lines.append(f"MAP and NDCG leave out pairs whose labels are not known: {left}")
        collapsed = [f"{row['method']} {row['bits']} (seed {row['seed']})" for row in self.rows() if row.get("remarks")]
        if collapsed:
            lines.append(f"codes that hardly differ, as results.json says in full: {', '.join(collapsed)}")
        return lines

    def collect(self) -> list[Row]:
        """Write ``results.json`` from the rows of all jobs that this folder has ever run, and return them."""
        rows = self.rows()
        write_json(self.output / RESULTS, rows)
        return rows

    def rows(self) -> list[Row]:
        """The rows of all jobs that this folder has ever run, in the order of the methods."""
        order = {name: place for place, name in enumerate(methods())}
        rows = [{"kind": "unknown", **row} for row in self.runner.rows()]
        for row in rows:
            if row["method"] in order:
                row["kind"] = methods()[row["method"]].kind
        rows.sort(key=lambda row: (order.get(row["method"], len(order)), row["bits"], row["seed"]))
        return rows
