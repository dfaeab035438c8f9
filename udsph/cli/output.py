"""What commands say: an answer for stdout, and progress for stderr. Nothing in a user's text is interpreted."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

log = logging.getLogger("udsph.cli")
EVERY_SECONDS = 10.0  # between two lines of progress where the screen is none
REDRAW_SECONDS = 0.1


@dataclass(frozen=True)
class Answer:
    """The result of a command: ``text`` for people, ``data`` for ``--json``."""

    text: str
    data: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """The data in ASCII, which every terminal and pipe can carry."""
        return json.dumps(self.data, indent=2, default=_plain_value)


def _plain_value(value: Any) -> Any:
    """NumPy's numbers and arrays, paths, and anything else as JSON knows them."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def plain(text: object) -> str:
    """A user's text for one line of output: control characters, line ends and lone surrogates as escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in str(text))


def table(header: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> str:
    """Columns in line; the first to the left, the others to the right if all their values are numbers."""
    cells = [[plain(cell) for cell in row] for row in [header, *rows]]
    columns = list(zip(*cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [len(column) > 1 and all(_is_number(cell) for cell in column[1:]) for column in columns]
    lines = [plain(title)] if title else []
    for row in cells:
        parts = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").isdecimal() or not text


class Advance(Protocol):
    """What ``progress`` gives: tell it how many are done, and of how many where that is known."""

    def __call__(self, done: int, total: int | None = None, what: str = "") -> None: ...


@contextlib.contextmanager
def progress(what: str, unit: str = "items") -> Iterator[Advance]:
    """Show how far something is and how long it will go on.

    On a terminal one line is drawn again and again; in a file there is a line every ten seconds; with ``--quiet`` none.
    A smaller number than before begins something new, which another ``what`` names.
    """
    shown = log.isEnabledFor(logging.INFO)
    screen = shown and sys.stderr.isatty()
    started = last = time.monotonic()
    before = 0

    def advance(done: int, total: int | None = None, what: str = what) -> None:
        nonlocal started, last, before
        now = time.monotonic()
        started, before = (now if done < before else started), done
        if not shown or now - last < (REDRAW_SECONDS if screen else EVERY_SECONDS):
            return
        last = now
        line = f"{what}: {_fraction(done, total)} {unit}, {_times(now - started, done, total)}"
        if screen:
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            log.info(line)

    try:
        yield advance
    finally:
        if screen:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _fraction(done: int, total: int | None) -> str:
    return f"{done:,}" if not total else f"{done:,} of {total:,}"


def _times(seconds: float, done: int, total: int | None) -> str:
    spent = f"{clock(seconds)} gone"
    return f"{spent}, {clock(seconds / done * (total - done))} left" if total and done else spent


def clock(seconds: float) -> str:
    """Seconds as ``1:05`` or ``1:00:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
