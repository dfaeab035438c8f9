"""Joint counts: per query, how many items and how many relevant items stand at each Hamming distance."""

from __future__ import annotations

from collections.abc import Sequence
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
    grades : (levels,) float64
        The grade of each level, ascending; 0, 1, 2, ... by default.

    Notes
    -----
    ``a + b`` are the counts of two pieces of a database together, for the same queries. The order of items is lost:
    ranks in insertion order (``ties="insertion"``) do not follow from counts.
    """

    items: NDArray[np.int64]
    relevant: NDArray[np.int64]
    shared: NDArray[np.int64] | None = None
    grades: NDArray[np.float64] = None  # type: ignore[assignment]  # set below

    def __post_init__(self) -> None:
        if self.items.shape != self.relevant.shape or self.items.ndim != 2:
            raise InputError(f"counts differ in shape: items {self.items.shape}, relevant {self.relevant.shape}")
        if self.shared is not None and self.shared.shape[:2] != self.items.shape:
            raise InputError(f"counts differ in shape: items {self.items.shape}, shared {self.shared.shape}")
        levels = 0 if self.shared is None else self.shared.shape[2]
        if self.grades is None:
            object.__setattr__(self, "grades", np.arange(levels, dtype=np.float64))
        if self.grades.shape != (levels,):
            raise InputError(f"counts differ in shape: {levels} levels, grades {self.grades.shape}")

    @property
    def n_queries(self) -> int:
        """Number of queries."""
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
        items, relevant = self.items + other.items, self.relevant + other.relevant
        if self.shared is None or other.shared is None:
            return Counts(items, relevant)
        grades = np.union1d(self.grades, other.grades)
        shared = np.zeros((*items.shape, len(grades)), np.int64)
        for part in (self, other):
            shared[:, :, np.searchsorted(grades, part.grades)] += part.shared
        return Counts(items, relevant, shared, grades)

    def __radd__(self, other: Any) -> Counts:
        return self if isinstance(other, int) and other == 0 else NotImplemented  # so that sum(pieces) works

    def of_queries(self, queries: slice) -> Counts:
        """Counts of some of the queries."""
        shared = None if self.shared is None else self.shared[queries]
        return Counts(self.items[queries], self.relevant[queries], shared, self.grades)

    def without_grades(self) -> Counts:
        """What is left of them without ``shared``, which is the largest part."""
        return Counts(self.items, self.relevant)


def joined(parts: Sequence[Counts]) -> Counts:
    """Counts of all queries, one part behind the other, without ``shared``."""
    if len(parts) == 1:
        return parts[0].without_grades()
    return Counts(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("items", "relevant")))
