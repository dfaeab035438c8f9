"""What a training shows while it runs, and its log."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from udsph import files

COLUMNS = ("phase", "epoch", "seconds", "loss", "validation_map")


class Progress:
    """A bar with the running losses, a line now and then, and ``log.csv``: one row an epoch, one column a loss.

    Parameters
    ----------
    show
        Whether to print anything; the log is written all the same.
    log
        The file, or None. Rows are appended, so that a resumed training continues its log.
    """

    def __init__(self, show: bool, log: Path | None) -> None:
        self.console = Console()
        self.show, self.log = show, log
        self.started = time.perf_counter()
        self.rows: list[dict[str, Any]] = []
        self.bars = Bars(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn(),
            console=self.console, transient=True, disable=not show,
        )  # fmt: skip
        self.task = self.bars.add_task("train", total=1.0, note="")
        self.epoch_of = "1"

    def __enter__(self) -> Progress:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def step(self, phase: str, done: float, losses: Mapping[str, Any]) -> None:
        """After a batch: ``done`` of the epoch, and its losses."""
        if self.show:
            total = sum(float(value.detach()) for value in losses.values())
            self.bars.update(
                self.task, completed=done, description=f"{phase} {self.epoch_of}", note=f"loss {total:.3f}"
            )

    def epoch(self, phase: str, epoch: int, epochs: int, losses: Mapping[str, float], score: float | None) -> None:
        """After an epoch: the mean of each loss, and the validation MAP where it was measured."""
        seconds = time.perf_counter() - self.started
        row = {"phase": phase, "epoch": epoch, "seconds": round(seconds, 2), "loss": sum(losses.values())}
        row |= {"validation_map": "" if score is None else score, **losses}
        self.epoch_of = f"{min(epoch + 1, epochs)}/{epochs}"
        if self.log is not None:
            append_row(self.log, row)
        if self.show and (score is not None or epoch == epochs):
            found = "" if score is None else f"   validation MAP {score:.4f}"
            parts = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            self.console.print(f"{phase} {epoch}/{epochs}   loss {row['loss']:.3f}{found}   [dim]{parts}[/dim]")


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append to a CSV file whose first line names the columns; a row with new columns rewrites the file."""
    rows: list[Mapping[str, Any]] = []
    names: list[str] = list(COLUMNS)
    if path.exists():
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows, names = list(reader), list(reader.fieldnames or COLUMNS)
    new = [name for name in row if name not in names]
    if rows and not new:
        with path.open("a", newline="", encoding="utf-8") as stream:
            csv.DictWriter(stream, names).writerow(row)
        return
    with files.replacing(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, names + new)
        writer.writeheader()
        writer.writerows([*rows, row])
