"""What a training shows while it runs, and its log.

Lines go to the logger ``udsph.training``: what is planned, and one an epoch. Beside them a terminal shows one line
that is drawn again and again. Nothing is written to stdout.
"""

from __future__ import annotations

import csv
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from udsph import files

log = logging.getLogger("udsph.training")
PHASES = ("label", "select", "refit")
COLUMNS = ("phase", "epoch", "seconds", "loss", "validation_map")
REDRAW_SECONDS = 0.1


class Progress:
    """A line on the terminal, lines for the log, and ``log.csv``: one row an epoch, one column a loss.

    Parameters
    ----------
    show
        True: lines go to stderr where nobody listens to the logger, and a terminal has its line. None: the same, but
        only where stderr is a terminal and the logger ``udsph`` was not set to be quiet. False: nothing is shown.
    rows
        The file ``log.csv``, or None. Rows are appended, so that a resumed training continues its log.
    first
        Whether this is the first of the processes that train together; the others are silent.
    """

    def __init__(self, show: bool | None = None, rows: Path | None = None, *, first: bool = True) -> None:
        quiet = logging.getLogger("udsph").level > logging.INFO
        self.rows, self.logs = rows, first and log.isEnabledFor(logging.INFO)
        self.screen = first and sys.stderr.isatty() and (show or (show is None and not quiet))
        self.prints = first and (self.screen or bool(show)) and not self.logs
        self.started = time.perf_counter()
        self.drawn = 0.0
        self.forecast: float | None = None
        self._pairs = 0  # steps of the modality networks, and when they began
        self._pairs_started = 0.0
        self._place = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    @property
    def listened(self) -> bool:
        """Whether anybody sees anything of it."""
        return self.prints or self.logs

    def say(self, line: str, level: int = logging.INFO) -> None:
        """A line for the log, or in its place for stderr."""
        self._clear()
        if self.logs:
            log.log(level, line)
        elif self.prints and level >= logging.INFO:
            print(line, file=sys.stderr, flush=True)

    def step(self, phase: str, done: float, losses: Mapping[str, Any], steps_left: int) -> None:
        """After a batch: ``done`` of the epoch, its losses, and how many batches are still to come."""
        now = time.perf_counter()
        if phase != "label":
            if not self._pairs:  # the first one is not timed: it pays for what only the first one does
                self._pairs_started = now
            self._pairs += 1
        if not self.screen or now - self.drawn < REDRAW_SECONDS:
            return
        self.drawn = now
        total = sum(float(value.detach()) for value in losses.values())
        place = f"{phase} {self._place or 1}, {done:.0%}"
        line = f"\r{place}   loss {total:.3f}   {self._times(steps_left)}\x1b[K"
        print(line, end="", file=sys.stderr, flush=True)

    def epoch(
        self,
        phase: str,
        epoch: int,
        epochs: int,
        losses: Mapping[str, float],
        scores: Mapping[str, float],
        steps_left: int,
    ) -> None:
        """After an epoch: the mean of each loss, and by name what was measured on the validation part, if it was."""
        seconds = time.perf_counter() - self.started
        row = {"phase": phase, "epoch": epoch, "seconds": round(seconds, 2), "loss": sum(losses.values())}
        row |= {"validation_map": "", **{f"validation_{name}": score for name, score in scores.items()}, **losses}
        self._place = f"{min(epoch + 1, epochs)}/{epochs}"
        if self.rows is not None:
            append_row(self.rows, row)
        named = {"map": "MAP", "recall": "recall of pairs"}
        found = "".join(f"   validation {named[name]} {score:.4f}" for name, score in scores.items())
        worth = bool(scores) or epoch == epochs or not self.screen  # a terminal shows the others as they come
        line = f"{phase} {epoch}/{epochs}   loss {row['loss']:.3f}{found}   {self._times(steps_left)}"
        self.say(line, logging.INFO if worth else logging.DEBUG)

    def _times(self, steps_left: int) -> str:
        now = time.perf_counter()
        left = None
        if self._pairs > 1:
            left = (now - self._pairs_started) / (self._pairs - 1) * steps_left
        elif self.forecast is not None:
            left = max(0.0, self.forecast - (now - self.started))
        gone = f"{clock(now - self.started)} gone"
        return gone if left is None else f"{gone}, {clock(left)} left"

    def _clear(self) -> None:
        if self.screen:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Seconds as ``0:05``, ``1:05``, ``1:00:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def in_words(seconds: float) -> str:
    """Seconds as people say them: ``20 s``, ``3 min``, ``1 h 10 min``; rounded up, as a guess is."""
    if seconds < 55:
        return f"{max(5, -(-int(seconds + 1) // 5) * 5)} s"
    minutes = -(-int(seconds) // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def drop_rows_after(path: Path, phase: str, epoch: int) -> None:
    """Take the epochs out of the log that came after a checkpoint, and will be trained again."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        rows, names = list(reader), list(reader.fieldnames or COLUMNS)

    def is_before(row: Mapping[str, Any]) -> bool:
        try:
            return (PHASES.index(row["phase"]), int(row["epoch"])) <= (PHASES.index(phase), epoch)
        except (ValueError, TypeError):  # half a row, where the power failed
            return False

    kept = [row for row in rows if is_before(row)]
    if len(kept) < len(rows):
        with files.replacing(path, "w", newline="") as target:
            writer = csv.DictWriter(target, names)
            writer.writeheader()
            writer.writerows(kept)


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
