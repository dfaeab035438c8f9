"""The history of the watched cases, as a table in ``bench/README.md`` and a picture.

    python bench/trend.py [--check] [--site FOLDER]

Reads ``bench/results/asv``, a folder for each machine, and rewrites what stands between the marks of the README;
``--check`` only says whether that is what the results give. ``--site`` lets asv write its pages to a folder.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.watch import CASES

from udsph import plotting

BENCH = Path(__file__).resolve().parent
KEPT = BENCH / "results" / "asv"
BEGIN, END = "<!-- trend: begin -->\n", "<!-- trend: end -->"
NAME = "bench_watch.Watch.track_processor_seconds"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where the README differs")
    parser.add_argument("--site", type=Path, help="change nothing but this folder, which asv fills")
    asked = parser.parse_args()
    if asked.site:
        return publish(asked.site.resolve())
    readme = BENCH / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    made = before + BEGIN + "\n".join(table(folder) for folder in machines()) + END + after
    if asked.check:
        print("bench/README.md shows the results" if made == text else "bench/README.md differs: python bench/trend.py")
        return made != text
    readme.write_text(made, encoding="utf-8")
    for folder in machines():
        draw(folder)
    return 0


def publish(site: Path) -> int:
    """The pages of asv over what is kept. They load scripts from elsewhere, which the table here does not need."""
    settings = json.loads((BENCH / "asv.conf.json").read_text())
    settings |= {"repo": str(BENCH.parent), "benchmark_dir": str(BENCH / "benchmarks")}
    settings |= {"results_dir": str(KEPT), "html_dir": str(site)}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "asv.conf.json"
        place.write_text(json.dumps(settings))
        return subprocess.run([sys.executable, "-m", "asv", "publish", "--config", str(place)], check=False).returncode


def machines() -> list[Path]:
    """Folders of results, by name."""
    return sorted(path for path in KEPT.iterdir() if path.is_dir())


def history(folder: Path) -> list[dict[str, Any]]:
    """Results of one machine, oldest commit first; ``seconds`` by case."""
    found = []
    for path in folder.glob("*-*.json"):
        result = json.loads(path.read_text())
        columns = dict(zip(result["result_columns"], result["results"][NAME], strict=False))
        cases = [ast.literal_eval(each) for each in columns["params"][0]]
        seconds = {
            case: value for case, value in zip(cases, columns["result"], strict=True) if value and value == value
        }
        found.append(result | {"seconds": seconds})  # without what a commit had not yet
    return sorted(found, key=lambda result: result["date"])


def table(folder: Path) -> str:
    """Milliseconds of every case at every commit, and the last against the one before."""
    results = history(folder)
    about = json.loads((folder / "machine.json").read_text())
    heads = [f"{result['commit_hash'][:7]}, {day(result)}" for result in results]
    lines = [
        f"{about.get('cpu', folder.name)}, {about.get('num_cpu', '?')} virtual cores; milliseconds of processor time.",
        "",
    ]
    lines += ["| case | " + " | ".join(heads) + " | last over first |", "| --- |" + " ---: |" * (len(heads) + 1)]
    for case in CASES:
        values = [result["seconds"].get(case) for result in results]
        known = [value for value in values if value]
        ratio = f"{known[-1] / known[0]:.2f}" if len(known) > 1 else ""
        cells = [f"{1e3 * value:.2f}" if value else "" for value in values]
        lines.append(f"| {case} | " + " | ".join(cells) + f" | {ratio} |")
    return "\n".join([*lines, "", f"![The same as curves](results/{picture(folder).name})", ""])


def day(result: dict[str, Any]) -> str:
    return datetime.fromtimestamp(result["date"] / 1000, timezone.utc).strftime("%Y-%m-%d")


def draw(folder: Path) -> None:
    """A small panel for each case, from zero."""
    results = history(folder)
    heads = [f"{result['commit_hash'][:7]}\n{day(result)[5:]}" for result in results]
    with plotting.style():
        figure = plotting.figure(9, 9)
        panels = figure.subplots(4, 3)
        for case, axes in zip(CASES, panels.flat, strict=True):
            values = [1e3 * (result["seconds"].get(case) or float("nan")) for result in results]
            axes.plot(range(len(values)), values, marker="o", color=plotting.BLUE)
            axes.set_title(case.replace(", ", ",\n", 1), fontsize=8)
            axes.set_xticks(range(len(values)), heads, fontsize=7)
            axes.set_xlim(-0.35, len(values) - 0.65)
            axes.set_ylim(0, 1.3 * max((value for value in values if value == value), default=1))
            axes.annotate(
                f"{values[-1]:.3g} ms", (len(values) - 1, values[-1]), (0, 6), textcoords="offset points", ha="right"
            )
        figure.suptitle("Milliseconds of processor time, from commit to commit", x=0.01, ha="left")
        plotting.save(figure, picture(folder))


def picture(folder: Path) -> Path:
    """Of one machine."""
    return BENCH / "results" / f"trend-{folder.name}.svg"


if __name__ == "__main__":
    sys.exit(main())
