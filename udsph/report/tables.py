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
# Of a direction in a row, by name: what stands above a column. A greater value is better, but for a rank.
MEASURES = {
    "map": "MAP",
    "ndcg_linear@100": "NDCG@100",
    "pair_recall@1": "R@1",
    "pair_recall@5": "R@5",
    "pair_recall@10": "R@10",
    "pair_median_rank": "median rank",
}
RANK = "pair_median_rank"
# What a table shows of both directions, where there are labels, and where there are none; and their mean beside it.
BY_LABELS, BY_PAIRS = "map", "pair_recall@10"
BESIDE = {BY_LABELS: ("ndcg_linear@100", "pair_recall@10", RANK), BY_PAIRS: ("pair_recall@1", RANK)}
CSV_COLUMNS = (
    "method", "kind", "bits", "epochs", "pairs", "seeds", "image_to_text_map", "image_to_text_deviation",
    "text_to_image_map", "text_to_image_deviation", "mean_map", "mean_deviation",
    *(
        f"{side}_{measure}{end}" for measure in list(MEASURES)[1:]
        for side, end in (("image_to_text", ""), ("text_to_image", ""), ("mean", ""), ("mean", "_deviation"))
    ),
    "train_seconds", "train_cpu_seconds", "encode_microseconds_per_item", "errors",
)  # fmt: skip


def main_measure(rows: Iterable[Row]) -> str:
    """What the table of these rows shows of both directions: MAP, or R@10 where none of them has a MAP."""
    done = [row for row in rows if "error" not in row]
    return BY_PAIRS if done and not any("map" in row["image_to_text"] for row in done) else BY_LABELS


def summarise(rows: Iterable[Row]) -> list[Row]:
    """One entry per method and code length, in the order of the rows: means and deviations over seeds that succeeded.

    A method of which every seed failed has NaN for scores and its number of errors, as has one for what is not measured
    on its data, or was not by an earlier version.
    """
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["bits"]), []).append(row)
    return [_summary(members) for members in groups.values()]


def _summary(members: list[Row]) -> Row:
    done = [row for row in members if "error" not in row]
    first = members[0]
    entry: Row = {"method": first["method"], "kind": first["kind"], "bits": first["bits"]}
    # Only deep methods have epochs, and rows of earlier versions say neither them nor the pairs that were learnt from.
    for key in ("epochs", "pairs"):
        known = {row[key] for row in done if key in row}
        entry[key] = known.pop() if len(known) == 1 else math.nan
    entry["seeds"] = len(done)
    for measure in MEASURES:
        values = [[row[direction].get(measure, math.nan) for direction in DIRECTIONS] for row in done]
        for side, column in zip((*DIRECTIONS, "mean"), _columns(values), strict=True):
            entry[f"{side}_{measure}"] = float(np.mean(column)) if len(column) else math.nan
            entry[_deviation(side, measure)] = float(np.std(column, ddof=1)) if len(column) > 1 else math.nan
    for key in ("train_seconds", "train_cpu_seconds", "encode_microseconds_per_item"):
        times = [row[key] for row in done if key in row]  # rows of earlier versions have no processor time
        entry[key] = float(np.mean(times)) if times else math.nan
    entry["errors"] = len(members) - len(done)
    return entry


def _columns(values: list[list[float]]) -> list[np.ndarray]:
    """Of each direction the values of all seeds, and their mean over both."""
    table = np.array(values, float).reshape(-1, len(DIRECTIONS))
    return [*table.T, table.mean(axis=1)]


def _deviation(side: str, measure: str) -> str:
    """The name of a deviation in an entry; that of MAP has none of a measure, as before there were others."""
    return f"{side}_deviation" if measure == BY_LABELS else f"{side}_{measure}_deviation"


def write_tables(
    rows: Sequence[Row], chance: float, caption: str, folder: Path, notes: Sequence[str] = ()
) -> list[Path]:
    """``results.csv``, ``results.md`` and ``results.tex``; returns their paths."""
    entries = summarise(rows)
    texts = {
        "results.md": markdown_table(entries, chance, caption, notes),
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


def markdown_table(entries: Sequence[Row], chance: float, caption: str, notes: Sequence[str] = ()) -> str:
    """Methods in rows; code lengths of both directions, then their mean, in columns; the best of a column in bold.

    A second table has what else is measured, as the mean of both directions; below stand the notes. Means over the
    seeds that succeeded, with their standard deviation where there are several.
    """
    bits = sorted({entry["bits"] for entry in entries})
    main = _main(entries)
    heads = [f"{short} {length}" for short in ("I→T", "T→I", "mean") for length in bits]
    lines = [f"{markdown(caption)}{_by_chance(chance)}.", ""]
    lines.append("| method | " + " | ".join(heads) + " | seeds | train s | processor s |")
    lines.append("| --- | " + " | ".join("---:" for _ in heads) + " | ---: | ---: | ---: |")
    keys = [f"{side}_{main}" for side in (*DIRECTIONS, "mean")]
    for name, cells, seeds, *times in _cells(entries, bits, keys, "**{}**", " ± "):
        lines.append(f"| {markdown(name)} | " + " | ".join([*cells, seeds, *times]) + " |")
    beside = [measure for measure in BESIDE[main] if _any(entries, f"mean_{measure}")]
    if beside:
        heads = [f"{MEASURES[measure]} {length}" for measure in beside for length in bits]
        lines += ["", "Mean of both directions; pairs among the queries.", "", "| method | " + " | ".join(heads) + " |"]
        lines.append("| --- | " + " | ".join("---:" for _ in heads) + " |")
        for name, cells, *_ in _cells(entries, bits, [f"mean_{measure}" for measure in beside], "**{}**", " ± "):
            lines.append(f"| {markdown(name)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(line for note in notes for line in ("", markdown(note)))]) + "\n"


def _main(entries: Sequence[Row]) -> str:
    return BY_LABELS if _any(entries, f"mean_{BY_LABELS}") or not _any(entries, f"mean_{BY_PAIRS}") else BY_PAIRS


def _any(entries: Sequence[Row], key: str) -> bool:
    return any(not math.isnan(entry[key]) for entry in entries)


def _by_chance(chance: float) -> str:
    return "" if math.isnan(chance) else f"; chance {chance:.3f}"


def latex_table(entries: Sequence[Row], chance: float, caption: str) -> str:
    """The first of the tables for a paper (needs ``booktabs``)."""
    bits = sorted({entry["bits"] for entry in entries})
    titles = [*map(in_words, DIRECTIONS), "mean"]
    lines = [
        r"\begin{table}",
        rf"\caption{{{latex(caption)}{_by_chance(chance)}.}}",
        r"\begin{tabular}{l" + "r" * (3 * len(bits)) + "}",
        r"\toprule",
        " & " + " & ".join(rf"\multicolumn{{{len(bits)}}}{{c}}{{{title}}}" for title in titles) + r" \\",
        "method & " + " & ".join(str(length) for _ in range(3) for length in bits) + r" \\",
        r"\midrule",
    ]
    keys = [f"{side}_{_main(entries)}" for side in (*DIRECTIONS, "mean")]
    for name, cells, *_ in _cells(entries, bits, keys, r"\textbf{{{}}}", r" $\pm$ "):
        lines.append(f"{latex(name)} & " + " & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _cells(
    entries: Sequence[Row], bits: Sequence[int], keys: Sequence[str], bold: str, plus_minus: str
) -> Iterable[tuple[str, list[str], str, str, str]]:
    """For each method: name, scores as text, numbers of seeds, mean training time by clock and by processor."""
    by = {(entry["method"], entry["bits"]): entry for entry in entries}
    best = {(key, length): _best(entries, key, length) for key in keys for length in bits}
    for name in dict.fromkeys(entry["method"] for entry in entries):
        cells = [_cell(by.get((name, n)), key, best[key, n], bold, plus_minus) for key in keys for n in bits]
        own = [by[name, length] for length in bits if (name, length) in by]
        seeds = sorted({entry["seeds"] for entry in own})
        seconds, processor = (
            [entry[key] for entry in own if not math.isnan(entry[key])]
            for key in ("train_seconds", "train_cpu_seconds")
        )
        yield name, cells, "/".join(map(str, seeds)), _mean_text(seconds), _mean_text(processor)


def _best(entries: Sequence[Row], key: str, length: int) -> float:
    """The best value of a column, the least of ranks; NaN where there is none."""
    values = [entry[key] for entry in entries if entry["bits"] == length and not math.isnan(entry[key])]
    choose = min if key.endswith(RANK) else max
    return choose(values, default=math.nan)


def _cell(entry: Row | None, key: str, best: float, bold: str, plus_minus: str) -> str:
    if entry is None or (entry["seeds"] and math.isnan(entry[key])):
        return "-"
    if not entry["seeds"]:
        return "failed"
    form = ".1f" if key.endswith(RANK) else ".3f"
    text = format(entry[key], form)
    text = bold.format(text) if entry[key] == best else text
    deviation = entry.get(f"{key.removesuffix(f'_{BY_LABELS}')}_deviation", math.nan)
    return text if math.isnan(deviation) else f"{text}{plus_minus}{format(deviation, form)}"


def _mean_text(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1f}" if values else "-"


def _csv_value(value: Any) -> Any:
    if isinstance(value, str):
        return spreadsheet(value)
    return "" if isinstance(value, float) and math.isnan(value) else value
