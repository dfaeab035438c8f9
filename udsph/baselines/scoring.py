"""What a method is worth: fit on the training pairs, code queries and database from one view each, score, time.

By labels count the items whose labels are known; by pairs, which need none, the query pairs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from udsph.baselines.base import Method
from udsph.baselines.features import Describer
from udsph.baselines.inputs import given_labels
from udsph.data import Dataset, Modality
from udsph.data.directions import DIRECTIONS, MODALITIES
from udsph.encoding.collapse import Collapse
from udsph.evaluation import (
    evaluate,
    evaluate_pair_scores,
    evaluate_pairs,
    evaluate_scores,
    mean_average_precision,
)

CUTOFFS = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
NDCG = "ndcg_linear@100"  # the gain is the number of shared labels
METRICS = ("map", "precision", NDCG)


class Views:
    """Training pairs, queries and database of a dataset, as one kind of method wants them.

    Shallow methods get the fixed features of :mod:`udsph.baselines.features`, computed once for all of them.
    """

    def __init__(self, dataset: Dataset, *, fixed_features: bool) -> None:
        self.labels = {split: dataset.labels[index] for split, index in dataset.splits.items()}
        self.known = {split: dataset.known[index] for split, index in dataset.splits.items()}
        self.classes = len(dataset.classes)
        train = dataset.splits["train"]
        self.given = given_labels(dataset.labels[train], dataset.supervised[train])  # what fit may see
        self.parts = {}
        for view in MODALITIES:
            modality = getattr(dataset, view)
            describe = Describer(modality.take(dataset.splits["train"])) if fixed_features else None
            for split, index in dataset.splits.items():
                part = modality.take(index)
                self.parts[view, split] = part if describe is None else Modality("vectors", describe(part))


def judge(method: Method, views: Views) -> dict[str, Any]:
    """Fit a method and say what it took and what its codes are worth: times, and scores of both directions."""
    parts = views.parts
    started, worked = time.perf_counter(), time.process_time()
    method.fit(parts["image", "train"], parts["text", "train"], views.given)
    row: dict[str, Any] = {"train_seconds": time.perf_counter() - started}
    row["train_cpu_seconds"] = time.process_time() - worked  # of all threads; says more where jobs share a machine
    row["pairs"] = learnt_from(method, len(parts["image", "train"]), views.given)
    started = time.perf_counter()
    codes = {
        (view, split): encoded(method, view, parts[view, split])
        for view in MODALITIES
        for split in ("query", "database")
    }
    items = sum(len(part) for part in codes.values())
    row["encode_seconds"] = time.perf_counter() - started
    row["encode_microseconds_per_item"] = 1e6 * row["encode_seconds"] / items
    for name, (asking, answering) in DIRECTIONS.items():
        queries = codes[asking, "query"]
        row[name] = by_labels(method, queries, codes[answering, "database"], views)
        row[name] |= by_pairs(method, queries, codes[answering, "query"])
    row["remarks"] = [] if method.real_valued else collapsed(method, views.classes, codes)
    return row


def learnt_from(method: Method, pairs: int, given: np.ndarray | None) -> int:
    """From how many of the training pairs a method learns, whose labels are those ``given``."""
    if not method.supervised or method.semi_supervised:
        return pairs
    return 0 if given is None else int((given >= 0).all(axis=1).sum())


def encoded(method: Method, view: str, items: Modality) -> np.ndarray:
    """Codes, or the embeddings of a real-valued method."""
    verb = "embed" if method.real_valued else "encode"
    return getattr(method, f"{verb}_{view}")(items)


def by_labels(method: Method, queries: np.ndarray, database: np.ndarray, views: Views) -> dict[str, Any]:
    """MAP and its standard error over the queries, NDCG, precision at cutoffs, and the precision-recall curve by rank;
    nothing where no query or no item has labels.
    """
    of_query, of_item = views.known["query"], views.known["database"]
    if not (of_query.any() and of_item.any()):
        return {}
    queries, database = queries[of_query], database[of_item]
    labels = views.labels["query"][of_query], views.labels["database"][of_item]
    cutoffs = tuple(k for k in CUTOFFS if k <= len(database))
    options: dict[str, Any] = {"metrics": METRICS, "cutoffs": cutoffs}
    if method.real_valued:
        shared = labels[0].astype(np.int64) @ labels[1].astype(np.int64).T
        found = evaluate_scores(queries @ database.T, shared, **options)
    else:
        found = evaluate(queries, database, *labels, **options)
    average_precision = found.per_query["map"]
    return {
        "map": found["map"],
        "map_standard_error": float(average_precision.std() / np.sqrt(len(average_precision))),
        NDCG: found[NDCG],
        "precision_at": {str(k): found[f"precision@{k}"] for k in cutoffs},
        "curve": {
            "ranks": found.ranks.tolist(),
            "precision": found.precision_by_rank.tolist(),
            "recall": found.recall_by_rank.tolist(),
        },
    }


def by_pairs(method: Method, queries: np.ndarray, partners: np.ndarray) -> dict[str, float]:
    """Where each query finds its own other half, among those of all queries."""
    if method.real_valued:
        return evaluate_pair_scores(queries @ partners.T).to_dict()
    return evaluate_pairs(queries, partners).to_dict()


def collapsed(method: Method, classes: int, codes: Mapping[tuple[str, str], np.ndarray]) -> list[str]:
    """What to say of codes of the database that hardly differ."""
    found = []
    for view in MODALITIES:
        collapse = Collapse(view, classes, method.bits)
        collapse.add(codes[view, "database"])
        found += collapse.remarks()
    return found


def chance(dataset: Dataset) -> float | None:
    """Expected MAP of codes that are all equal; None where there are no labels to tell it from."""
    places = [dataset.splits[split][dataset.known[dataset.splits[split]]] for split in ("query", "database")]
    if not all(map(len, places)):
        return None
    labels = [dataset.labels[index] for index in places]
    return mean_average_precision(*(np.zeros((len(part), 1), np.uint8) for part in labels), *labels)
