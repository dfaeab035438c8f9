"""Tables and figures of a comparison, from the rows of its ``results.json``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.errors import MissingExtra

Row = dict[str, Any]
DIRECTIONS = ("image_to_text", "text_to_image")
TITLES = {"image_to_text": "image to text", "text_to_image": "text to image"}
CSV_COLUMNS = (
    "method", "kind", "bits", "seeds", "image_to_text_map", "image_to_text_deviation", "text_to_image_map",
    "text_to_image_deviation", "mean_map", "mean_deviation", "train_seconds", "train_cpu_seconds",
    "encode_microseconds_per_item", "errors",
)  # fmt: skip


def summarise(rows: Iterable[Row]) -> list[Row]:
    """One entry per method and code length, in the order of the rows: means and deviations over seeds that succeeded.

    A method of which every seed failed has NaN for scores and its number of errors.
    """
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["bits"]), []).append(row)
    return [_summary(members) for members in groups.values()]


def _summary(members: list[Row]) -> Row:
    done = [row for row in members if "error" not in row]
    first = members[0]
    entry: Row = {"method": first["method"], "kind": first["kind"], "bits": first["bits"], "seeds": len(done)}
    for direction in DIRECTIONS:
        values = [row[direction]["map"] for row in done]
        entry[f"{direction}_map"] = float(np.mean(values)) if values else math.nan
        entry[f"{direction}_deviation"] = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    means = [float(np.mean([row[direction]["map"] for direction in DIRECTIONS])) for row in done]
    entry["mean_map"] = float(np.mean(means)) if means else math.nan
    entry["mean_deviation"] = float(np.std(means, ddof=1)) if len(means) > 1 else math.nan
    for key in ("train_seconds", "train_cpu_seconds", "encode_microseconds_per_item"):
        values = [row[key] for row in done if key in row]  # rows of earlier versions have no processor time
        entry[key] = float(np.mean(values)) if values else math.nan
    entry["errors"] = len(members) - len(done)
    return entry


def write_tables(rows: Sequence[Row], chance: float, caption: str, folder: Path) -> list[Path]:
    """``results.csv``, ``results.md`` and ``results.tex``; returns their paths."""
    entries = summarise(rows)
    texts = {
        "results.md": markdown_table(entries, chance, caption),
        "results.tex": latex_table(entries, chance, caption),
    }
    paths = []
    for name, text in texts.items():
        paths.append(folder / name)
        _replace(paths[-1], text)
    path = folder / "results.csv"
    part = path.with_name(f".{path.name}.part")
    with part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS)
        writer.writeheader()
        writer.writerows({key: _csv_value(entry[key]) for key in CSV_COLUMNS} for entry in entries)
    part.replace(path)
    return [path, *paths]


def markdown_table(entries: Sequence[Row], chance: float, caption: str) -> str:
    """Methods in rows; code lengths of both directions, then their mean, in columns; the best of a column in bold."""
    bits = sorted({entry["bits"] for entry in entries})
    heads = [f"{short} {length}" for short in ("I→T", "T→I", "mean") for length in bits]
    lines = [f"{caption}; chance {chance:.3f}.", ""]
    lines.append("| method | " + " | ".join(heads) + " | seeds | train s | processor s |")
    lines.append("| --- | " + " | ".join("---:" for _ in heads) + " | ---: | ---: | ---: |")
    for name, cells, seeds, *times in _cells(entries, bits, "**{}**", " ± "):
        lines.append(f"| {name} | " + " | ".join([*cells, seeds, *times]) + " |")
    return "\n".join(lines) + "\n"


def latex_table(entries: Sequence[Row], chance: float, caption: str) -> str:
    """The same table for a paper (needs ``booktabs``)."""
    bits = sorted({entry["bits"] for entry in entries})
    lines = [
        r"\begin{table}",
        rf"\caption{{{_latex(caption)}; chance {chance:.3f}.}}",
        r"\begin{tabular}{l" + "r" * (3 * len(bits)) + "}",
        r"\toprule",
        " & " + " & ".join(rf"\multicolumn{{{len(bits)}}}{{c}}{{{t}}}" for t in (*TITLES.values(), "mean")) + r" \\",
        "method & " + " & ".join(str(length) for _ in range(3) for length in bits) + r" \\",
        r"\midrule",
    ]
    for name, cells, *_ in _cells(entries, bits, r"\textbf{{{}}}", r" $\pm$ "):
        lines.append(f"{_latex(name)} & " + " & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _cells(
    entries: Sequence[Row], bits: Sequence[int], bold: str, plus_minus: str
) -> Iterable[tuple[str, list[str], str, str, str]]:
    """For each method: name, scores as text, numbers of seeds, mean training time by clock and by processor."""
    by = {(entry["method"], entry["bits"]): entry for entry in entries}
    keys = ("image_to_text_map", "text_to_image_map", "mean_map")
    best = {
        (key, length): max((e[key] for e in entries if e["bits"] == length and e["seeds"]), default=math.nan)
        for key in keys
        for length in bits
    }
    for name in dict.fromkeys(entry["method"] for entry in entries):
        cells = []
        for key in keys:
            for length in bits:
                entry = by.get((name, length))
                if entry is None or not entry["seeds"]:
                    cells.append("-" if entry is None else "failed")
                    continue
                text = f"{entry[key]:.3f}"
                text = bold.format(text) if entry[key] == best[key, length] else text
                deviation = entry.get(key.replace("map", "deviation"), math.nan)
                cells.append(text if math.isnan(deviation) else f"{text}{plus_minus}{deviation:.3f}")
        own = [by[name, length] for length in bits if (name, length) in by]
        seeds = sorted({entry["seeds"] for entry in own})
        seconds, processor = (
            [entry[key] for entry in own if not math.isnan(entry[key])]
            for key in ("train_seconds", "train_cpu_seconds")
        )
        yield name, cells, "/".join(map(str, seeds)), _mean_text(seconds), _mean_text(processor)


def _mean_text(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1f}" if values else "-"


def draw_figures(rows: Sequence[Row], chance: float, folder: Path) -> list[Path]:
    """MAP by bits, precision-recall, precision at N, training and encoding time, as PNG files; returns their paths.

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
    return [
        _panels(folder / "map_by_bits.png", done, _draw_map, "bits", "MAP", chance),
        _panels(folder / "precision_recall.png", of_longest, _draw_recall, "recall", f"precision, {longest} bits"),
        _panels(folder / "precision_at_n.png", of_longest, _draw_precision, "N", f"precision at N, {longest} bits"),
        _bars(folder / "train_seconds.png", of_longest, "train_seconds", f"training time (s), {longest} bits"),
        _bars(
            folder / "encode_time.png",
            of_longest,
            "encode_microseconds_per_item",
            f"encoding time (µs an item), {longest} bits",
        ),
    ]


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtra("drawing the figures", "report") from None
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> Path:
    part = path.with_name(f".{path.name}.part")
    figure.savefig(part, format="png", dpi=120)
    part.replace(path)
    return path


def _panels(path: Path, rows: Sequence[Row], draw: Any, x: str, y: str, floor: float | None = None) -> Path:
    """One panel a direction, one line a method."""
    figure = _figure(11, 5)
    panels = figure.subplots(1, 2, sharey=True)
    names = list(dict.fromkeys(row["method"] for row in rows))
    styles = _styles({row["method"]: row["kind"] for row in rows})
    for panel, direction in zip(panels, DIRECTIONS, strict=True):
        for name in names:
            own = [row for row in rows if row["method"] == name]
            x_values, y_values = draw(own, direction)
            every = max(1, len(x_values) // 8)
            panel.plot(x_values, y_values, label=name, markevery=every, **styles[name])
        if floor is not None:
            panel.axhline(floor, color="black", linestyle=":", linewidth=1, label="chance")
        panel.set(title=TITLES[direction], xlabel=x)
        panel.grid(alpha=0.3)
    if draw is not _draw_recall:
        for panel in panels:
            panel.set_xscale("log", base=2 if draw is _draw_map else 10)
    if draw is _draw_map:
        ticks = sorted({row["bits"] for row in rows})
        for panel in panels:
            panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panels[0].set_ylabel(y)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right center", fontsize="small", handlelength=3.5
    )
    return _save(figure, path)


DASHES = {"floor": (0, (1, 1)), "unsupervised": (0, (4, 2)), "supervised": (0, (6, 2, 1, 2)), "deep": "-"}


def _styles(kinds: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The line of each method: dashes tell the kind, hue and marker the method within its kind; UDSPH stands out."""
    from matplotlib import colormaps

    styles: dict[str, dict[str, Any]] = {}
    places = dict.fromkeys(kinds.values(), 0)
    for name, kind in kinds.items():
        place = places[kind]
        colour, marker = colormaps["tab10"](place % 10), "osv^DPXp<>"[place % 10]
        styles[name] = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.3}
        styles[name]["linestyle"] = DASHES.get(kind, "-")
        places[kind] += 1
    if "udsph" in styles:
        styles["udsph"] |= {"color": "black", "linewidth": 2.5, "marker": "*", "markersize": 10, "zorder": 5}
    return styles


def _draw_map(rows: Sequence[Row], direction: str) -> tuple[list[int], list[float]]:
    bits = sorted({row["bits"] for row in rows})
    return bits, [float(np.mean([row[direction]["map"] for row in rows if row["bits"] == b])) for b in bits]


def _draw_recall(rows: Sequence[Row], direction: str) -> tuple[np.ndarray, np.ndarray]:
    curves = [row[direction]["curve"] for row in rows]
    recall, precision = (np.mean([curve[key] for curve in curves], axis=0) for key in ("recall", "precision"))
    return recall, precision


def _draw_precision(rows: Sequence[Row], direction: str) -> tuple[list[int], np.ndarray]:
    tables = [row[direction]["precision_at"] for row in rows]
    return [int(k) for k in tables[0]], np.mean([list(table.values()) for table in tables], axis=0)


def _bars(path: Path, rows: Sequence[Row], key: str, title: str) -> Path:
    names = list(dict.fromkeys(row["method"] for row in rows))
    figure = _figure(7, 0.3 * len(names) + 1.2)
    panel = figure.subplots()
    values = [float(np.mean([row[key] for row in rows if row["method"] == name])) for name in names]
    panel.barh(names, values, color="#4477aa")
    panel.invert_yaxis()
    panel.set(xscale="log", xlabel=title)
    panel.grid(alpha=0.3, axis="x")
    return _save(figure, path)


def _csv_value(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value


def _latex(text: str) -> str:
    for mark in "\\&%$#_{}":
        text = text.replace(mark, "\\textbackslash{}" if mark == "\\" else f"\\{mark}")
    return text


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
