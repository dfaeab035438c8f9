"""Random problems with many ties."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """Arguments of ``evaluate``, with the distances and grades they mean."""

    query_codes: np.ndarray
    database_codes: np.ndarray
    query_labels: np.ndarray
    database_labels: np.ndarray

    @property
    def distances(self):
        bits = np.unpackbits(self.query_codes, axis=1)[:, None] != np.unpackbits(self.database_codes, axis=1)[None]
        return bits.sum(axis=2)

    @property
    def grades(self):
        if self.query_labels.ndim == 1:
            return (self.query_labels[:, None] == self.database_labels[None]).astype(int)
        return self.query_labels.astype(int) @ self.database_labels.astype(int).T


def random_case(rng, n_queries=6, n_items=80, width=1, classes=5, density=0.3):
    """Codes of ``width`` bytes and labels of random dtype; classes=0 gives class numbers.

    One class alone is bool: integers in a column are class numbers.
    """
    codes = [rng.integers(0, 256, (n, width), dtype=np.uint8) for n in (n_queries, n_items)]
    if classes:
        dtypes = rng.choice(["bool", "uint8", "int8", "int64", "uint16"][: None if classes > 1 else 1], 2)
        labels = [
            (rng.random((n, classes)) < density).astype(t) for n, t in zip((n_queries, n_items), dtypes, strict=True)
        ]
    else:
        labels = [rng.integers(0, 4, n) for n in (n_queries, n_items)]
    return Case(*codes, *labels)
