"""``udsph report``: a run, several, or files of codes and labels as one HTML file."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from udsph.cli import evaluate as files_of_codes
from udsph.cli.codes import as_packed, is_values, read_codes
from udsph.cli.evaluate import BitOrder, Codes, Convention, Cutoffs, FormOfCodes, Labels, Metrics, Pairs, Ties
from udsph.cli.output import Answer, log, plain
from udsph.cli.parser import Argument, Option, command
from udsph.cli.results import check_output
from udsph.errors import InputError

FLAGS = ("--query-codes", "--database-codes", "--query-labels", "--database-labels")


@command
def report(
    runs: Annotated[
        list[Path] | None, Argument(help="Folders of trained runs; or give the files of codes instead", metavar="RUN")
    ] = None,
    output: Annotated[Path, Option(help="The page, .html")] = Path("report.html"),
    database: Annotated[
        Literal["database", "query"], Option(help="Of runs; query ranks the query pairs' other modality")
    ] = "database",
    queries: Annotated[int, Option(help="Examples of each direction of a run", least=1, most=50)] = 4,
    k: Annotated[int, Option("-k", help="Retrieved items of each example", least=1, most=20)] = 5,
    query_codes: Codes = None,
    database_codes: Codes = None,
    query_labels: Labels = None,
    database_labels: Labels = None,
    codes: FormOfCodes = "auto",
    bitorder: BitOrder = "little",
    pairs: Pairs = False,
    convention: Convention = None,
    ties: Ties = None,
    cutoffs: Cutoffs = None,
    metrics: Metrics = None,
) -> Answer:
    """Write what a run, several runs, or files of codes and labels are worth as one HTML file that needs nothing else.

    The metrics are those of 'udsph evaluate'. Several runs are set beside each other. Nothing is written into a run.
    """
    from udsph.report.page import write_report

    check_output(output, (".html", ".htm"))
    given = dict(zip(FLAGS, (query_codes, database_codes, query_labels, database_labels), strict=True))
    options = {"convention": convention, "ties": ties, **files_of_codes.lists_of(cutoffs, metrics)}
    if runs:
        chosen = [value for value in (*given.values(), convention, ties, cutoffs, metrics) if value is not None]
        if chosen or pairs or (codes, bitorder) != ("auto", "little"):
            raise InputError(
                "a run is reported by its own definition; files of codes and the options for them go without one"
            )
        subjects = _of_runs(runs, database, queries, k)
    else:
        subjects = [_of_codes(given, codes, bitorder, pairs, options, k)]
    size = write_report(subjects, output, date=datetime.date.today().isoformat())
    text = f"{'; '.join(subject.title for subject in subjects)}\nwritten: {plain(output)} ({size / 1e6:.1f} MB)"
    found = [
        {side.name: {key: subject.measure(side, key) for key in ("map", "pair_recall@10")} for side in subject.sides}
        for subject in subjects
    ]
    return Answer(plain_lines(text), {"report": output, "bytes": size, "metrics": found})


def plain_lines(text: str) -> str:
    """Lines in which nothing is interpreted."""
    return "\n".join(plain(line) for line in text.splitlines())


def _of_runs(runs: Sequence[Path], database: str, queries: int, k: int) -> list[Any]:
    from udsph.cli.gather import of_run

    subjects = []
    for run, name in zip(runs, names_of(runs), strict=True):
        log.info(f"{name}: encoding and measuring")
        subjects.append(of_run(run, name, database, queries, k))
    return subjects


def names_of(runs: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell all runs apart."""
    parts = [run.resolve().parts for run in runs]
    if len(set(parts)) < len(parts):
        raise InputError(f"{plain(max(runs, key=[run.resolve() for run in runs].count))} is given twice")
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    return ["/".join(part[-length:]) for part in parts]


def _of_codes(
    given: dict[str, str | None], form: Any, bitorder: Any, pairs: bool, options: dict[str, Any], k: int
) -> Any:
    from udsph.cli.gather import Fact, of_files, of_pairs

    missing = [flag for flag in FLAGS[: 2 if pairs else 4] if given[flag] is None]
    if missing:
        what = "both files of codes" if pairs else "all four files"
        raise InputError(f"give the folder of a run, or {what} (missing: {', '.join(missing)})")
    widths: dict[str, int] = {}

    def packed(place: Any, flag: str) -> Any:
        values, what = read_codes(str(place), flag), f"{flag} {place}"
        found = as_packed(values, form, what, bitorder)
        widths[flag] = values.shape[1] if is_values(values, form, what) else 8 * np.shape(found)[1]
        return found

    named = [Fact(flag.removeprefix("--").replace("-", " "), Path(str(place)).name)
             for flag, place in given.items() if place is not None]  # fmt: skip
    facts = {"Files": [*named, Fact("form of the codes", form), Fact("bit order", bitorder)]}
    name = Path(str(given[FLAGS[0]])).name
    if pairs:
        if any(value is not None for value in (given[FLAGS[2]], given[FLAGS[3]], *options.values())):
            raise InputError("--pairs takes --query-codes and --database-codes, not labels or options of MAP")
        both = (packed(given[FLAGS[0]], FLAGS[0]), packed(given[FLAGS[1]], FLAGS[1]))
        return of_pairs(name, both, facts, widths[FLAGS[1]], bitorder)
    places = {flag: str(place) for flag, place in given.items()}
    result, arrays = files_of_codes.evaluated_files(places, packed, options)
    facts["Evaluation"] = [
        Fact("convention", options["convention"] or "none"),
        *(Fact(key, getattr(result.options, key)) for key in ("ties", "denominator", "empty", "empty_lookup")),
    ]
    return of_files(name, result, arrays, facts, widths[FLAGS[1]], bitorder, k)
