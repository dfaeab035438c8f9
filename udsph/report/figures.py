"""Figures of a comparison, from the rows of its ``results.json``."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from udsph.data.directions import DIRECTIONS, in_words
from udsph.plotting import BLUE, HUES, INK, MUTED, SURFACE, figure, label_ends, plain_numbers, save, style
from udsph.report.tables import BY_LABELS, BY_PAIRS, MEASURES, main_measure
from udsph.report.texts import one_line

Row = dict[str, Any]
DASHES = {"floor": (0, (1, 1)), "unsupervised": (0, (4, 2)), "supervised": (0, (6, 2, 1, 2)), "deep": "-"}
BY_BITS = {BY_LABELS: "map_by_bits.png", BY_PAIRS: "pair_recall_by_bits.png"}
MARKERS = "osv^DPXp<>h"  # 11, and 6 hues, filled and hollow: 132 methods differ
LONGEST_NAME = 40  # characters of a method's name
SPREAD = 0.3  # of the places of all methods at one code length, in octaves, so that their error bars can be seen


class Curve(NamedTuple):
    """A line of a figure: the mean over seeds, and its standard deviation, 0 where there is one seed."""

    x: np.ndarray
    y: np.ndarray
    deviation: np.ndarray


def draw_figures(rows: Sequence[Row], chance: float, caption: str, folder: Path) -> list[Path]:
    """MAP by bits, precision-recall, precision at N, training and encoding time, as PNG files; returns their paths.

    Without labels there is the recall of pairs by bits in place of the first three. Means over the seeds that
    succeeded; bars and bands are their standard deviation. The caption stands above each.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    done = [row for row in rows if "error" not in row]
    if not done:
        return []
    longest = max(row["bits"] for row in done)
    of_longest = [row for row in done if row["bits"] == longest]
    many = len({row["seed"] for row in done}) > 1
    title = f"{one_line(caption)}; mean and standard deviation over seeds" if many else one_line(caption)
    bits = f"{longest} bits"
    main = main_measure(done)
    with style():
        drawn = [_by_bits(folder / BY_BITS[main], title, done, main, chance)]
        if main == BY_LABELS:
            drawn += [
                _panels(folder / "precision_recall.png", title, of_longest, _recall, "recall", f"precision, {bits}"),
                _panels(folder / "precision_at_n.png", title, of_longest, _precision, "N", f"precision at N, {bits}"),
            ]
        return [
            *drawn,
            _bars(folder / "train_seconds.png", title, of_longest, "train_seconds", f"training time (s), {bits}"),
            _bars(
                folder / "encode_time.png",
                title,
                of_longest,
                "encode_microseconds_per_item",
                f"encoding time (µs an item), {bits}",
            ),
        ]


def _figure(width: float, height: float, title: str) -> Any:
    drawing = figure(width, height)
    lines = textwrap.wrap(title, int(13 * width), max_lines=4, placeholder=" ...")
    drawing.suptitle("\n".join(lines), x=0.01, ha="left", color=MUTED)
    return drawing


def _log_x(panel: Any, base: int) -> None:
    panel.set_xscale("log", base=base)
    plain_numbers(panel.xaxis)


def _two_panels(title: str, x: str, y: str) -> tuple[Any, dict[str, Any]]:
    """A figure with a panel for each direction."""
    drawing = _figure(12, 5.6, title)
    panels = dict(zip(DIRECTIONS, drawing.subplots(1, 2, sharey=True), strict=True))
    for direction, panel in panels.items():
        panel.set(title=in_words(direction), xlabel=x)
    panels["image_to_text"].set_ylabel(y)
    return drawing, panels


def _by_bits(path: Path, title: str, rows: Sequence[Row], measure: str, chance: float) -> Path:
    """Points with error bars, those of one code length beside each other, and each method's name behind its last."""
    drawing, panels = _two_panels(title, "bits", MEASURES[measure])
    styles = styles_of({row["method"]: row["kind"] for row in rows})
    ticks = sorted({row["bits"] for row in rows})
    ends: dict[str, list[tuple[str, float, float, str]]] = {direction: [] for direction in panels}
    for direction, panel in panels.items():
        _log_x(panel, 2)
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        for place, (name, line) in zip(np.linspace(-0.5, 0.5, len(styles) + 2)[1:-1], styles.items(), strict=True):
            curve = _scores([row for row in rows if row["method"] == name], direction, measure)
            bars = np.where(curve.deviation > 0, curve.deviation, np.nan)
            at = curve.x * 2 ** (SPREAD * place)
            panel.errorbar(at, curve.y, bars, elinewidth=1, **line)
            ends[direction].append((one_line(name)[:LONGEST_NAME], at[-1], curve.y[-1], line["color"]))
        if not np.isnan(chance):
            panel.axhline(chance, color=MUTED, linestyle=":", linewidth=1)
            panel.annotate("chance", (0, chance), xytext=(2, 2), xycoords=("axes fraction", "data"),
                           textcoords="offset points", fontsize=8, color=MUTED)  # fmt: skip
        panel.set_xlim(ticks[0] * 2 ** (-2 * SPREAD), ticks[-1] * 2 ** (2 * SPREAD))
    for direction, panel in panels.items():
        label_ends(panel, ends[direction], 8)
    return save(drawing, path)


def _panels(
    path: Path, title: str, rows: Sequence[Row], curve_of: Callable[[Sequence[Row], str], Curve], x: str, y: str
) -> Path:
    """Lines with a band. They run together at their ends: names stand aside, in the order of the lines."""
    drawing, panels = _two_panels(title, x, y)
    styles = styles_of({row["method"]: row["kind"] for row in rows})
    handles: dict[str, Any] = {}
    heights = dict.fromkeys(styles, 0.0)
    for direction, panel in panels.items():
        _log_x(panel, 10)
        for place, (name, line) in enumerate(styles.items()):
            curve = curve_of([row for row in rows if row["method"] == name], direction)
            every = max(1, len(curve.x) // 8)
            (handles[name],) = panel.plot(curve.x, curve.y, markevery=(place % every, every), **line)
            heights[name] += float(np.mean(curve.y))
            if curve.deviation.any():
                low, high = curve.y - curve.deviation, curve.y + curve.deviation
                panel.fill_between(curve.x, low, high, color=line["color"], alpha=0.15, linewidth=0)
    order = sorted(handles, key=lambda name: -heights[name])
    drawing.legend(
        [handles[name] for name in order], [one_line(name)[:LONGEST_NAME] for name in order],
        loc="outside right center", handlelength=3.5, labelcolor="linecolor",
    )  # fmt: skip
    return save(drawing, path)


def styles_of(kinds: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The line of each method: its own hue and marker, whatever is compared; dashes tell the kind; UDSPH stands out."""
    styles: dict[str, dict[str, Any]] = {}
    for place, (name, kind) in enumerate(kinds.items()):
        hue = HUES[place % len(HUES)]
        line = {"color": hue, "marker": MARKERS[place % len(MARKERS)], "markersize": 5}
        line["markerfacecolor"] = hue if place < len(HUES) * len(MARKERS) else SURFACE
        styles[name] = line | {"linewidth": 1.3, "linestyle": DASHES.get(kind, "-")}
    if "udsph" in styles:
        ours = {"color": INK, "markerfacecolor": INK, "linewidth": 2.5, "marker": "*", "markersize": 10, "zorder": 5}
        styles["udsph"] |= ours
    return styles


def _scores(rows: Sequence[Row], direction: str, measure: str) -> Curve:
    bits = sorted({row["bits"] for row in rows})
    found = [_over_seeds([row[direction][measure] for row in rows if row["bits"] == length]) for length in bits]
    return Curve(np.array(bits, float), *(np.array(values) for values in zip(*found, strict=True)))


def _recall(rows: Sequence[Row], direction: str) -> Curve:
    curves = [row[direction]["curve"] for row in rows]
    return Curve(np.mean([curve["recall"] for curve in curves], axis=0), *_over_seeds([c["precision"] for c in curves]))


def _precision(rows: Sequence[Row], direction: str) -> Curve:
    tables = [row[direction]["precision_at"] for row in rows]
    return Curve(np.array([int(k) for k in tables[0]], float), *_over_seeds([list(t.values()) for t in tables]))


def _over_seeds(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (that of a sample) along the first axis."""
    array = np.asarray(values, float)
    return array.mean(axis=0), array.std(axis=0, ddof=1) if len(array) > 1 else np.zeros(array.shape[1:])


def _bars(path: Path, title: str, rows: Sequence[Row], key: str, label: str) -> Path:
    names = list(dict.fromkeys(row["method"] for row in rows))
    drawing = _figure(7, 0.3 * len(names) + 1.6, title)
    panel = drawing.subplots()
    found = [_over_seeds([row[key] for row in rows if row["method"] == name]) for name in names]
    means, deviations = (np.array(values) for values in zip(*found, strict=True))
    places = np.arange(len(names))
    panel.barh(places, means, color=[INK if name == "udsph" else BLUE for name in names], height=0.65)
    some = deviations > 0
    down = np.minimum(deviations, 0.999 * means)  # the scale has no zero
    panel.errorbar(
        means[some], places[some], xerr=[down[some], deviations[some]], fmt="none", ecolor=MUTED, elinewidth=1
    )
    for place, mean, deviation in zip(places, means, deviations, strict=True):
        panel.annotate(f"{mean:.3g}", (mean + deviation, place), xytext=(4, 0), textcoords="offset points",
                       va="center", fontsize=8, color=MUTED)  # fmt: skip
    panel.set_yticks(places, [one_line(name)[:LONGEST_NAME] for name in names])
    panel.margins(y=0.02)
    panel.invert_yaxis()
    _log_x(panel, 10)
    panel.set_xlim(left=means.min() / 3)  # whatever a deviation that reaches zero asks for
    panel.set_xlabel(label)
    panel.grid(visible=False, axis="y")
    return save(drawing, path)
