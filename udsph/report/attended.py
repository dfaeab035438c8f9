"""Where the classes of a model looked: over the cells of pictures and the words of texts, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from udsph.plotting import figure, save, style
from udsph.report.frames import OPEN, QUERY, fonts_for, frame
from udsph.report.texts import one_line

LONGEST, MOST_WORDS, A_LINE = 14, 32, 22  # characters of a word, words of a text, characters of a line
DIM = 0.28  # of the light of what a class did not look at, which has no colour either


@dataclass(frozen=True)
class Looks:
    """Where classes looked in one item.

    Attributes
    ----------
    shown
        A picture, uint8 ``(height, width, 3)``, or the words of a text.
    weights
        ``(classes, parts)``, over the cells of the picture row by row, or over the words.
    scores
        ``(classes,)``: the classes with the greatest are drawn.
    grid
        Rows and columns of a picture's cells.
    """

    shown: np.ndarray | Sequence[str]
    weights: np.ndarray
    scores: np.ndarray
    grid: tuple[int, int] | None = None


def draw_attended(items: Sequence[Looks], classes: Sequence[str], path: Path, *, k: int = 4) -> None:
    """Draw a row an item: itself, and where each of its ``k`` surest classes looked.

    Parameters
    ----------
    classes
        Names, in the order of the weights.
    path
        PNG file.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    with style():
        save(_figure_of(items, classes, min(k, len(classes))), path, dpi=90)


def _figure_of(items: Sequence[Looks], classes: Sequence[str], k: int) -> Any:
    drawing = figure(1.7 * (k + 1), 1.9 * len(items))
    axes = drawing.subplots(len(items), k + 1, squeeze=False)
    fonts = fonts_for("".join(word for item in items if not isinstance(item.shown, np.ndarray) for word in item.shown))
    for cells, item in zip(axes, items, strict=True):
        _draw(cells[0], item, None, fonts)
        frame(cells[0], "item", QUERY)
        best = np.argsort(-item.scores, kind="stable")[:k]
        for cell, number in zip(cells[1:], best, strict=True):
            _draw(cell, item, item.weights[number], fonts)
            frame(cell, f"{one_line(classes[number])[:16]} {item.scores[number]:.2f}", OPEN)
    return drawing


def _draw(axis: Any, item: Looks, weights: np.ndarray | None, fonts: list[str]) -> None:
    if not isinstance(item.shown, np.ndarray):
        _draw_words(axis, item.shown, weights, fonts)
        return
    axis.imshow(item.shown if weights is None or item.grid is None else looked_at(item.shown, weights, item.grid))


def _draw_words(axis: Any, words: Sequence[str], weights: np.ndarray | None, fonts: list[str]) -> None:
    """The words in lines, each on a ground that is the darker the more it was looked at."""
    shade = np.zeros(len(words)) if weights is None else shades(weights[: len(words)])
    line = column = 0
    for word, strength in list(zip(words, shade, strict=True))[:MOST_WORDS]:
        word = one_line(word)[:LONGEST]
        if column and column + len(word) > A_LINE:
            line, column = line + 1, 0
        ground = {"facecolor": OPEN, "alpha": float(0.6 * strength), "edgecolor": "none", "pad": 0.8}
        axis.text(0.03 + 0.043 * column, 0.95 - 0.1 * line, word, fontsize=6, va="top", transform=axis.transAxes,
                  family=fonts, bbox=ground, clip_on=True)  # fmt: skip
        column += len(word) + 1
    axis.set_box_aspect(1)


def looked_at(pixels: np.ndarray, weights: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """A picture with its light and colour where a class looked, the darker and greyer the less it did."""
    height, width = pixels.shape[:2]
    strength = shades(weights).reshape(grid)
    rows, columns = np.arange(height) * grid[0] // height, np.arange(width) * grid[1] // width
    lit = strength[rows][:, columns, None]
    grey = DIM * pixels.mean(axis=2, keepdims=True)
    return np.round(lit * pixels + (1 - lit) * grey).astype(np.uint8)


def shades(weights: np.ndarray) -> np.ndarray:
    """Weights as shares of the greatest, 0 to 1; equal ones are all 1."""
    weights = np.asarray(weights, float)
    return weights / max(float(weights.max(initial=0)), 1e-12)
