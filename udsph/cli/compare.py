"""``udsph compare``: all methods, one protocol, tables and figures."""

import math
from pathlib import Path
from typing import Annotated, Any

from udsph.cli.flags import settings_of
from udsph.cli.output import Answer, log, plain, progress
from udsph.cli.parser import Option, command
from udsph.errors import InputError
from udsph.experiments import check_processes
from udsph.threads import cores


@command
def compare(
    data: Annotated[str, Option(help="Dataset: scenes, wiki, features, ...")],
    output: Annotated[Path, Option(help="Folder of results, tables and figures; continued if it exists")],
    root: Annotated[Path | None, Option(help="Folder or file of the dataset")] = None,
    methods: Annotated[str, Option(help="all, or names with commas between")] = "all",
    bits: Annotated[str, Option(help="Code lengths with commas between")] = "16,32,64",
    seeds: Annotated[int, Option(help="Seeds a method and code length, from 0")] = 3,
    deep_seeds: Annotated[
        int | None, Option(help="Seeds of deep methods; as --seeds, but one where there are pixels")
    ] = None,
    epochs: Annotated[int, Option(help="Passes of the deep methods; 0: by the kind of data")] = 0,
    precision: Annotated[str, Option(help="Of the deep methods: 32-true or bf16-mixed")] = "32-true",
    processes: Annotated[
        str | None, Option(help="Jobs at once, or 'ray': on a Ray cluster", default="one a core", metavar="N")
    ] = None,
    set_: Annotated[list[str] | None, Option("--set", help="key=value of the dataset; repeatable")] = None,
) -> Answer:
    """Train and score all methods with the same splits and metric; the same command continues an interrupted one."""
    from udsph.baselines import names
    from udsph.baselines.comparison import Comparison, ComparisonFolder
    from udsph.baselines.planning import remarks
    from udsph.report.figures import draw_figures
    from udsph.report.tables import MEASURES, main_measure, markdown_table, summarise, write_tables

    comparison = Comparison(
        data=data,
        root=None if root is None else str(root),
        settings=settings_of(set_),
        names=names() if methods == "all" else tuple(name.strip() for name in methods.split(",")),
        bits=_lengths(bits),
        seeds=seeds,
        deep_seeds=deep_seeds,
        epochs=epochs,
        precision=precision,
    )
    folder = ComparisonFolder(comparison, output, check_processes(processes or cores(), least=1))
    epochs = folder.comparison.epochs
    for line in remarks(comparison.names, folder.dataset, epochs=epochs, chosen=not comparison.epochs):
        log.info(line)
    failed = _run(folder)
    rows, caption, notes = folder.collect(), folder.caption(), folder.notes()
    chance = math.nan if folder.chance is None else folder.chance
    title = f"{MEASURES[main_measure(rows)]} on {caption}"
    written = [
        output / "results.json",
        *write_tables(rows, chance, title, output, notes),
        *draw_figures(rows, chance, caption, output),
    ]
    lines = [
        markdown_table(summarise(rows), chance, title, notes),
        "written: " + "  ".join(plain(path) for path in written),
    ]
    if failed:
        lines.append(f"{failed} of {len(folder.jobs)} jobs failed; results.json says how, the same command tries again")
    found = {"rows": rows, "chance": folder.chance, "notes": notes, "failed": failed, "written": written}
    return Answer("\n".join(lines), found)


def _run(folder: Any) -> int:
    """Run what is missing, one line a job; returns how many failed."""
    from udsph.data.directions import DIRECTIONS
    from udsph.report.tables import MEASURES, main_measure

    missing, failed = len(folder.missing()), 0
    if missing < len(folder.jobs):
        log.info(f"{len(folder.jobs) - missing} of {len(folder.jobs)} jobs are done already")
    with progress("compare", "jobs") as advance:
        for done, row in enumerate(folder.run(), start=1):
            name = f"{row['method']:10} {row['bits']:4} bits, seed {row['seed']}"
            if "error" in row:
                failed += 1
                log.warning(f"{name}   failed: {row['error']}")
            else:
                measure = main_measure([row])
                scores = " ".join(f"{row[direction][measure]:.4f}" for direction in DIRECTIONS)
                log.info(f"{name}   {MEASURES[measure]} {scores}   {row['train_seconds']:.1f} s")
            advance(done, missing)
    return failed


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(f"--bits {text}: expected code lengths with commas between, such as 16,32,64") from None
