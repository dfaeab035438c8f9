"""``udsph data check``: what is found of a dataset, before anything is trained on it."""

import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from udsph.cli.app import app, console, guarded, settings_of
from udsph.data.dataset import SPLITS, Dataset
from udsph.data.problems import NAMED, BadItem
from udsph.errors import InputError

data_app = typer.Typer(help="Look at datasets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command()
@guarded
def check(
    name: Annotated[str, typer.Argument(help="Dataset: mirflickr, nuswide, coco, webnews, emotions, folder, ...")],
    root: Annotated[Path | None, typer.Option(help="Folder or file of the dataset")] = None,
    on_error: Annotated[str | None, typer.Option(help="skip or stop: what a bad item does")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value of the dataset")] = None,
) -> None:
    """Say what was found, how much of it, what was left out and why; or what is missing and where people get it."""
    from udsph import data

    settings: dict[str, Any] = settings_of(set_ or [])
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
    console.print(dataset.describe(), highlight=False, markup=False)
    console.print(_classes(dataset))
    for note in dataset.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(f"{len(dataset.notes)} notes; loaded in {time.perf_counter() - started:.1f} s")


def print_left_out(dataset: Dataset) -> None:
    """What was left out while loading, and the files that turned out to be damaged since."""
    for note in dataset.notes:
        if note.startswith("left out"):
            console.print(note, highlight=False, markup=False)
    damaged = sorted(getattr(dataset.image.values, "damaged", ()))
    if damaged:
        listed = ", ".join(damaged[:NAMED]) + (", ..." if len(damaged) > NAMED else "")
        console.print(f"{len(damaged):,} damaged images were shown empty ({listed})", highlight=False, markup=False)


def _classes(dataset: Dataset) -> Table:
    """How many items of each split have each class."""
    table = Table("class", *SPLITS, title="items")
    counts = [dataset.labels[dataset.splits[split]].sum(axis=0, dtype=np.int64) for split in SPLITS]
    for column, label in enumerate(dataset.classes):
        table.add_row(label, *(f"{count[column]:,}" for count in counts))
    return table
