"""What a report says of a run, and of files of codes, put together from what the rooms below compute."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from udsph.data.directions import DIRECTIONS, in_words
from udsph.errors import InputError
from udsph.report.content import Answer, Example, Fact, Item, Side, Subject

if TYPE_CHECKING:
    from udsph.data import Dataset
    from udsph.encoding import Hasher
    from udsph.evaluation import Evaluation
    from udsph.report.attended import Looks
    from udsph.training.scoring import Measured

HARDEST = 4  # queries of each direction
NO_LABELS = "There are no labels to measure this by."
NOT_A_RUN = "Files of codes say nothing of this; the report of a run does."


def of_run(run: Path, name: str, database: str, queries: int, k: int) -> Subject:
    """What there is to say of a run; it is opened, and its dataset is encoded.

    Parameters
    ----------
    run
        Its folder.
    name
        By which the report calls it.
    database
        ``database``, or ``query`` to search the query pairs' other modality.
    queries, k
        How many examples of each direction are shown, and how many answers of each.
    """
    from udsph.encoding import run_folder
    from udsph.training.scoring import measure_run

    model, dataset, measured = measure_run(run, database=database)
    found = measured.metrics
    missing: dict[str, str] = {}
    if not measured.by_labels:
        missing |= dict.fromkeys(("curves", "classes", "hardest"), NO_LABELS)
    log = read_log(run / run_folder.LOG)
    if not log:
        missing["training"] = f"The run has no {run_folder.LOG}."
    sides, looks_missing = _sides(model, dataset, measured, queries, k)
    if looks_missing:
        missing["looks"] = looks_missing
    references = {name.replace("_", " "): found[name] for name in ("label_to_label", "chance") if name in found}
    pixels = "" if dataset.image.kind == "pixels" else f"Its images are {dataset.image.kind}, which cannot be shown."
    return Subject(
        name=name,
        title=f"{dataset.name}, {model.bits} bits, {len(measured.places['query']):,} query pairs searched for among "
        f"{len(measured.places['item']):,} items",
        bits=model.bits,
        sides=sides,
        references=references,
        use={"both": measured.bits["both"], "images": measured.bits["image"], "texts": measured.bits["text"]},
        classes=dataset.classes,
        log=log,
        facts=facts_of(run_folder.read_config(run), dataset, measured),
        remarks=[*found["remarks"], *_left_out(found), *([pixels] if pixels else []), *dataset.notes],
        missing=missing,
    )


def of_files(
    name: str, result: Evaluation, arrays: list[Any], facts: Mapping[str, list[Fact]], bits: int, bitorder: Any, k: int
) -> Subject:
    """What there is to say of two files of codes and two of labels."""
    from udsph.evaluation import bit_use, mean_average_precision

    queries, items, query_labels, item_labels = arrays
    counts = result.counts
    assert counts is not None
    relevant = counts.relevant.sum(axis=0)
    others = counts.items.sum(axis=0) - relevant
    missing = {"examples": "Files of codes have no items to show.", "training": NOT_A_RUN}
    classes: list[tuple[str, int, float]] = []
    hardest: list[Example] = []
    references = {}
    if "map" in result.per_query:
        classes = [(str(number), int(n), float(mean))
                   for number, n, mean in zip(*result.by_class(query_labels), strict=True) if n]  # fmt: skip
        rows = hardest_of(result)
        hardest = _hardest_rows(rows, result, np.asarray(queries), np.asarray(items), bitorder, k)
        blank = [np.zeros((len(part), 1), np.uint8) for part in (queries, items)]
        options = {key: getattr(result.options, key) for key in ("denominator", "empty")}
        references["chance"] = mean_average_precision(blank[0], blank[1], query_labels, item_labels, **options)
    else:
        missing |= dict.fromkeys(("classes", "hardest"), "MAP is not among the metrics that were chosen.")
    use = {"all": np.concatenate([np.asarray(queries), np.asarray(items)]), "queries": queries, "items": items}
    return Subject(
        name=name,
        title=f"{bits} bits, {result.n_queries:,} queries, {result.n_items:,} items",
        bits=bits,
        sides=[Side("", result, None, relevant, others, classes, hardest)],
        references=references,
        use={part: bit_use(codes, bits, bitorder=bitorder) for part, codes in use.items()},
        facts=facts,
        missing=missing,
    )


def of_pairs(name: str, codes: tuple[Any, Any], facts: Mapping[str, list[Fact]], bits: int, bitorder: Any) -> Subject:
    """What there is to say of two files of codes whose rows are pairs."""
    from udsph.evaluation import bit_use, evaluate_pairs

    query, database = codes
    both = {"query to database": (query, database), "database to query": (database, query)}
    sides = [
        Side(name, None, evaluate_pairs(*arrays, bitorder=bitorder), *_partners(*arrays, bitorder))
        for name, arrays in both.items()
    ]
    missing = dict.fromkeys(("curves", "classes", "hardest"), NO_LABELS)
    use = {"all": np.concatenate([np.asarray(query), np.asarray(database)]), "queries": query, "items": database}
    return Subject(
        name=name,
        title=f"{bits} bits, {len(query):,} pairs",
        bits=bits,
        sides=sides,
        use={part: bit_use(array, bits, bitorder=bitorder) for part, array in use.items()},
        facts=facts,
        missing=missing | {"examples": "Files of codes have no items to show.", "training": NOT_A_RUN},
    )


def hardest_of(result: Evaluation, most: int = HARDEST) -> np.ndarray:
    """The queries with the least average precision of those that have a relevant item, the worst first."""
    assert result.counts is not None
    precision = np.where(result.counts.relevant.sum(axis=1) > 0, result.per_query["map"], np.nan)
    order = np.argsort(precision, kind="stable")  # NaN comes last
    return order[: min(most, int(np.count_nonzero(~np.isnan(precision))))]


def _hardest_rows(
    rows: np.ndarray, result: Evaluation, queries: np.ndarray, items: np.ndarray, bitorder: Any, k: int
) -> list[Example]:
    """Queries of files, which have numbers for names."""
    from udsph.hamming import search

    if not len(rows):
        return []
    found = search(queries[rows], items, min(k, len(items)), bitorder=bitorder)
    assert result.counts is not None
    return [
        Example(
            Item(f"query {row}"),
            [Answer(Item(f"item {item}"), int(distance), None)
             for item, distance in zip(ids, distances, strict=True)],
            precision=float(result.per_query["map"][row]),
            relevant=int(result.counts.relevant[row].sum()),
        )
        for row, ids, distances in zip(rows, found.ids, found.distances, strict=True)
    ]  # fmt: skip


def _partners(queries: Any, items: Any, bitorder: Any = "little") -> tuple[np.ndarray, np.ndarray]:
    """Pairs at each distance, of partners and of all others, where row i of both is one pair."""
    from udsph.evaluation import count

    numbers = np.arange(len(queries))
    counts = count(queries, items, numbers, numbers, bitorder=bitorder)
    relevant = counts.relevant.sum(axis=0)
    return relevant, counts.items.sum(axis=0) - relevant


def _sides(model: Hasher, dataset: Dataset, measured: Measured, queries: int, k: int) -> tuple[list[Side], str]:
    """Both directions, and why nothing says where the classes looked, if nothing does."""
    every = len(measured.places["query"])
    spread = np.linspace(0, every - 1, min(queries, every)).astype(np.int64)
    sides, why = [], ""
    for direction, (query, _) in DIRECTIONS.items():
        result = measured.by_labels.get(direction)
        hard = np.empty(0, np.int64)
        classes: list[tuple[str, int, float]] = []
        if result is not None:
            assert result.counts is not None
            relevant = result.counts.relevant.sum(axis=0)[: model.bits + 1]
            others = result.counts.items.sum(axis=0)[: model.bits + 1] - relevant
            rows = np.flatnonzero(measured.known["query"])
            hard = rows[hardest_of(result)]
            named = result.by_class(dataset.labels[measured.places["query"][rows]])
            classes = [(dataset.classes[number], int(n), float(mean)) for number, n, mean in zip(*named, strict=True)]
        else:
            codes = [measured.codes[name, "query"] for name in DIRECTIONS[direction]]
            relevant, others = (part[: model.bits + 1] for part in _partners(*codes))
        looks, reason = _looks(model, dataset, query, measured.places["query"][np.concatenate([hard, spread])])
        why = why or reason
        shown = _examples(dataset, measured, direction, np.concatenate([hard, spread]), looks, k)
        sides.append(
            Side(in_words(direction), result, measured.by_pairs[direction], relevant, others, classes,
                 shown[: len(hard)], shown[len(hard) :])
        )  # fmt: skip
    return sides, why


def _looks(model: Hasher, dataset: Dataset, name: str, items: np.ndarray) -> tuple[list[Looks | None], str]:
    """Where the classes looked in each of some items, or why nobody knows."""
    from udsph.cli.show import looks_of

    nothing: list[Looks | None] = [None] * len(items)
    try:
        found = looks_of(model, dataset, items, name)
    except InputError as error:
        return nothing, f"Where the classes looked is not shown: {error}."
    if found is None:
        kind = getattr(dataset, name).kind
        return nothing, f"Where the classes looked in {name}s is not shown: they are {kind}, whose parts have no form."
    return list(found), ""


def _examples(
    dataset: Dataset, measured: Measured, direction: str, rows: np.ndarray, looks: list[Looks | None], k: int
) -> list[Example]:
    """Queries by their rows among the queries, with what is found for them."""
    query, target = DIRECTIONS[direction]
    result, places = measured.by_labels.get(direction), measured.places
    found = measured.nearest(direction, rows, min(k, len(places["item"])))
    row_of = np.cumsum(measured.known["query"]) - 1  # of a query among those that count
    examples = []
    for row, look, ids, distances in zip(rows, looks, found.ids, found.distances, strict=True):
        number = places["query"][row]
        answers = [
            Answer(item_of(dataset, places["item"][place], target), int(distance),
                   shared(dataset, number, places["item"][place]))
            for place, distance in zip(ids, distances, strict=True) if place >= 0
        ]  # fmt: skip
        precision = relevant = None
        if result is not None and measured.known["query"][row]:
            assert result.counts is not None
            precision = float(result.per_query["map"][row_of[row]])
            relevant = int(result.counts.relevant[row_of[row]].sum())
        examples.append(Example(item_of(dataset, number, query), answers, look, precision, relevant))
    return examples


def item_of(dataset: Dataset, number: int, name: str) -> Item:
    """An item as it can be shown in a modality."""
    caption = None if dataset.captions is None else dataset.captions[number]
    labels = None
    if dataset.labelled and dataset.known[number]:
        labels = tuple(name for name, has in zip(dataset.classes, dataset.labels[number], strict=True) if has)
    picture = None
    if name == "image" and dataset.image.kind == "pixels":
        picture = np.asarray(dataset.image.values[np.array([number])][0])
    text = caption if picture is not None or name == "text" else None
    return Item(f"{name} {number}", picture, text, labels)


def shared(dataset: Dataset, query: int, item: int) -> int | None:
    """How many labels two items share, or None where those of one are not known."""
    if not dataset.known[query] or not dataset.known[item]:
        return None
    return int(np.count_nonzero(dataset.labels[query] & dataset.labels[item]))


def read_log(path: Path) -> dict[str, list[Any]]:
    """The columns of a training's log; empty where there is none, or it was cut off before its first row."""
    if not path.is_file():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return {}
    try:
        return {
            name: [row[name] if name == "phase" else float(row[name] or math.nan) for row in rows] for name in rows[0]
        }
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}); remove it, or train again") from None


def facts_of(content: Mapping[str, Any], dataset: Dataset, measured: Measured) -> dict[str, list[Fact]]:
    """Settings and numbers of a run. Where its files lie is nobody else's business."""
    from udsph.encoding import Config

    splits = [Fact(f"{name} split", f"{len(index):,} items") for name, index in dataset.splits.items()]
    of_data = [
        Fact("dataset", dataset.name),
        Fact("items", f"{len(dataset):,}"),
        *splits,
        Fact("images", dataset.image.describe()),
        Fact("texts", dataset.text.describe()),
        Fact("classes", f"{len(dataset.classes):,}" if dataset.labelled else "no labels"),
        *(Fact(name, str(value)) for name, value in dataset.settings.items()),
    ]
    asked = content.get("asked", {})
    settings = []
    for field in dataclasses.fields(Config):
        value = content["training"].get(field.name, field.default)
        left_open = field.name in asked and asked[field.name] != value
        text = _shown(value) + (f" (asked: {_shown(asked[field.name])})" if left_open else "")
        settings.append(Fact(field.name, text, _shown(field.default)))
    versions = [Fact(name, str(content[name])) for name in ("udsph", "torch") if name in content]
    return {"Data": of_data, "Versions of the training": versions, "Training": settings}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and ("/" in value or "\\" in value):
        return Path(value.replace("\\", "/")).name  # of a folder its name alone
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


def _left_out(found: Mapping[str, Any]) -> list[str]:
    if "unlabelled" not in found:
        return []
    parts = " and ".join(f"{count:,} of the {part}" for part, count in found["unlabelled"].items())
    return [f"Without labels, and so not in MAP and NDCG: {parts}."]
