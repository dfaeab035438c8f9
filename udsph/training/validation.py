"""The score that selects an epoch."""

from __future__ import annotations

import numpy as np

from udsph.data import Dataset
from udsph.data.directions import DIRECTIONS, MODALITIES
from udsph.encoding.batches import sequence
from udsph.encoding.model import Model
from udsph.evaluation import evaluate_pairs, mean_average_precision

LARGEST = 2000  # items of the fitted part that serve as the database
NEAREST = 10  # among which a partner should be; fewer where few items are held out


def validate(model: Model, dataset: Dataset, fitted: np.ndarray, held: np.ndarray) -> dict[str, float]:
    """The scores of the held-out part, each the mean of both directions; the mean of them selects the epoch.

    Returns
    -------
    dict
        ``map`` where training uses labels of held-out items: these as queries, (a part of) the fitted items with labels
        as the database. ``recall`` where it does not use those of all: the share of held-out items whose partner is
        among the nearest held-out items of the other modality.
    """
    step = max(1, -(-len(fitted) // LARGEST))
    queries, database = held[dataset.supervised[held]], fitted[dataset.supervised[fitted]][::step]
    found = {}
    if len(queries) and len(database):
        codes = {"query": codes_of(model, dataset, queries), "database": codes_of(model, dataset, database)}
        labels = dataset.labels[queries], dataset.labels[database]
        each = [
            mean_average_precision(codes["query"][a], codes["database"][b], *labels) for a, b in DIRECTIONS.values()
        ]
        found["map"] = float(np.mean(each))
    if len(queries) < len(held):
        some = codes_of(model, dataset, held[:LARGEST])
        found["recall"] = float(np.mean([pair_recall(some[a], some[b]) for a, b in DIRECTIONS.values()]))
    return found


def codes_of(model: Model, dataset: Dataset, index: np.ndarray) -> dict[str, np.ndarray]:
    """Packed codes of some items in both modalities."""
    return {name: model.encode(name, sequence(getattr(dataset, name), index, 256, model.device)) for name in MODALITIES}


def pair_recall(queries: np.ndarray, items: np.ndarray) -> float:
    """Share of queries whose partner, the item of the same row, is among the nearest; in expectation over ties."""
    nearest = max(1, min(NEAREST, len(items) // 10))
    return evaluate_pairs(queries, items, cutoffs=[nearest]).recall[nearest]
