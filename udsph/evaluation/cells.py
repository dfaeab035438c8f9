"""Items by distance and grade, as NDCG needs them: only the pairs that occur, of one query and of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.evaluation.counts import Counts

_MOST_COUNTED = 1 << 12  # grades below this are counted in a table, others are sorted


@dataclass(frozen=True)
class Cells:
    """Numbers of items by distance and grade, sorted by both.

    Attributes
    ----------
    distance : (cells,) int64
    grade : (cells,) float64
    size : (cells,) int64
        From 1.
    """

    distance: NDArray[np.int64]
    grade: NDArray[np.float64]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, distance: NDArray[Any], grade: NDArray[Any]) -> Cells:
        """Count items by their distances and grades, each (n,)."""
        most = grade.max(initial=0)
        if grade.dtype.kind in "iu" and most < _MOST_COUNTED:
            levels: NDArray[Any] = np.arange(int(most) + 1)
            place = grade
        else:
            levels, place = np.unique(grade, return_inverse=True)
        key = distance.astype(np.int64) * len(levels) + place
        if len(levels) < _MOST_COUNTED:
            table = np.bincount(key)
            cell = np.flatnonzero(table)
            size = table[cell]
        else:
            cell, size = np.unique(key, return_counts=True)
        return cls(cell // max(1, len(levels)), levels[cell % max(1, len(levels))].astype(np.float64), size)

    @classmethod
    def none(cls) -> Cells:
        """Of no items."""
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))

    def __add__(self, other: Cells) -> Cells:
        if not len(self.size):
            return other
        distance = np.concatenate([self.distance, other.distance])
        grade = np.concatenate([self.grade, other.grade])
        order = np.lexsort((grade, distance))
        distance, grade = distance[order], grade[order]
        first = np.flatnonzero(np.r_[True, (distance[1:] != distance[:-1]) | (grade[1:] != grade[:-1])])
        size = np.add.reduceat(np.concatenate([self.size, other.size])[order], first)
        return Cells(distance[first], grade[first], size)

    def items(self, bins: int, which: NDArray[np.bool_] | slice = slice(None)) -> NDArray[np.int64]:
        """Items at each of so many distances, of those cells only, (bins,)."""
        table = np.zeros(bins, np.int64)
        np.add.at(table, self.distance[which], self.size[which])
        return table

    def by_grade(self) -> Cells:
        """The same at one distance."""
        level = self.grade.astype(np.int64) if self.grade.max(initial=0) < _MOST_COUNTED else None
        if level is not None and np.array_equal(level, self.grade):
            table = np.bincount(level, weights=self.size)
            found = np.flatnonzero(table)
            return Cells(np.zeros(len(found), np.int64), found.astype(np.float64), table[found].astype(np.int64))
        grade, place = np.unique(self.grade, return_inverse=True)
        size = np.bincount(place, weights=self.size, minlength=len(grade)).astype(np.int64)
        return Cells(np.zeros(len(grade), np.int64), grade, size)

    def fill(self, table: NDArray[np.int64], grades: NDArray[np.float64]) -> None:
        """Write the numbers into a table of zeros (distances, levels) whose grades hold all of these."""
        table[self.distance, np.searchsorted(grades, self.grade)] = self.size


@dataclass(frozen=True)
class Graded:
    """Cells of several queries, one query behind the other.

    Attributes
    ----------
    query, distance : (cells,) int64
    grade : (cells,) float64
    size : (cells,) float64
    n_queries : int
    """

    query: NDArray[np.int64]
    distance: NDArray[np.int64]
    grade: NDArray[np.float64]
    size: NDArray[np.float64]
    n_queries: int

    @classmethod
    def of(cls, cells: Sequence[Cells]) -> Graded:
        """Join the cells of each query."""
        held = [Cells.none(), *cells]
        distance, grade, size = (
            np.concatenate([getattr(of_query, name) for of_query in held]) for name in ("distance", "grade", "size")
        )
        query = np.repeat(np.arange(len(cells)), [len(of_query.size) for of_query in cells])
        return cls(query, distance, grade, size.astype(np.float64), len(cells))

    @classmethod
    def of_table(cls, table: NDArray[np.int64], grades: NDArray[np.float64]) -> Graded:
        """The cells of a table (queries, distances, levels) of numbers of items; levels have ascending grades."""
        query, distance, level = np.nonzero(table)
        return cls(query, distance, grades[level], table[query, distance, level].astype(np.float64), len(table))

    @classmethod
    def ideal_of(cls, counts: Counts) -> Graded:
        """All items of counts by grade, at one distance."""
        assert counts.shared is not None
        return cls.of_table(counts.shared.sum(axis=1)[:, None, :], counts.grades)
