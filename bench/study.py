"""The study of the model: datasets x variants x code lengths x seeds, one file a run, one table of all.

    python bench/study.py --data /path/to/data --output DIR                     the published runs
    python bench/study.py --data ... --output DIR --cases wiki --seeds 1        some of them
    python bench/study.py --output DIR --into docs/results.md                   write the tables, and run nothing

Every run is one file in ``DIR/rows``: the same command continues where it was interrupted, and a run that failed is
tried again (``udsph.experiments.jobs``). Each process computes with one thread, unless OMP_NUM_THREADS says otherwise.

A study takes longer than one sitting at one machine, so ``--into`` first puts what the tables need of the rows of DIR
into ``bench/results/study.jsonl``, and makes the tables of all rows there. Rows of a model that has changed since are
to be taken out by hand, or run again: a run's new row replaces its old one.

A table gives the mean over the seeds, the standard deviation of a single run, and for each variant the paired t-test
against the full model, or against what the case names, over the seeds that both have (mean of both directions,
two-sided), as it is and corrected by Holm for the tests of the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.common import processor
from study_tables import keep, tables, write_into

from udsph.data.directions import DIRECTIONS
from udsph.errors import InputError
from udsph.experiments import Runner, claim
from udsph.files import beside, write_json

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "attention=none": {"attention": "none"},
    "attention=uniform": {"attention": "uniform"},
    # A plain model with what the full one has beside its attention: bits read from classes, these with its weight.
    "attention=none reading=true": {"attention": "none", "reading": "true", "weight_classify": 2.0},
    "reading=false": {"reading": "false"},
    "attention=none match=0.2": {"attention": "none", "weight_match": 0.2},
    "match=0.2": {"weight_match": 0.2},
    "adversarial=features": {"adversarial": "features", "weight_adversary": 0.005},
    # Of partly labelled pairs, each with one part more than the one before it.
    "labelled alone": {"attention": "none", "weight_pairing": 0.0, "adversarial": "none"},
    "pairing": {"attention": "none", "adversarial": "none"},
    "pairing attention": {"adversarial": "none"},
    "pairing attention quantise": {"adversarial": "quantise"},
    "linear=false": {"linear": "false"},
    "shortcut=true": {"shortcut": True},
    "label_loss=ranking": {"label_loss": "ranking"},
    "label_loss=pairwise": {"label_loss": "pairwise"},
    "label_net=false": {"label_net": False},
    # Without the label network the wanted bits are guesses, and the pairs alone tell what is similar.
    "label_net=false pairwise=1 bit=1": {"label_net": False, "weight_pairwise": 1.0, "weight_bit": 1.0},
}
SETTINGS = "study.json"
KEPT = Path(__file__).parent / "results" / "study.jsonl"


@dataclass(frozen=True)
class Case:
    """One dataset in one setting."""

    title: str
    data: str
    bits: tuple[int, ...]
    seeds: int
    variants: tuple[str, ...] = ("full", "label_net=false", "label_net=false pairwise=1 bit=1")
    place: str | None = None  # below the folder of the data
    assembled: tuple[str, ...] = ()  # arguments of the place's assemble.py, which writes a file of features
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the dataset
    training: Mapping[str, Any] = field(default_factory=dict)
    against: Mapping[str, str] = field(default_factory=dict)  # what a variant is compared with, if not with the full


SCENES = {"pairs": 2000, "query": 500, "train": 1000}
ATTENTION = ("full", "attention=none", "attention=uniform")
GLOBAL = ("--image", "global", "--text", "minilm-mean")
FEW = ("full", "labelled alone", "pairing", "pairing attention", "pairing attention quantise")
EACH = {"pairing": "labelled alone", "pairing attention": "pairing", "full": "pairing attention"}
CASES = {
    "wiki": Case("Wiki, LDA + TF-IDF text", "wiki", (64, 16), 5, variants=("full",), place="wiki"),
    # Feature vectors have no local parts, so attention has nothing to do unless something stands in for them.
    "wiki-parts": Case(
        "Wiki, the 16 largest columns of a vector as its local parts",
        "wiki",
        (16,),
        5,
        (*ATTENTION, "label_net=false", "label_net=false pairwise=1 bit=1"),
        place="wiki",
        training={"parts": 16},
    ),
    "scenes-1000": Case(
        "Scenes, 1,000 training pairs",
        *("scenes", (32, 64, 16), 5, (*ATTENTION, "attention=none reading=true", "reading=false")),
        settings=SCENES,
    ),
    # Other pairs than those on which the present form was chosen: nothing may be chosen on these.
    "scenes-1000-others": Case(
        "Scenes, 1,000 training pairs of another seed",
        *("scenes", (64, 32), 3, ATTENTION),
        settings=SCENES | {"seed": 1},
    ),
    "scenes-1000-parts": Case(
        "Scenes, 1,000 training pairs: label network, matching of parts, adversary on features",
        *("scenes", (16,), 5),
        ("full", "match=0.2", "adversarial=features", "label_net=false", "label_net=false pairwise=1 bit=1"),
        settings=SCENES,
    ),
    "scenes-100-labels": Case(
        "Scenes, 1,000 training pairs, 100 of them with labels",
        *("scenes", (32,), 5, FEW),
        settings=SCENES | {"labelled": 100},
        against=EACH,
    ),
    "flickr-grid": Case(
        "Flickr8k, EfficientNet-Lite0 cells and GloVe words",
        *("features", (64, 32), 5, ATTENTION, "flickr8k-features", ("--image", "grid", "--text", "glove")),
    ),
    "flickr-grid-579-labels": Case(
        "Flickr8k, cells and words, a tenth of the labels",
        *("features", (32,), 5, FEW, "flickr8k-features", ("--image", "grid", "--text", "glove")),
        settings={"labelled": 579},
        against=EACH,
    ),
    "flickr-grid-no-labels": Case(
        "Flickr8k, cells and words, without labels",
        *("features", (64,), 5, ATTENTION, "flickr8k-features", ("--image", "grid", "--text", "glove")),
        settings={"labelled": 0},
    ),
    "flickr-global": Case(
        "Flickr8k, EfficientNet-Lite0 and MiniLM vectors",
        *("features", (64,), 3, ("full", "label_loss=ranking", "shortcut=true"), "flickr8k-features", GLOBAL),
    ),
    "flickr-global-no-labels": Case(
        "Flickr8k, EfficientNet-Lite0 and MiniLM vectors, without labels",
        *("features", (64, 32, 16), 3, ("full", "linear=false"), "flickr8k-features", GLOBAL),
        settings={"labelled": 0},
    ),
    "webnews": Case("Web news, raw pixels and raw text", "webnews", (64, 16), 5, ATTENTION, place="webnews"),
    "scenes": Case("Scenes, 20,000 pairs", "scenes", (64, 16), 1, variants=("full",), settings={"pairs": 20000}),
}

STUDIES = {  # names for several cases
    "flickr8k": ("flickr-grid", "flickr-grid-579-labels", "flickr-global"),
    "nolabels": ("flickr-global-no-labels", "flickr-grid-no-labels"),
}


@dataclass(frozen=True)
class Run:
    """One training."""

    case: str
    variant: str
    bits: int
    seed: int

    @property
    def file(self) -> str:
        return f"{self.case}-{self.variant.replace('=', '-').replace(' ', '-')}-{self.bits}-{self.seed}.json"

    @property
    def facts(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def runs_of(cases: Sequence[str], variants: Sequence[str], bits: Sequence[int], seeds: int) -> Iterator[Run]:
    """The runs to make, seed by seed, so that what is there after an interruption can be compared."""
    for name in cases:
        case = CASES[name]
        for seed in range(seeds or case.seeds):
            for length in bits or case.bits:
                for variant in variants or case.variants:
                    yield Run(name, variant, length, seed)


def dataset_of(name: str, root: str | None, output: Path | None = None) -> Any:
    """The dataset of a case; ``output`` keeps what has to be assembled."""
    from udsph.data import load

    case = CASES[name]
    place = None if case.place is None else Path(root or ".") / case.place
    if place is not None and case.assembled:
        place = assemble(place / "assemble.py", case.assembled, (output or Path()) / "data")
    return load(case.data, root=None if place is None else str(place), **case.settings)


def assemble(script: Path, arguments: Sequence[str], folder: Path) -> Path:
    """The file that a data folder's script writes with some arguments, made once."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{script.parent.name}{''.join(arguments).replace('--', '-')}.npz"
    if not path.exists():
        with beside(path) as unfinished:
            subprocess.run([sys.executable, str(script), str(unfinished), *arguments], check=True, capture_output=True)
    return path


def make(run: Run, dataset: Any, extra: Mapping[str, str]) -> dict[str, Any]:
    """Train, score, and say what it took."""
    import torch

    from udsph.training import UDSPH, Config, evaluate

    case = CASES[run.case]
    settings = {"bits": run.bits, "seed": run.seed, **case.training, **VARIANTS[run.variant], **extra}
    wall, work = time.perf_counter(), time.process_time()
    model = UDSPH(config=Config.from_settings(settings)).fit(dataset, progress=False)
    row = {
        "wall_seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - work,
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} CPUs",
        "torch": torch.__version__,
        "training": dataclasses.asdict(model.config),
    }
    return row | {database: evaluate(model, dataset, database=database) for database in ("database", "query")}


@dataclass
class Work:
    """The runs of a study, in whatever process they are made."""

    root: str | None
    output: Path
    extra: Mapping[str, str]
    kept: tuple[str, Any] | None = None  # the dataset of the last run, which is mostly that of the next

    def __call__(self, run: Run) -> dict[str, Any]:
        if self.kept is None or self.kept[0] != run.case:
            self.kept = run.case, dataset_of(run.case, self.root, self.output)
        return make(run, self.kept[1], self.extra)


def conduct(
    wanted: Iterable[Run], output: Path, root: str | None, processes: int | str, extra: Mapping[str, str]
) -> int:
    """Make the runs that are not there yet; the number of those that failed."""
    check_rows_before(output, extra)
    claim(output, SETTINGS, {"training": dict(extra)})
    wanted, failed = list(wanted), 0
    runner: Runner[Run] = Runner(output, Work(root, output, extra), processes, threads=1)
    todo = len(runner.missing(wanted))
    for k, (run, row) in enumerate(runner.run(wanted), 1):
        failed += "error" in row
        print(f"{k} of {todo}: {run.file} {summary(row)}", flush=True)
    return failed


def rows_of(output: Path) -> list[dict[str, Any]]:
    return Runner(output, Work(None, output, {})).rows()


def check_rows_before(output: Path, extra: Mapping[str, str]) -> None:
    """Go on with a folder of the time before it kept its settings, if the rows that it holds were made with these."""
    if (output / SETTINGS).exists() or not (output / "rows").is_dir():
        return
    from udsph.training import Config

    wanted = dataclasses.asdict(Config.from_settings(dict(extra)))
    for row in rows_of(output):
        for key in extra:
            if "training" in row and row["training"].get(key) != wanted[key]:
                raise InputError(
                    f"{output} holds runs with {key} {row['training'].get(key)}, not {wanted[key]}; "
                    "choose another output"
                )
    write_json(output / SETTINGS, {"training": dict(extra)})


def summary(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return "failed: " + row["error"].strip().splitlines()[-1]
    found = " ".join(f"{row['database'][direction]['map']:.4f}" for direction in DIRECTIONS)
    return f"{found} in {row['processor_seconds']:.0f} s of processor time"


def names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the study")
    parser.add_argument("--data", help="folder of wiki/, webnews/ and flickr8k-features/; without it: scenes")
    parser.add_argument(
        "--cases",
        type=names,
        default=[],
        help=f"of {','.join((*CASES, *STUDIES))}; default: all with their data",
    )
    parser.add_argument("--variants", type=names, default=[], help=f"of {','.join(VARIANTS)}")
    parser.add_argument("--bits", type=lambda text: [int(b) for b in names(text)], default=[], help="code lengths")
    parser.add_argument("--seeds", type=int, default=0, help="how many, from 0; default: as published")
    parser.add_argument("--processes", default=str(os.cpu_count() or 1), help="runs at a time, or ray: on a cluster")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a training setting of all runs"
    )
    parser.add_argument("--into", type=Path, help="write the tables of what was run into this page, and run nothing")
    arguments = parser.parse_args()
    arguments.cases = [case for name in arguments.cases for case in STUDIES.get(name, (name,))]
    for given, known in ((arguments.cases, CASES), (arguments.variants, VARIANTS)):
        strange = [name for name in given if name not in known]
        if strange:
            parser.error(f"unknown '{strange[0]}'; known: {', '.join(known)}")
    if arguments.into is not None:
        from udsph.training import Config

        rows = keep(KEPT, rows_of(arguments.output), dataclasses.asdict(Config()))
        write_into(arguments.into, tables(rows, CASES, VARIANTS))
        return
    cases = arguments.cases or [name for name, case in CASES.items() if arguments.data or case.place is None]
    if not arguments.data and any(CASES[name].place for name in cases):
        parser.error("--data is missing")
    extra = dict(pair.split("=", 1) for pair in arguments.set)
    wanted = runs_of(cases, arguments.variants, arguments.bits, arguments.seeds)
    try:
        failed = conduct(wanted, arguments.output, arguments.data, arguments.processes, extra)
    except InputError as error:
        sys.exit(str(error))
    print("\n" + tables(rows_of(arguments.output), CASES, VARIANTS))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
