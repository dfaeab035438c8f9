"""Figures of what ``planner.py`` has measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from udsph import plotting

NOTHING = 30.0  # microseconds of a call below which nothing is compared
LEAST, WORST = 0.8, 1.6  # times the better way: the ends of the colours
BATCH = 64

Results = dict[str, dict[str, list[Any]]]


def draw(results: Results, folder: Path) -> list[Path]:
    """The planner against the better of lookups and scan, and where these cross."""
    with plotting.style():
        return [_grid(results, folder / "planner-grid.svg"), _crossover(results, folder / "planner-crossover.svg")]


def _cells(results: Results) -> dict[tuple[str, int, int, str], dict[str, list[Any]]]:
    named = {}
    for name, tasks in results.items():
        kind, bits, n, step = name.split()
        named[kind, int(bits), int(n), step] = tasks
    return dict(sorted(named.items()))


def _grid(results: Results, path: Path) -> Path:
    cells, tasks = _cells(results), list(dict.fromkeys(task for each in results.values() for task in each))
    figure = plotting.figure(9, 1.2 + 0.13 * len(cells))
    panels = figure.subplots(1, 2, sharey=False)
    shown = None
    for axes, step in zip(panels, ("batch", "one"), strict=True):
        rows = {key: each for key, each in cells.items() if key[3] == step}
        values = np.full((len(rows), len(tasks)), np.nan)
        for line, each in enumerate(rows.values()):
            for column, task in enumerate(tasks):
                scan, lookups, planner = each.get(task, (None, None, None))
                if scan is None:
                    continue
                better = scan if lookups is None else min(scan, lookups)
                if min(better, planner) * (BATCH if step == "batch" else 1) > NOTHING:
                    values[line, column] = planner / better
        shown = axes.imshow(values, cmap="RdYlBu_r", vmin=LEAST, vmax=WORST, aspect="auto")
        axes.set_xticks(range(len(tasks)), tasks, rotation=60, ha="right")
        axes.set_yticks(range(len(rows)), [f"{kind} {bits}, {n:,}" for kind, bits, n, _ in rows])
        axes.grid(False)
        axes.set_title("batch of 64 queries" if step == "batch" else "one query")
    figure.colorbar(shown, ax=panels, label="planner's time over that of the better way", shrink=0.6)
    plotting.save(figure, path)
    return path


def _crossover(results: Results, path: Path) -> Path:
    """Times that a scan takes over lookups, k = 10, by the number of codes: they cross at 1."""
    cells = _cells(results)
    figure = plotting.figure(9, 3.6)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, step in zip(panels, ("batch", "one"), strict=True):
        axes.set_xscale("log")
        axes.set_yscale("log")
        ends = []
        kinds = list(dict.fromkeys((kind, bits) for kind, bits, _, _ in cells))
        for (kind, bits), colour in zip(kinds, plotting.HUES * 4, strict=False):
            points = {}
            for (other, width, n, how), tasks in cells.items():
                scan, lookups, _ = tasks["k=10"]
                if (other, width, how) == (kind, bits, step) and lookups is not None:
                    points[n] = scan / lookups
            if points:
                axes.plot(list(points), list(points.values()), marker="o", color=colour)
                ends.append((f"{kind} {bits}", max(points), points[max(points)], colour))
        axes.axhline(1, color=plotting.MUTED, linewidth=1)
        plotting.plain_numbers(axes.xaxis)
        plotting.plain_numbers(axes.yaxis)
        axes.set(title="batch of 64 queries" if step == "batch" else "one query", xlabel="codes")
        plotting.label_ends(axes, ends, 7)
    panels[0].set_ylabel("scan's time over that of lookups, k = 10")
    plotting.save(figure, path)
    return path
