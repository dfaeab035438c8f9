"""The parts of a report on one run, or on files of codes: what was measured, in figures, tables and examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from udsph.plotting import svg
from udsph.report import curves
from udsph.report.content import Example, Fact, Side, Subject
from udsph.report.markup import Html, h
from udsph.report.pictures import example
from udsph.report.tables import MEASURES, RANK
from udsph.report.tabular import Cell, numbers, table

MOST_CLASSES = 40  # that a figure shows; the table has all
RADII = 9  # of a lookup, from 0 on


class Titled(NamedTuple):
    """A part of the page with the name and the title by which the menu leads to it."""

    name: str
    title: str
    html: Html


class Sheet:
    """The figures of a page, which are numbered so that no two ids are the same; ``level`` is that of their heads."""

    def __init__(self) -> None:
        self.count, self.level = 0, 3

    def plot(self, title: str, drawn: Any, caption: str, data: Html | None = None) -> Html:
        """A figure with a heading, what it says, and its numbers."""
        self.count += 1
        said = f"{title}. {caption}"
        picture = Html(svg(drawn, f"fig{self.count}", said))
        return h("figure", self.head(title), picture, h("figcaption", caption), data)

    def head(self, title: str) -> Html:
        """A heading within a part."""
        return h(f"h{self.level}", title, class_="inner")


def sections(subject: Subject, sheet: Sheet, level: int, prefix: str = "") -> list[Titled]:
    """All parts, those with nothing to show among them, which say so.

    Parameters
    ----------
    subject
        What they are of.
    sheet
        The page's figures.
    level
        Of the parts' headings.
    prefix
        Of the parts' ids, where there are several subjects; what is called ``prefix + "name"`` names the subject.
    """
    sheet.level = level + 1
    parts = (
        ("result", "Result", _result),
        ("curves", "Precision and recall", _curves),
        ("distances", "Distances", _distances),
        ("bits", "Bits", _bits),
        ("classes", "Classes", _classes),
        ("hardest", "Hardest queries", _hardest),
        ("examples", "Examples", _examples),
        ("training", "Training", _training),
        ("settings", "Settings and data", _settings),
    )
    found = []
    for name, title, write in parts:
        reason = subject.missing.get(name)
        body = [] if reason else write(subject, sheet)
        head = h(f"h{level}", title, id=f"{prefix}{name}-title")
        content = [h("p", reason, class_="note")] if reason else body
        place = f"{prefix}{name}"
        titles = f"{prefix}name {place}-title" if prefix else f"{place}-title"
        found.append(Titled(place, title, h("section", head, content, id=place, aria_labelledby=titles)))
    return found


def _result(subject: Subject, sheet: Sheet) -> list[Html]:
    main = "map" if any(side.by_labels for side in subject.sides) else "pair_recall@10"
    what = MEASURES.get(main, main)
    scores = [(side.name, subject.measure(side, main)) for side in subject.sides]
    known = [(name, value) for name, value in scores if value is not None]
    tiles = [(f"{what} {name}".strip(), value) for name, value in known]
    if len(known) > 1:
        tiles.append((f"{what}, mean of both", float(np.mean([value for _, value in known]))))
    ceiling, chance = (subject.references.get(name) for name in ("label to label", "chance"))
    tiles += [(name, value) for name, value in (("label to label, the ceiling", ceiling), ("chance", chance)) if value]
    parts = [h("ul", [h("li", h("b", f"{value:.3f}"), h("span", name)) for name, value in tiles], class_="tiles")]
    parts += [h("p", remark, class_="remark") for remark in subject.remarks]
    if main == "map" and known:
        rows = [(name or "MAP", value) for name, value in known]
        caption = "Mean average precision of each direction."
        if ceiling is not None:
            caption += " The ceiling is what codes made from the true labels reach; chance is what equal codes do."
        plot = sheet.plot("MAP", curves.scales(rows, chance, ceiling), caption)
        return [*parts, h("div", plot, _measures(subject), class_="plots")]
    return [*parts, _measures(subject)]


def _measures(subject: Subject) -> Html:
    """Every figure that was measured of a whole direction, and the references."""
    keys = list(dict.fromkeys(key for side in subject.sides for key in _keys(side)))
    heads = [MEASURES.get(key, key) for key in keys]
    rows: list[list[object]] = [
        [head, *(_figure(subject, side, key) for side in subject.sides)] for head, key in zip(heads, keys, strict=True)
    ]
    return table(["metric", *(side.name or "value" for side in subject.sides)], rows, _caption(subject), key="measures")


def _keys(side: Side) -> list[str]:
    by_labels = [] if side.by_labels is None else list(side.by_labels.values)
    return by_labels + ([] if side.by_pairs is None else list(side.by_pairs.to_dict()))


def _figure(subject: Subject, side: Side, key: str) -> Cell:
    return Cell(subject.measure(side, key), ".1f" if key == RANK else ".4f")


def _caption(subject: Subject) -> str:
    for side in subject.sides:
        found = side.by_labels
        if found is not None:
            undefined = sum(1 for value in found.per_query.get("map", ()) if math.isnan(value))
            left = f"; {undefined:,} queries left out" if undefined else ""
            options = found.options
            return (
                f"{subject.bits} bits, {found.n_queries:,} queries, {found.n_items:,} items; ties {options.ties}, "
                f"denominator {options.denominator}, queries without a relevant item {options.empty}{left}."
            )
    pairs = next((side.by_pairs for side in subject.sides if side.by_pairs is not None), None)
    return f"{subject.bits} bits" + ("" if pairs is None else f", {pairs.n_queries:,} pairs; ties expected") + "."


def _curves(subject: Subject, sheet: Sheet) -> list[Html]:
    found = [(side.name or "by rank", side.by_labels) for side in subject.sides if side.by_labels is not None]
    chance = curves.prevalence(one for _, one in found)
    recall = {name: (one.recall_by_rank, one.precision_by_rank) for name, one in found}
    precision = {name: (one.ranks.astype(float), one.precision_by_rank) for name, one in found}
    rows = [
        [int(rank), *(Cell(float(one.precision_by_rank[place])) for _, one in found),
         *(Cell(float(one.recall_by_rank[place])) for _, one in found)]
        for place, rank in enumerate(found[0][1].ranks)
    ]  # fmt: skip
    heads = ["N", *(f"precision {name}" for name, _ in found), *(f"recall {name}" for name, _ in found)]
    data = numbers(heads, rows, "Precision and recall within the first N")
    return [
        h("p", "Means over the queries, in expectation over the order of items at one distance.", class_="lede")
        if found[0][1].options.ties == "expected"
        else h("p", f"Means over the queries, ties {found[0][1].options.ties}.", class_="lede"),
        h(
            "div",
            sheet.plot("Precision and recall", curves.precision_recall(recall, chance),
                       "How much of what is looked at is relevant, against how much of what is relevant is seen."),
            sheet.plot("Precision at N", curves.precision_at(precision, chance),
                       "How much of the first N items is relevant.", data),
            class_="plots",
        ),
    ]  # fmt: skip


def _distances(subject: Subject, sheet: Sheet) -> list[Html]:
    plots: list[Html] = []
    tables: list[Html] = []
    for side in subject.sides:
        if side.relevant is None or side.others is None:
            continue
        names = ("relevant", "not relevant") if side.by_labels is not None else ("partners", "others")
        held = [np.average(np.arange(len(part)), weights=part) if part.sum() else math.nan
                for part in (side.relevant, side.others)]  # fmt: skip
        caption = f"Mean distance of {names[0]} pairs {held[0]:.1f}, of {names[1]} pairs {held[1]:.1f}."
        rows = [[place, Cell(int(a), ",d"), Cell(int(b), ",d")]
                for place, (a, b) in enumerate(zip(side.relevant, side.others, strict=True)) if a or b]  # fmt: skip
        data = numbers(["distance", *names], rows, "Pairs at each distance")
        title = f"Distances {side.name}".strip()
        plots.append(sheet.plot(title, curves.distances(side.relevant, side.others, names), caption, data))
        if side.by_labels is not None and side.by_labels.counts is not None:
            tables.append(_lookup(side))
    lede = (
        "The less the two overlap, the better a distance tells what belongs together. Each is a share of its own pairs."
    )
    return [h("p", lede, class_="lede"), h("div", plots, tables, class_="plots")]


def _lookup(side: Side) -> Html:
    """What a lookup within a radius finds."""
    found = side.by_labels
    assert found is not None and found.counts is not None
    precision, recall = found.by_radius()
    items = found.counts.items.cumsum(axis=1).mean(axis=0)
    rows = [[radius, Cell(float(items[radius]), ",.1f"), Cell(float(precision[radius])), Cell(float(recall[radius]))]
            for radius in range(min(RADII, len(precision)))]  # fmt: skip
    title = f"Lookup within a Hamming radius {side.name}".strip()
    return table(["radius", "items found a query", "precision", "recall"], rows, title)


def _bits(subject: Subject, sheet: Sheet) -> list[Html]:
    whole = next(iter(subject.use.values()))
    parts = {name: use for name, use in subject.use.items() if use is not whole} or subject.use
    dead = int((whole.entropy == 0).sum())
    lede = (
        f"Mean entropy of a bit {whole.mean_entropy:.4f} (1 is best), mean absolute correlation of two bits "
        f"{whole.mean_correlation:.4f} (0 is best)."
    )
    if dead:
        lede += f" {dead} of {whole.bits} bits are the same in all codes."
    rows = [[place, *(Cell(float(use.share[place])) for use in parts.values()), Cell(float(whole.entropy[place]))]
            for place in range(whole.bits)]  # fmt: skip
    data = numbers(["bit", *(f"ones {name}".strip() for name in parts), "entropy"], rows, "Of each bit")
    shares = {name: use.share for name, use in parts.items()}
    plots = [
        sheet.plot("Ones in each bit", curves.shares_of_ones(shares),
                   "A bit that is 1 for half of the items says most; one at 0 or 1 says nothing.", data),
    ]  # fmt: skip
    if len(whole.pairs):
        plots.append(
            sheet.plot("Bits that say the same", curves.correlations(whole.pairs),
                       f"Of {len(whole.pairs):,} pairs of bits; the greatest correlation is {whole.pairs.max():.3f}.")
        )  # fmt: skip
    return [h("p", lede, class_="lede"), h("div", plots, class_="plots")]


def _classes(subject: Subject, sheet: Sheet) -> list[Html]:
    sides = [side for side in subject.sides if side.classes]
    names = [name for name, _, _ in sides[0].classes]
    queries = [count for _, count, _ in sides[0].classes]
    values = {side.name or "MAP": [value for _, _, value in side.classes] for side in sides}
    means = np.array(list(values.values()), float)
    mean = np.array([np.nan if np.isnan(column).all() else np.nanmean(column) for column in means.T])
    order = [int(place) for place in np.argsort(-np.nan_to_num(mean, nan=-1), kind="stable")]
    rows = [[names[place], Cell(queries[place], ",d"), *(Cell(values[side][place]) for side in values)]
            for place in order]  # fmt: skip
    drawn = [place for place in order if not math.isnan(mean[place])]
    lede = "MAP of the queries of each class; a query of several classes counts in each."
    if len(drawn) > MOST_CLASSES:
        half = MOST_CLASSES // 2
        lede += f" The figure shows the {half} best and the {half} worst of {len(drawn)} classes."
        drawn = drawn[:half] + drawn[-half:]
    by_side = {side: [values[side][place] for place in drawn] for side in values}
    plot = sheet.plot("MAP of each class", curves.class_means([names[place] for place in drawn], by_side), lede)
    heads = ["class", "queries", *(f"MAP {side}" if side != "MAP" else side for side in values)]
    return [h("div", plot, table(heads, rows, "MAP of each class", sortable=True, key="classes"), class_="plots")]


def _hardest(subject: Subject, sheet: Sheet) -> list[Html]:
    lede = "The queries with the least average precision among those that have a relevant item."
    return [h("p", lede, class_="lede"), *_shown(subject, sheet, [(side.name, side.hardest) for side in subject.sides])]


def _examples(subject: Subject, sheet: Sheet) -> list[Html]:
    lede = "Queries spread evenly over all of them, with the nearest items."
    note = subject.missing.get("looks")
    parts = [h("p", lede, class_="lede")] + ([h("p", note, class_="note")] if note else [])
    return [*parts, *_shown(subject, sheet, [(side.name, side.examples) for side in subject.sides])]


def _shown(subject: Subject, sheet: Sheet, groups: Sequence[tuple[str, Sequence[Example]]]) -> list[Html]:
    parts: list[Html] = []
    for name, shown in groups:
        if shown and name:
            parts.append(sheet.head(name[0].upper() + name[1:]))
        parts += [example(one, subject.classes) for one in shown]
    return parts


def _training(subject: Subject, sheet: Sheet) -> list[Html]:
    log = subject.log
    plots = []
    phases = list(dict.fromkeys(map(str, log["phase"])))
    scored = {
        {"validation_map": "MAP", "validation_recall": "recall of pairs"}.get(name, name): name
        for name in log
        if name.startswith("validation_")
    }
    held = {title: _of_phase(log, name, "select") for title, name in scored.items()}
    held = {title: curve for title, curve in held.items() if len(curve[0])}
    if held:
        rows = [[int(epoch), Cell(float(value))] for epoch, value in zip(*next(iter(held.values())), strict=True)]
        data = numbers(["epoch", next(iter(held))], rows, "On the held-out part, after each epoch")
        caption = "Measured on a part of the training pairs that is held out; the best epoch is marked."
        plots.append(sheet.plot("Validation", curves.validation(held), caption, data))
    for phase in phases:
        own = {name: _of_phase(log, name, phase) for name in log
               if name not in ("phase", "epoch", "seconds", "loss") and not name.startswith("validation_")}  # fmt: skip
        own = {name: curve for name, curve in own.items() if len(curve[0]) > 1}
        if own:
            caption = "The parts of the loss, mean of each epoch, with their weights."
            plots.append(sheet.plot(f"Losses, phase {phase}", curves.losses(own), caption))
    seconds = max((float(value) for value in log["seconds"]), default=0.0)
    rows = [[phase, Cell(sum(one == phase for one in log["phase"]), "d"), Cell(float(_last(log, phase)), ".4f")]
            for phase in phases]  # fmt: skip
    listed = table(["phase", "epochs", "loss at its end"], rows, f"Phases; {seconds:,.0f} seconds in all")
    return [h("div", plots, class_="plots"), listed]


def _of_phase(log: Any, name: str, phase: str) -> curves.Curve:
    """Epochs and values of a column in a phase, where there are any."""
    pairs = [
        (float(epoch), float(value))
        for one, epoch, value in zip(log["phase"], log["epoch"], log[name], strict=True)
        if one == phase and not math.isnan(float(value))
    ]
    return np.array([epoch for epoch, _ in pairs]), np.array([value for _, value in pairs])


def _last(log: Any, phase: str) -> float:
    return [float(value) for one, value in zip(log["phase"], log["loss"], strict=True) if one == phase][-1]


def _settings(subject: Subject, sheet: Sheet) -> list[Html]:
    groups = [h("div", facts_table(title, facts)) for title, facts in subject.facts.items()]
    return [h("div", groups, class_="facts-groups")]


def facts_table(title: str, facts: Sequence[Fact]) -> Html:
    """Names and values; where settings have defaults, these too, and those that differ stand out."""
    head = None
    if any(fact.usual is not None for fact in facts):
        head = h("thead", h("tr", [h("th", name, scope="col") for name in ("setting", "value", "default")]))
    rows = []
    for fact in facts:
        cells = [h("td", fact.value)] if head is None else [h("td", fact.value), h("td", fact.usual or "")]
        differs = fact.usual is not None and fact.usual != fact.value
        rows.append(h("tr", h("th", fact.name, scope="row"), cells, class_="changed" if differs else None))
    return h("table", h("caption", title), head, h("tbody", rows), class_="settings")
