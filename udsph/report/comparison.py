"""The part of a report that sets several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from udsph.report import curves
from udsph.report.content import Subject
from udsph.report.markup import Html, h
from udsph.report.sections import Sheet, Titled
from udsph.report.tables import MEASURES, RANK
from udsph.report.tabular import NOTHING, Cell, mark_best, table


def comparison(subjects: Sequence[Subject], sheet: Sheet) -> Titled:
    """One table of all, their curves over each other, and the settings in which they differ."""
    parts = [h("h2", "Comparison", id="comparison-title")]
    data = {fact.value for subject in subjects for fact in subject.facts.get("Data", ()) if fact.name == "dataset"}
    if len(data) > 1:
        warning = f"These runs are of different data ({', '.join(sorted(data))}): their figures do not compare."
        parts.append(h("p", warning, class_="remark"))
    parts.append(_table(subjects))
    plots = _plots(subjects, sheet)
    if plots:
        parts.append(h("div", plots, class_="plots"))
    parts.append(_differences(subjects))
    return Titled("comparison", "Comparison", h("section", parts, id="comparison", aria_labelledby="comparison-title"))


def _table(subjects: Sequence[Subject]) -> Html:
    names = list(dict.fromkeys(side.name for subject in subjects for side in subject.sides))
    keys = [key for key in MEASURES if any(_mean(subject, key) is not None for subject in subjects)]
    main = keys[:1]
    heads, columns, forms, least = ["run", "bits"], [], [], []
    for key in main:
        for name in names:
            heads.append(f"{MEASURES[key]} {name}")
            columns.append([_of_side(subject, name, key) for subject in subjects])
    for key in keys:
        heads.append(f"{MEASURES[key]}, mean")
        columns.append([_mean(subject, key) for subject in subjects])
    forms = [".4f"] * len(main) * len(names) + [".1f" if key == RANK else ".4f" for key in keys]
    least = [form == ".1f" for form in forms]
    for reference in ("label to label", "chance"):
        if any(reference in subject.references for subject in subjects):
            heads.append(reference)
            columns.append([subject.references.get(reference) for subject in subjects])
    marks = mark_best(columns[: len(forms)], least=least)
    rows = []
    for place, subject in enumerate(subjects):
        cells: list[object] = [h("a", subject.name, href=f"#run-{place + 1}"), Cell(subject.bits, "d")]
        for number, column in enumerate(columns):
            scored = number < len(forms)
            cells.append(Cell(column[place], forms[number] if scored else ".4f", scored and marks[number][place]))
        for key in ("mean_entropy", "mean_correlation"):
            use = next(iter(subject.use.values()), None)
            cells.append(Cell(None if use is None else getattr(use, key)))
        rows.append(cells)
    heads += ["bit entropy", "bit correlation"]
    return table(heads, rows, "All runs; the best of a column is bold", sortable=True, key="comparison")


def _plots(subjects: Sequence[Subject], sheet: Sheet) -> list[Html]:
    plots = []
    means = [(subject.name, _mean(subject, "map")) for subject in subjects]
    known = [(name, value) for name, value in means if value is not None]
    ceilings, chances = (
        {subject.references[name] for subject in subjects if name in subject.references}
        for name in ("label to label", "chance")
    )
    chance = chances.pop() if len(chances) == 1 else None
    if known:
        ceiling = ceilings.pop() if len(ceilings) == 1 else None
        plots.append(sheet.plot("MAP, mean of both directions", curves.scales(known, chance, ceiling), "Of each run."))
    for name in dict.fromkeys(side.name for subject in subjects for side in subject.sides):
        found = {
            subject.name: side.by_labels
            for subject in subjects
            for side in subject.sides
            if side.name == name and side.by_labels is not None
        }
        if len(found) > 1:
            lines = {run: (one.recall_by_rank, one.precision_by_rank) for run, one in found.items()}
            drawn = curves.precision_recall(lines, curves.prevalence(found.values()))
            plots.append(sheet.plot(f"Precision and recall {name}".strip(), drawn, "A line a run."))
    return plots


def _differences(subjects: Sequence[Subject]) -> Html:
    """Settings and numbers in which the runs differ."""
    known = [
        {f"{title}: {fact.name}": fact.value for title, facts in subject.facts.items() for fact in facts}
        for subject in subjects
    ]
    names = dict.fromkeys(name for facts in known for name in facts)
    rows = [
        [name, *(facts.get(name, NOTHING) for facts in known)]
        for name in names
        if len({facts.get(name) for facts in known}) > 1
    ]
    if not rows:
        return h("p", "The runs have the same settings and data.", class_="note")
    return table(["setting", *(subject.name for subject in subjects)], rows, "Settings in which the runs differ")


def _of_side(subject: Subject, name: str, key: str) -> float | None:
    return next((subject.measure(side, key) for side in subject.sides if side.name == name), None)


def _mean(subject: Subject, key: str) -> float | None:
    values = [subject.measure(side, key) for side in subject.sides]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
