"""The answers to queries as one picture: a row a query, whether queries and items are pictures or texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.plotting import figure, save, style
from udsph.report.frames import OPEN, QUERY, fonts_for, frame, in_lines

Shown = str | np.ndarray


def draw_answers(queries: Sequence[Shown], answers: Sequence[Sequence[tuple[Shown, str]]], path: Path) -> None:
    """Draw every query with what was found for it.

    Parameters
    ----------
    queries
        Texts, or pictures as uint8 ``(height, width, 3)``.
    answers
        For each query the items, nearest first, each with a line to stand above it.
    path
        PNG file.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    with style():
        save(_figure_of(queries, answers), path, dpi=70)


def _figure_of(queries: Sequence[Shown], answers: Sequence[Sequence[tuple[Shown, str]]]) -> Any:
    columns = 1 + max(len(row) for row in answers)
    drawing = figure(1.7 * columns, 1.9 * len(queries))
    axes = drawing.subplots(len(queries), columns, squeeze=False)
    texts = [shown for row in answers for shown, _ in row if isinstance(shown, str)]
    texts += [query for query in queries if isinstance(query, str)]
    fonts = fonts_for("".join(map(in_lines, texts)))
    for cells, query, row in zip(axes, queries, answers, strict=True):
        _draw(cells[0], query, "query", QUERY, fonts)
        for cell, (shown, title) in zip(cells[1:], row, strict=False):
            _draw(cell, shown, title, OPEN, fonts)
        for cell in cells[1 + len(row) :]:
            cell.axis("off")
    return drawing


def _draw(axis: Any, shown: Shown, title: str, colour: str, fonts: list[str]) -> None:
    """One text or picture in a frame."""
    if isinstance(shown, str):
        text = axis.text(0.5, 0.5, in_lines(shown), ha="center", va="center", fontsize=7, transform=axis.transAxes)
        text.set_family(fonts)
        axis.set_box_aspect(1)
    else:
        axis.imshow(shown)
    frame(axis, title, colour)
