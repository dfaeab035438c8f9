"""Tables of a comparison, from the rows of its ``results.json``: CSV, Markdown, LaTeX."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.directions import DIRECTIONS, in_words
from udsph.files import replacing, write_text
from udsph.report.texts import latex, markdown, spreadsheet

Row = dict[str, Any]
CSV_COLUMNS = (
    "method", "kind", "bits", "epochs", "seeds", "image_to_text_map", "image_to_text_deviation", "text_to_image_map",
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
    entry: Row = {"method": first["method"], "kind": first["kind"], "bits": first["bits"]}
    # Only deep methods have epochs, and rows of earlier versions do not say how many.
    epochs = {row["epochs"] for row in done if "epochs" in row}
    entry |= {"epochs": epochs.pop() if len(epochs) == 1 else math.nan, "seeds": len(done)}
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
        write_text(paths[-1], text)
    path = folder / "results.csv"
    with replacing(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS)
        writer.writeheader()
        writer.writerows({key: _csv_value(entry[key]) for key in CSV_COLUMNS} for entry in entries)
    return [path, *paths]


def markdown_table(entries: Sequence[Row], chance: float, caption: str) -> str:
    """Methods in rows; code lengths of both directions, then their mean, in columns; the best of a column in bold.

    Means over the seeds that succeeded, with their standard deviation where there are several.
    """
    bits = sorted({entry["bits"] for entry in entries})
    heads = [f"{short} {length}" for short in ("I→T", "T→I", "mean") for length in bits]
    lines = [f"{markdown(caption)}; chance {chance:.3f}.", ""]
    lines.append("| method | " + " | ".join(heads) + " | seeds | train s | processor s |")
    lines.append("| --- | " + " | ".join("---:" for _ in heads) + " | ---: | ---: | ---: |")
    for name, cells, seeds, *times in _cells(entries, bits, "**{}**", " ± "):
        lines.append(f"| {markdown(name)} | " + " | ".join([*cells, seeds, *times]) + " |")
    return "\n".join(lines) + "\n"


def latex_table(entries: Sequence[Row], chance: float, caption: str) -> str:
    """The same table for a paper (needs ``booktabs``)."""
    bits = sorted({entry["bits"] for entry in entries})
    titles = [*map(in_words, DIRECTIONS), "mean"]
    lines = [
        r"\begin{table}",
        rf"\caption{{{latex(caption)}; chance {chance:.3f}.}}",
        r"\begin{tabular}{l" + "r" * (3 * len(bits)) + "}",
        r"\toprule",
        " & " + " & ".join(rf"\multicolumn{{{len(bits)}}}{{c}}{{{title}}}" for title in titles) + r" \\",
        "method & " + " & ".join(str(length) for _ in range(3) for length in bits) + r" \\",
        r"\midrule",
    ]
    for name, cells, *_ in _cells(entries, bits, r"\textbf{{{}}}", r" $\pm$ "):
        lines.append(f"{latex(name)} & " + " & ".join(cells) + r" \\")
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


def _csv_value(value: Any) -> Any:
    if isinstance(value, str):
        return spreadsheet(value)
    return "" if isinstance(value, float) and math.isnan(value) else value
