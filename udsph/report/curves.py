"""Figures of one search or a few: curves, histograms, bits, training. Each takes numbers and gives a matplotlib figure.

All of them are to be called within ``udsph.plotting.style``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.directions import in_words
from udsph.evaluation import Evaluation
from udsph.plotting import (
    BLUE,
    HUES,
    MARKERS,
    MUTED,
    ORANGE,
    TEAL,
    figure,
    label_along,
    label_ends,
    plain_numbers,
    save,
    style,
)
from udsph.report.texts import one_line

WIDTH, HEIGHT = 4.6, 3.1
FEW = 4  # lines whose names stand along them; those of more stand in a list
Curve = tuple[np.ndarray, np.ndarray]


def draw_precision_recall(by_direction: Mapping[str, Evaluation], path: Path) -> Path:
    """The precision-recall curves of a run's directions as a picture.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    curves = {in_words(name): (found.recall_by_rank, found.precision_by_rank) for name, found in by_direction.items()}
    with style():
        return save(precision_recall(curves, prevalence(by_direction.values())), path)


def prevalence(found: Iterable[Evaluation]) -> float | None:
    """The precision of an order that says nothing, the share of relevant pairs; None where it is not known."""
    shares = {one.counts.relevant.sum() / max(1, one.counts.items.sum()) for one in found if one.counts is not None}
    return float(shares.pop()) if len(shares) == 1 else None


def precision_recall(curves: Mapping[str, Curve], chance: float | None = None) -> Any:
    """Precision against recall."""
    drawing, axes = _axes("recall", "precision")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    _level(axes, chance)
    _lines(axes, curves)
    return drawing


def precision_at(curves: Mapping[str, Curve], chance: float | None = None) -> Any:
    """Precision within the first N."""
    drawing, axes = _axes("N, items looked at", "precision at N")
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    axes.set(ylim=(0, 1), xlim=(1, max([2.0, *(float(x[-1]) for x, _ in curves.values() if len(x))])))
    _level(axes, chance)
    _lines(axes, curves)
    return drawing


def distances(relevant: np.ndarray, others: np.ndarray, names: tuple[str, str] = ("relevant", "not relevant")) -> Any:
    """Shares of the pairs at each Hamming distance, of those that belong together and of the rest."""
    drawing, axes = _axes("Hamming distance", "share of pairs")
    for name, counts, colour, place in ((names[1], others, MUTED, 90), (names[0], relevant, TEAL, 0)):
        axes.annotate(name, (0, 1), xytext=(place, 4), xycoords="axes fraction", textcoords="offset points",
                      color=colour, fontsize=8.5)  # fmt: skip
        share = counts / max(1, counts.sum())
        axes.stairs(share, np.arange(len(share) + 1) - 0.5, fill=True, color=colour, alpha=0.3)
        axes.stairs(share, np.arange(len(share) + 1) - 0.5, color=colour, linewidth=1.4)
    some = np.flatnonzero(relevant + others)
    first, last = (int(some[0]), int(some[-1])) if len(some) else (0, 1)
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")
    _percent(axes)
    return drawing


def shares_of_ones(by_name: Mapping[str, np.ndarray]) -> Any:
    """How often each bit is 1."""
    drawing, axes = _axes("bit", "share of ones")
    axes.axhline(0.5, color=MUTED, linewidth=1, linestyle=":")
    names = []
    for (name, share), colour, marker in zip(by_name.items(), (BLUE, ORANGE, TEAL), MARKERS, strict=False):
        axes.plot(np.arange(len(share)), share, marker, color=colour, markersize=3.2)
        names.append((name, colour))
    axes.set(ylim=(0, 1), xlim=(-1, max(len(share) for share in by_name.values())))
    for place, (name, colour) in enumerate(names):
        axes.annotate(name, (0, 1), xytext=(60 * place, 3), xycoords="axes fraction", textcoords="offset points",
                      color=colour, fontsize=8.5)  # fmt: skip
    axes.grid(visible=False, axis="x")
    _percent(axes)
    return drawing


def correlations(pairs: np.ndarray) -> Any:
    """How many pairs of bits correlate how much."""
    drawing, axes = _axes("absolute correlation of two bits", "pairs of bits")
    axes.hist(pairs, bins=np.linspace(0, 1, 41), color=BLUE, alpha=0.85)
    mean = float(pairs.mean()) if len(pairs) else 0.0
    axes.axvline(mean, color=ORANGE, linewidth=1.4)
    axes.annotate(f"mean {mean:.3f}", (mean, 1), xytext=(4, -9), xycoords=("data", "axes fraction"),
                  textcoords="offset points", color=ORANGE, fontsize=8.5)  # fmt: skip
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="x")
    return drawing


def validation(by_name: Mapping[str, Curve]) -> Any:
    """What was measured on the held-out part after each epoch; the best epoch is marked."""
    drawing, axes = _axes("epoch", "on the held-out part")
    ends = []
    for (name, (epoch, value)), colour, marker in zip(by_name.items(), (BLUE, ORANGE), MARKERS, strict=False):
        axes.plot(epoch, value, marker=marker, color=colour)
        best = int(np.argmax(value))
        axes.plot(epoch[best], value[best], "o", markersize=9, markerfacecolor="none", markeredgecolor=colour)
        ends.append((f"{name} {value[-1]:.3f}", epoch[-1], value[-1], colour))
    _whole_epochs(axes)
    label_ends(axes, ends)
    return drawing


def losses(by_name: Mapping[str, Curve]) -> Any:
    """The parts of the loss; those that are greatest at the end have names of their own, the others are grey."""
    drawing, axes = _axes("epoch", "loss")
    axes.set_yscale("log")
    plain_numbers(axes.yaxis)
    order = sorted(by_name, key=lambda name: -by_name[name][1][-1])
    hues = dict(zip(order, HUES, strict=False))
    ends = []
    for name in order:
        epoch, value = by_name[name]
        colour = hues.get(name, MUTED)
        axes.plot(epoch, np.where(value > 0, value, np.nan), color=colour, linewidth=1.4)
        if value[-1] > 0:
            ends.append((one_line(name)[:24], epoch[-1], value[-1], colour))
    _whole_epochs(axes)
    label_ends(axes, ends, 7.5)
    return drawing


def class_means(names: Sequence[str], by_side: Mapping[str, Sequence[float]]) -> Any:
    """The MAP of each class, a point a direction."""
    drawing = figure(WIDTH, 0.7 + 0.2 * len(names))
    axes = drawing.subplots()
    places = np.arange(len(names))
    table = np.array(list(by_side.values()), float)
    axes.hlines(places, np.nanmin(table, axis=0), np.nanmax(table, axis=0), color=MUTED, linewidth=1)
    for number, (side, values) in enumerate(by_side.items()):
        colour = HUES[number]
        axes.plot(values, places, MARKERS[number], color=colour, markersize=5)
        axes.annotate(side, (0, 1), xytext=(90 * number, 4), xycoords="axes fraction", textcoords="offset points",
                      color=colour, fontsize=8.5)  # fmt: skip
    axes.set_yticks(places, [one_line(name)[:24] for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    low, high = float(np.nanmin(table)), float(np.nanmax(table))
    around = max(0.02, 0.08 * (high - low))
    axes.set_xlim(max(0.0, low - around), min(1.0, high + around))
    axes.set_xlabel("MAP")
    return drawing


def scales(rows: Sequence[tuple[str, float]], chance: float | None, ceiling: float | None) -> Any:
    """MAP as points on a scale from 0 to 1, between chance and the ceiling."""
    drawing = figure(WIDTH, 0.8 + 0.34 * len(rows))
    axes = drawing.subplots()
    low = 0.0 if chance is None else chance
    for place, (_, value) in enumerate(rows):
        colour = HUES[place % len(HUES)]
        axes.plot([low, value], [place, place], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
        axes.plot(value, place, "o", color=colour, markersize=7)
        axes.annotate(f"{value:.3f}", (1, place), xytext=(8, 0), xycoords=("axes fraction", "data"), va="center",
                      textcoords="offset points", fontsize=9, color=colour)  # fmt: skip
    for name, level in (("chance", chance), ("ceiling", ceiling)):
        if level is not None:
            axes.axvline(level, color=MUTED, linewidth=1, linestyle=":" if name == "chance" else "--", zorder=1)
            axes.annotate(f"{name} {level:.3f}", (level, 1), xytext=(0, 3), xycoords=("data", "axes fraction"),
                          textcoords="offset points", ha="center", fontsize=8, color=MUTED)  # fmt: skip
    axes.set_yticks(range(len(rows)), [one_line(name)[:24] for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("MAP")
    return drawing


def _axes(x: str, y: str) -> tuple[Any, Any]:
    drawing = figure(WIDTH, HEIGHT)
    axes = drawing.subplots()
    axes.set(xlabel=x, ylabel=y)
    return drawing, axes


def _lines(axes: Any, curves: Mapping[str, Curve]) -> None:
    """A line each, with its name along it; the names of many stand in a list, in the order of the lines."""
    labels = []
    for place, (name, (x, y)) in enumerate(curves.items()):
        colour, marker = HUES[place % len(HUES)], MARKERS[place % len(MARKERS)]
        (line,) = axes.plot(x, y, marker=marker, color=colour, markersize=3.2, label=one_line(name)[:32])
        labels.append((line.get_label(), x, y, colour))
    few = len(labels) <= FEW
    if labels and not (few and label_along(axes, labels)):
        handles = sorted(axes.get_lines()[-len(labels) :], key=lambda line: -float(np.nanmean(line.get_ydata())))
        axes.legend(handles=handles, labelcolor="linecolor", loc="best", fontsize=7.5)


def _level(axes: Any, chance: float | None) -> None:
    if chance is not None and not math.isnan(chance):
        axes.axhline(chance, color=MUTED, linewidth=1, linestyle=":")
        axes.annotate("chance", (0, chance), xytext=(4, -3), va="top", xycoords=("axes fraction", "data"),
                      textcoords="offset points", color=MUTED, fontsize=8)  # fmt: skip


def _percent(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))


def _whole_epochs(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")
