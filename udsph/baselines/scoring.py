"""What a method is worth: fit on the training pairs, code queries and database from one view each, score, time."""

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
from udsph.evaluation import evaluate, evaluate_scores, mean_average_precision

CUTOFFS = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
METRICS = ("map", "precision")


class Views:
    """Training pairs, queries and database of a dataset, as one kind of method wants them.

    Shallow methods get the fixed features of :mod:`udsph.baselines.features`, computed once for all of them.
    """

    def __init__(self, dataset: Dataset, *, fixed_features: bool) -> None:
        self.labels = {split: dataset.labels[index] for split, index in dataset.splits.items()}
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
        row[name] = score(method, codes[asking, "query"], codes[answering, "database"], views.labels)
    return row


def encoded(method: Method, view: str, items: Modality) -> np.ndarray:
    """Codes, or the embeddings of a real-valued method."""
    verb = "embed" if method.real_valued else "encode"
    return getattr(method, f"{verb}_{view}")(items)


def score(
    method: Method, queries: np.ndarray, database: np.ndarray, labels: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """MAP and its standard error over the queries, precision at cutoffs, and the precision-recall curve by rank."""
    cutoffs = tuple(k for k in CUTOFFS if k <= len(database))
    options: dict[str, Any] = {"metrics": METRICS, "cutoffs": cutoffs}
    if method.real_valued:
        relevant = labels["query"].astype(np.int64) @ labels["database"].astype(np.int64).T > 0
        found = evaluate_scores(queries @ database.T, relevant, **options)
    else:
        found = evaluate(queries, database, labels["query"], labels["database"], **options)
    average_precision = found.per_query["map"]
    return {
        "map": found["map"],
        "map_standard_error": float(average_precision.std() / np.sqrt(len(average_precision))),
        "precision_at": {str(k): found[f"precision@{k}"] for k in cutoffs},
        "curve": {
            "ranks": found.ranks.tolist(),
            "precision": found.precision_by_rank.tolist(),
            "recall": found.recall_by_rank.tolist(),
        },
    }


def chance(dataset: Dataset) -> float:
    """Expected MAP of codes that are all equal."""
    labels = [dataset.labels[dataset.splits[split]] for split in ("query", "database")]
    return mean_average_precision(*(np.zeros((len(part), 1), np.uint8) for part in labels), *labels)
