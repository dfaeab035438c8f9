"""The tables of the study of the model, and the file in which its rows are kept from one machine to the next."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from udsph.data.directions import DIRECTIONS
from udsph.files import write_text

Row = Mapping[str, Any]
NDCG, RECALL = "ndcg_linear@100", "pair_recall@10"
BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"
COLUMNS = (
    *("bits", "variant", "seeds", "I→T", "T→I", "I→T, test pairs", "T→I, test pairs", "mean", "difference", "by"),
    *("p", "p, Holm", "NDCG@100", "recall@10 of pairs", "label to label", "processor s"),
)
_ABOUT = ("case", "variant", "bits", "seed", "date", "machine", "torch", "processor_seconds", "training")
_MEASURED = ("map", NDCG, "pair_recall@1", RECALL)


def tables(rows: Sequence[Row], cases: Mapping[str, Any], variants: Iterable[str]) -> str:
    """Markdown: one table a case, variants in the order of ``variants``."""
    good, order = [row for row in rows if "error" not in row], list(variants)
    pieces = [table_of(case, [row for row in good if row["case"] == name], order) for name, case in cases.items()]
    failed = [row for row in rows if "error" in row]
    if failed:
        pieces.append("Failed and left out: " + ", ".join(f"{r['case']} {r['variant']} {r['bits']}" for r in failed))
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def table_of(case: Any, rows: Sequence[Row], order: Sequence[str]) -> str:
    """One line for each code length and variant."""
    if not rows:
        return ""
    found: dict[tuple[int, str], dict[int, Row]] = {}
    for row in sorted(rows, key=lambda row: (-row["bits"], order.index(row["variant"]), row["seed"])):
        found.setdefault((row["bits"], row["variant"]), {})[row["seed"]] = row
    compared = {key: comparison(case.against, key, found) for key in found}
    p_values = [p for _, _, p in compared.values() if p is not None]
    lines = ["| " + " | ".join(COLUMNS) + " |"]
    lines.append("| " + " | ".join("---" if name in ("variant", "difference") else "---:" for name in COLUMNS) + " |")
    lines += [line_of(key, of_seeds, *compared[key], p_values) for key, of_seeds in found.items()]
    machines = ", ".join(sorted({row["machine"] for row in rows}))
    dates = sorted({row["date"] for row in rows})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    first = rows[0]["database"]
    size = f"{first['n_query']:,} queries, {first['n_database']:,} items, chance {first['chance']:.3f}"
    return f"**{case.title}** ({size}; {when}; {machines})\n\n" + "\n".join(lines)


def comparison(
    against: Mapping[str, str], key: tuple[int, str], found: Mapping[tuple[int, str], Mapping[int, Row]]
) -> tuple[str, list[float], float | None]:
    """What a variant is compared with, the differences of the mean MAP over the seeds that both have, and their p."""
    bits, variant = key
    other = against.get(variant, "" if variant == "full" else "full")
    if (bits, other) not in found:
        return "", [], None
    mine, theirs = found[key], found[bits, other]
    sign = 1 if variant in against else -1
    differences = [sign * (mean_map(mine[seed]) - mean_map(theirs[seed])) for seed in sorted(set(mine) & set(theirs))]
    return (f"this minus {_name(other)}" if variant in against else "full minus this"), differences, p_of(differences)


def line_of(
    key: tuple[int, str],
    found: Mapping[int, Row],
    difference: str,
    differences: Sequence[float],
    p: float | None,
    p_values: Sequence[float],
) -> str:
    cells = [str(key[0]), _name(key[1]), str(len(found))]
    for database in ("database", "query"):
        cells += [spread([row[database][direction]["map"] for row in found.values()]) for direction in DIRECTIONS]
    cells.append(spread([mean_map(row) for row in found.values()]))
    cells += [difference, f"{statistics.mean(differences):+.4f}" if differences else ""]
    cells += ["", ""] if p is None else [f"{p:.2g}", f"{holm(p, p_values):.2g}"]
    for name in (NDCG, RECALL):
        values = [mean_of(row, name) for row in found.values()]
        cells.append("" if None in values else spread([value for value in values if value is not None]))
    ceilings = [row["database"]["label_to_label"] for row in found.values() if "label_to_label" in row["database"]]
    cells.append(f"{statistics.mean(ceilings):.3f}" if ceilings else "")
    cells.append(f"{statistics.mean(row['processor_seconds'] for row in found.values()):.0f}")
    return "| " + " | ".join(cells) + " |"


def _name(variant: str) -> str:
    return variant if variant == "full" else f"`{variant}`"


def mean_map(row: Row) -> float:
    return statistics.mean(row["database"][direction]["map"] for direction in DIRECTIONS)


def mean_of(row: Row, name: str) -> float | None:
    """A figure as the mean of both directions; None in rows of before it was measured."""
    values = [row["database"][direction].get(name) for direction in DIRECTIONS]
    return None if None in values else statistics.mean(values)


def spread(values: Sequence[float]) -> str:
    """``mean ± standard deviation of one value``; the value alone if there is one."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def p_of(differences: Sequence[float]) -> float | None:
    """Of the paired t-test that the mean difference is zero; none for fewer than 3 pairs."""
    if len(differences) < 3 or statistics.stdev(differences) == 0:
        return None
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0).pvalue)


def holm(p: float, p_values: Sequence[float]) -> float:
    """``p``, one of ``p_values``, corrected by Holm for their number.

    >>> [holm(p, [0.01, 0.04, 0.03]) for p in (0.01, 0.03, 0.04)]
    [0.03, 0.06, 0.06]
    """
    ordered = sorted(p_values)
    return min(1.0, max(q * (len(ordered) - place) for place, q in enumerate(ordered) if q <= p))


def write_into(page: Path, text: str) -> None:
    """Put the tables between the page's two marks."""
    content = page.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} has no lines '{BEGIN}' and '{END}'")
    write_text(page, f"{before}{BEGIN}\n\n{text}\n{END}{after}")


# -- rows that are kept ------------------------------------------------------------------------------------------------


def kept(path: Path) -> list[Row]:
    """The rows of a file, one JSON object a line; none if it is not there."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def keep(path: Path, rows: Iterable[Row], defaults: Mapping[str, Any]) -> list[Row]:
    """Put what the tables need of good rows into a file, in the place of those of the same runs; all rows of the file.

    Of the training's settings it keeps those that are not ``defaults``.
    """
    whole = {_run(row): row for row in kept(path)}
    for row in rows:
        if "error" not in row:
            whole[_run(row)] = _slim(row, defaults)
    ordered = [whole[run] for run in sorted(whole)]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ordered))
    return ordered


def _run(row: Row) -> tuple[str, str, int, int]:
    return row["case"], row["variant"], row["bits"], row["seed"]


def _slim(row: Row, defaults: Mapping[str, Any]) -> Row:
    slim = {name: row[name] for name in _ABOUT if name in row}
    slim["processor_seconds"] = round(row["processor_seconds"], 1)
    if "training" in row:
        slim["training"] = {name: value for name, value in row["training"].items() if value != defaults.get(name, row)}
    for database in ("database", "query"):
        figures = row[database]
        slim[database] = {name: figures[name] for name in ("n_query", "n_database") if name in figures}
        slim[database] |= {name: round(figures[name], 5) for name in ("chance", "label_to_label") if name in figures}
        for direction in DIRECTIONS:
            measured = figures[direction]
            slim[database][direction] = {name: round(measured[name], 5) for name in _MEASURED if name in measured}
    return slim
