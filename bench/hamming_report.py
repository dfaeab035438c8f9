"""The table and the figures of bench/README.md from the results of hamming.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    _draw_widths(results, folder / "hamming-width.png")
    if "shape" in results["rows"]:
        _draw_shape(results["rows"]["shape"], folder / "hamming-shape.png")


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
    from matplotlib import pyplot as plt

    rows = {int(name.split()[0]): row for name, row in results["rows"].items() if name.endswith("bits, k=10")}
    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    for key, label in (
        ("ours", "udsph"),
        ("faiss", "FAISS as installed"),
        ("faiss best", "FAISS, best of its levels"),
        ("usearch", "USearch"),
        ("numpy", "NumPy"),
    ):
        axes.loglog(list(rows), [row[key] for row in rows.values()], marker="o", label=label)
    limit = {int(bits): rate for bits, rate in results["rows"].get("popcount limit", {}).items()}
    if limit:
        axes.loglog(list(limit), list(limit.values()), "k--", label="xor + VPOPCNTQ, no top-k")
    axes.set_xticks(list(rows), [str(bits) for bits in rows])
    axes.minorticks_off()
    axes.set_xlabel("bits per code")
    axes.set_ylabel("Gpairs/s, one thread")
    axes.set_title("Exact top 10 of a million codes, 1000 queries")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_shape(kinds: dict[str, Any], path: Path) -> None:
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(10, 3), sharey=True)
    names = {"k": "neighbours (k)", "nq": "queries", "n": "codes"}
    for axes, (key, label) in zip(panels, names.items(), strict=True):
        for kind, measured in kinds.items():
            points = {int(x): rate for x, rate in measured[key].items()}
            axes.semilogx(list(points), list(points.values()), marker="o", markersize=3, label=kind)
        axes.set_xlabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("Gpairs/s, one thread")
    panels[0].legend(fontsize=8)
    figure.suptitle("64 bits; otherwise k=10, 1000 queries, a million codes", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
