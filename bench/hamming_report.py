"""The table and the figures of bench/README.md from the results of hamming.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from udsph import plotting
from udsph.files import write_text

BEGIN, END = "<!-- hamming table: begin -->", "<!-- hamming table: end -->"


def table(results: dict[str, Any]) -> str:
    """Every row with its ratios and targets, as Markdown."""
    lines = [
        "| case | udsph | compared with | ratio | at least |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    for name, row in results["rows"].items():
        if name in ("shape", "popcount limit"):
            continue
        lines.append(_line(name, row))
    return "\n".join(lines)


def _line(name: str, row: dict[str, Any]) -> str:
    value = f"{row['ours']:.2f}"
    if "faiss" in row:
        installed = row["ours"] / row["faiss"]
        compared, ratio, target = f"FAISS {row['faiss']:.3f}", f"{installed:.1f}", f"{row['target']}"
        if "faiss best" in row:
            compared += f" (best {row['faiss best']:.3f}: {row['faiss best is']})"
            ratio += f" ({row['ours'] / row['faiss best']:.1f})"
            target += f" ({row['target best']})"
        return f"| {name} | {value} | {compared} | {ratio} | {target} |"
    if "ratio" in row:
        other = next(key for key in row if key not in {"ours", "ratio", "target"})
        return f"| {name} | {value} | {other} {row[other]:.2f} | {row['ratio']:.2f} | {row['target']} |"
    bound = "at most " if row.get("at most") else ""
    return f"| {name} | {value} | | | {bound}{row['target']} |"


def write(results: dict[str, Any], readme: Path | None, folder: Path) -> None:
    """Draw the figures beside the results, and put the table between its marks in the README if one is given."""
    if readme is not None:
        _write_table(results, readme)
    _draw_widths(results, folder / "hamming-width.svg")
    if "shape" in results["rows"]:
        _draw_shape(results["rows"]["shape"], folder / "hamming-shape.svg")


def _write_table(results: dict[str, Any], readme: Path) -> None:
    where = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    head = (
        f"{where['cpu']}, {where['cores']} virtual cores, level {where['simd_level']}, g++ {where['compiler']}, "
        f"{versions}, {where['date']}. Gpairs/s unless a row says otherwise.\n\n"
    )
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    write_text(readme, f"{before}{BEGIN}\n{head}{table(results)}\n{END}{after}")


def _draw_widths(results: dict[str, Any], path: Path) -> None:
    rows = {int(name.split()[0]): row for name, row in results["rows"].items() if name.endswith("bits, k=10")}
    lines = (
        ("ours", "udsph", plotting.BLUE),
        ("faiss", "FAISS as installed", plotting.ORANGE),
        ("faiss best", "FAISS, best of its levels", plotting.RED),
        ("usearch", "USearch", plotting.TEAL),
        ("numpy", "NumPy", plotting.VIOLET),
    )
    limit = {int(bits): rate for bits, rate in results["rows"].get("popcount limit", {}).items()}
    with plotting.style():
        figure = plotting.figure(7, 4.2)
        axes = figure.subplots()
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        ends = []
        for (key, label, colour), marker in zip(lines, plotting.MARKERS, strict=False):
            rates = [row[key] for row in rows.values()]
            axes.plot(list(rows), rates, marker=marker, color=colour)
            ends.append((label, max(rows), rates[-1], colour))
        if limit:
            axes.plot(list(limit), list(limit.values()), "--", color=plotting.MUTED, linewidth=1.2)
            ends.append(("xor + VPOPCNTQ, no top-k", max(limit), limit[max(limit)], plotting.MUTED))
        axes.set_xticks(list(rows), [str(bits) for bits in rows])
        axes.minorticks_off()
        plotting.plain_numbers(axes.yaxis)
        axes.set(title="Exact top 10 of a million codes, 1000 queries", xlabel="bits per code",
                 ylabel="Gpairs/s, one thread")  # fmt: skip
        plotting.label_ends(axes, ends)
        plotting.save(figure, path)


def _draw_shape(kinds: dict[str, Any], path: Path) -> None:
    names = {"k": "neighbours (k)", "nq": "queries", "n": "codes"}
    with plotting.style():
        figure = plotting.figure(11, 3.2)
        panels = figure.subplots(1, 3, sharey=True)
        for axes, (key, label) in zip(panels, names.items(), strict=True):
            axes.set_xscale("log")
            ends = []
            for (kind, measured), colour in zip(kinds.items(), plotting.HUES, strict=False):
                points = {int(x): rate for x, rate in measured[key].items()}
                axes.plot(list(points), list(points.values()), marker="o", color=colour)
                ends.append((kind, max(points), points[max(points)], colour))
            plotting.plain_numbers(axes.xaxis)
            axes.set(xlabel=label)
            axes.set_ylim(bottom=0)
        plotting.label_ends(panels[-1], ends)
        panels[0].set_ylabel("Gpairs/s, one thread")
        figure.suptitle("64 bits; otherwise k=10, 1000 queries, a million codes", x=0.01, ha="left")
        plotting.save(figure, path)
