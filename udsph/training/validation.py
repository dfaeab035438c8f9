"""The score that selects an epoch."""

from __future__ import annotations

import numpy as np

from udsph.data import Dataset
from udsph.data.directions import DIRECTIONS, MODALITIES
from udsph.encoding.batches import sequence
from udsph.encoding.model import Model
from udsph.evaluation import mean_average_precision

LARGEST = 2000  # items of the fitted part that serve as the database


def validation_map(model: Model, dataset: Dataset, fitted: np.ndarray, held: np.ndarray) -> float:
    """Mean of the two directions' MAP: held-out items as queries, (a part of) the fitted items as database."""
    step = max(1, -(-len(fitted) // LARGEST))
    database = fitted[::step]
    codes = {}
    for name in MODALITIES:
        modality = getattr(dataset, name)
        for part, index in (("query", held), ("database", database)):
            codes[name, part] = model.encode(name, sequence(modality, index, 256, model.device))
    found = [
        mean_average_precision(codes[a, "query"], codes[b, "database"], dataset.labels[held], dataset.labels[database])
        for a, b in DIRECTIONS.values()
    ]
    return float(np.mean(found))
