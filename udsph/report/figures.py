"""Figures of a comparison, from the rows of its ``results.json``."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from udsph.data.directions import DIRECTIONS, in_words
from udsph.files import beside
from udsph.report.canvas import figure_class, plain_text
from udsph.report.tables import BY_LABELS, BY_PAIRS, MEASURES, main_measure
from udsph.report.texts import one_line

Row = dict[str, Any]
DASHES = {"floor": (0, (1, 1)), "unsupervised": (0, (4, 2)), "supervised": (0, (6, 2, 1, 2)), "deep": "-"}
BY_BITS = {BY_LABELS: "map_by_bits.png", BY_PAIRS: "pair_recall_by_bits.png"}
MARKERS = "osv^DPXp<>h"  # 11, and 10 colours: 110 methods differ
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
    with plain_text():
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
    figure = figure_class()(figsize=(width, height), layout="constrained")
    lines = textwrap.wrap(title, int(13 * width), max_lines=4, placeholder=" ...")
    figure.suptitle("\n".join(lines), fontsize="medium")
    return figure


def _save(figure: Any, path: Path) -> Path:
    with beside(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    return path


def _log_x(panel: Any, base: int) -> None:
    """Powers as plain numbers: those of matplotlib are mathematics."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    panel.set_xscale("log", base=base)
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _two_panels(title: str, x: str, y: str) -> tuple[Any, dict[str, Any]]:
    """A figure with a panel for each direction."""
    figure = _figure(11, 5.3, title)
    panels = dict(zip(DIRECTIONS, figure.subplots(1, 2, sharey=True), strict=True))
    for direction, panel in panels.items():
        panel.set(title=in_words(direction), xlabel=x)
        panel.grid(alpha=0.3)
    panels["image_to_text"].set_ylabel(y)
    return figure, panels


def _legend(figure: Any, handles: dict[str, Any]) -> None:
    figure.legend(
        list(handles.values()),
        list(map(one_line, handles)),
        loc="outside right center",
        fontsize="small",
        handlelength=3.5,
    )


def _by_bits(path: Path, title: str, rows: Sequence[Row], measure: str, chance: float) -> Path:
    """Points with error bars, those of one code length beside each other."""
    figure, panels = _two_panels(title, "bits", MEASURES[measure])
    styles = styles_of({row["method"]: row["kind"] for row in rows})
    ticks = sorted({row["bits"] for row in rows})
    handles: dict[str, Any] = {}
    for direction, panel in panels.items():
        _log_x(panel, 2)
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        for place, (name, style) in zip(np.linspace(-0.5, 0.5, len(styles) + 2)[1:-1], styles.items(), strict=True):
            curve = _scores([row for row in rows if row["method"] == name], direction, measure)
            bars = np.where(curve.deviation > 0, curve.deviation, np.nan)
            at = curve.x * 2 ** (SPREAD * place)
            handles[name] = panel.errorbar(at, curve.y, bars, capsize=3, elinewidth=1, **style)
        if not np.isnan(chance):
            handles["chance"] = panel.axhline(chance, color="black", linestyle=":", linewidth=1)
        panel.set_xlim(ticks[0] * 2 ** (-2 * SPREAD), ticks[-1] * 2 ** (2 * SPREAD))
    _legend(figure, handles)
    return _save(figure, path)


def _panels(
    path: Path, title: str, rows: Sequence[Row], curve_of: Callable[[Sequence[Row], str], Curve], x: str, y: str
) -> Path:
    """Lines with a band."""
    figure, panels = _two_panels(title, x, y)
    styles = styles_of({row["method"]: row["kind"] for row in rows})
    handles: dict[str, Any] = {}
    for direction, panel in panels.items():
        _log_x(panel, 10)
        for place, (name, style) in enumerate(styles.items()):
            curve = curve_of([row for row in rows if row["method"] == name], direction)
            every = max(1, len(curve.x) // 8)
            (handles[name],) = panel.plot(curve.x, curve.y, markevery=(place % every, every), **style)
            if curve.deviation.any():
                low, high = curve.y - curve.deviation, curve.y + curve.deviation
                panel.fill_between(curve.x, low, high, color=style["color"], alpha=0.15, linewidth=0)
    _legend(figure, handles)
    return _save(figure, path)


def styles_of(kinds: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The line of each method: its own hue and marker, whatever is compared; dashes tell the kind; UDSPH stands out."""
    from matplotlib import colormaps

    styles: dict[str, dict[str, Any]] = {}
    for place, (name, kind) in enumerate(kinds.items()):
        style = {"color": colormaps["tab10"](place % 10), "marker": MARKERS[place % len(MARKERS)], "markersize": 5}
        styles[name] = style | {"linewidth": 1.3, "linestyle": DASHES.get(kind, "-")}
    if "udsph" in styles:
        styles["udsph"] |= {"color": "black", "linewidth": 2.5, "marker": "*", "markersize": 10, "zorder": 5}
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
    figure = _figure(7, 0.3 * len(names) + 1.6, title)
    panel = figure.subplots()
    found = [_over_seeds([row[key] for row in rows if row["method"] == name]) for name in names]
    means, deviations = (np.array(values) for values in zip(*found, strict=True))
    places = np.arange(len(names))
    panel.barh(places, means, color="#4477aa")
    some = deviations > 0
    down = np.minimum(deviations, 0.999 * means)  # the scale has no zero
    panel.errorbar(
        means[some], places[some], xerr=[down[some], deviations[some]], fmt="none", ecolor="black", capsize=3
    )
    panel.set_yticks(places, list(map(one_line, names)))
    panel.invert_yaxis()
    _log_x(panel, 10)
    panel.set_xlim(left=means.min() / 3)  # whatever a deviation that reaches zero asks for
    panel.set_xlabel(label)
    panel.grid(alpha=0.3, axis="x")
    return _save(figure, path)
