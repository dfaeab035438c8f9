"""Joint counts: per query, how many items and how many relevant items stand at each Hamming distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError


@dataclass(frozen=True)
class Counts:
    """Everything that metrics need to know about a database of codes, whatever its size.

    Attributes
    ----------
    items : (nq, bits + 1) int64
        Database items at each distance from each query.
    relevant : (nq, bits + 1) int64
        Relevant ones among them.
    shared : (nq, bits + 1, levels) int64 or None
        Items by distance and grade (number of shared labels); NDCG needs it. ``shared.sum(axis=2)`` is ``items``.

    Notes
    -----
    ``a + b`` are the counts of two pieces of a database together, for the same queries. The order of items is lost:
    ranks in insertion order (``ties="insertion"``) do not follow from counts.
    """

    items: NDArray[np.int64]
    relevant: NDArray[np.int64]
    shared: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.items.shape != self.relevant.shape or self.items.ndim != 2:
            raise InputError(f"counts differ in shape: items {self.items.shape}, relevant {self.relevant.shape}")
        if self.shared is not None and self.shared.shape[:2] != self.items.shape:
            raise InputError(f"counts differ in shape: items {self.items.shape}, shared {self.shared.shape}")

    @property
    def n_queries(self) -> int:
        return self.items.shape[0]

    @property
    def bits(self) -> int:
        """Greatest distance counted; codes count as whole bytes."""
        return self.items.shape[1] - 1

    @property
    def n_items(self) -> int:
        """Size of the database, 0 without a query."""
        return int(self.items[0].sum()) if len(self.items) else 0

    def __add__(self, other: Any) -> Counts:
        if not isinstance(other, Counts):
            return NotImplemented
        if self.items.shape != other.items.shape:
            raise InputError(
                f"counts of {self.n_queries} queries and {self.bits} bits cannot be added to counts of "
                f"{other.n_queries} queries and {other.bits} bits"
            )
        shared = None
        if self.shared is not None and other.shared is not None:
            levels = max(self.shared.shape[2], other.shared.shape[2])
            shared = with_levels(self.shared, levels) + with_levels(other.shared, levels)
        return Counts(self.items + other.items, self.relevant + other.relevant, shared)

    def __radd__(self, other: Any) -> Counts:
        return self if isinstance(other, int) and other == 0 else NotImplemented  # so that sum(pieces) works


def with_levels(shared: NDArray[np.int64], levels: int) -> NDArray[np.int64]:
    """The same joint counts with room for ``levels`` grades."""
    missing = levels - shared.shape[2]
    return shared if missing == 0 else np.pad(shared, ((0, 0), (0, 0), (0, missing)))
