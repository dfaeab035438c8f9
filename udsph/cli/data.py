"""``udsph data list`` and ``check``: which datasets there are, and what is found of one before it is trained on."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from udsph.cli.flags import settings_of
from udsph.cli.output import Answer, plain, table
from udsph.cli.parser import Argument, Option, command
from udsph.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from udsph.data import Dataset

Data = Annotated[str, Option(help="Dataset: scenes, wiki, features, ... (udsph data list)", metavar="NAME")]
Root = Annotated[Path | None, Option(help="Folder or file of the dataset")]
OnError = Annotated[Literal["skip", "stop"] | None, Option(help="What a bad item does")]
DataSettings = Annotated[list[str] | None, Option("--set", help="Of the dataset; repeatable", metavar="KEY=VALUE")]


@command
def data_list() -> Answer:
    """List the datasets that can be loaded, and where people get their files."""
    from udsph import data

    found: dict[str, dict[str, Any]] = {}
    for name in data.names():
        try:
            layout = data.layout_of(name)
        except (InputError, MissingExtra) as error:  # of another package
            found[name] = {"error": str(error)}
            continue
        source = layout.source or ("files, see docs/data.md" if layout.reads_files else "generated, needs no files")
        found[name] = {"files": layout.reads_files, "source": source, "settings": list(layout.all_settings)}
    lines = [f"{plain(name):10}  {plain(entry.get('error') or entry['source'])}" for name, entry in found.items()]
    return Answer("\n".join(lines), found)


@command
def data_check(
    name: Annotated[str, Argument(help="Dataset: mirflickr, nuswide, coco, webnews, emotions, folder, ...")],
    root: Root = None,
    on_error: OnError = None,
    set_: DataSettings = None,
) -> Answer:
    """Say what was found, how much of it, what was left out and why; or what is missing and where people get it."""
    from udsph import data
    from udsph.data.problems import BadItem

    settings: dict[str, Any] = settings_of(set_)
    if on_error is not None:
        settings["on_error"] = on_error
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the notes below say the same
            dataset = data.load(name, root, **settings)
    except InputError as error:
        source = data.layout_of(name).source if name in data.names() else ""
        if source and source not in str(error) and not isinstance(error, BadItem):
            raise InputError(f"{error}; {name} is made of: {source}") from None
        raise
    counts = class_counts(dataset)
    lines = dataset.describe().splitlines()
    text = [plain(line) for line in lines]
    text.append(table(["class", *dataset.splits], [[label, *counts[label].values()] for label in counts], "items"))
    text += [f"note: {plain(note)}" for note in dataset.notes]
    text.append(f"{len(dataset.notes)} notes; loaded in {time.perf_counter() - started:.1f} s")
    splits = {split: len(index) for split, index in dataset.splits.items()}
    labelled = {split: int(dataset.known[index].sum()) for split, index in dataset.splits.items()}
    labelled["training uses"] = int(dataset.supervised[dataset.splits["train"]].sum())
    found = {"name": name, "pairs": len(dataset), "splits": splits, "labelled": labelled, "classes": counts}
    found["notes"] = dataset.notes
    return Answer("\n".join(text), found | {"image": dataset.image.describe(), "text": dataset.text.describe()})


def class_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """How many items of each split have each class."""
    counts = {split: dataset.labels[index].sum(axis=0, dtype=np.int64) for split, index in dataset.splits.items()}
    return {
        label: {split: int(count[column]) for split, count in counts.items()}
        for column, label in enumerate(dataset.classes)
    }


def left_out(dataset: Dataset) -> list[str]:
    """What was left out while loading, and the files that turned out to be damaged since."""
    from udsph.data.problems import NAMED

    notes = [note for note in dataset.notes if note.startswith("left out")]
    damaged = sorted(getattr(dataset.image.values, "damaged", ()))
    if damaged:
        listed = ", ".join(damaged[:NAMED]) + (", ..." if len(damaged) > NAMED else "")
        notes.append(f"{len(damaged):,} damaged images were shown empty ({listed})")
    return notes
