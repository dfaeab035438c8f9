"""Gains of grades, and the blocks of items with one gain that the DCG is a sum over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation import metrics
from udsph.evaluation.cells import Graded

Values = NDArray[np.float64]

MAX_GRADE = 1000  # 2**1024 is beyond float64
_MOST_SINGLE = 1 << 10


@dataclass(frozen=True)
class Blocks:
    """Blocks of several queries: numbers of items and their gains, those of query q before ``ends[q]``."""

    n: Values
    gain: Values
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, n: Values, gain: Values, query: NDArray[np.int64], n_queries: int) -> Blocks:
        """Blocks whose queries ascend."""
        return cls(n, gain, np.searchsorted(query, np.arange(n_queries), side="right"))

    def dcg(self, cutoffs: Values) -> Values:
        """DCG at the cutoffs of each query, (queries, cutoffs)."""
        return np.asarray(metrics.dcg_at(self.n, self.gain, self.ends, cutoffs))


def gains_of(grades: NDArray[Any], gain: str) -> Values:
    """Gain of each grade: ``2**grade - 1`` ("exponential") or the grade ("linear")."""
    grades = grades.astype(np.float64)
    if gain == "linear":
        return grades
    most = grades.max(initial=0)
    if most > MAX_GRADE:
        raise InputError(
            f"the greatest grade, or number of labels that a query and an item share, is {most:g}: the gain "
            f"2**grade - 1 is defined up to {MAX_GRADE} (the metric ndcg_linear has no such limit)"
        )
    return np.exp2(grades) - 1


def tied_blocks(graded: Graded, gain: str, ties: int) -> Blocks:
    """Blocks of tied groups: each group with its mean gain, or its items sorted by gain."""
    size, gains, query = graded.size, gains_of(graded.grade, gain), graded.query
    first = np.flatnonzero(_changes(query, graded.distance))
    if len(first) == len(size):
        return Blocks.of(size, gains, query, graded.n_queries)
    if ties == metrics.EXPECTED:
        n = np.add.reduceat(size, first)
        mean = np.where(np.diff(first, append=len(size)) == 1, gains[first], np.add.reduceat(size * gains, first) / n)
        return Blocks.of(n, mean, query[first], graded.n_queries)
    if ties == metrics.OPTIMISTIC:  # turn the cells of each group round
        cells_in = np.diff(first, append=len(size))
        order = np.repeat(2 * first + cells_in - 1, cells_in) - np.arange(len(size))
        size, gains = size[order], gains[order]
    return Blocks.of(size, gains, query, graded.n_queries)


def ideal_blocks(graded: Graded, gain: str, untied: bool) -> Blocks:
    """Blocks of the best order of all items, which are given at one distance.

    In a ranking without ties, and where they are few, items stay single: the best ranking then has the very same sum.
    """
    relevant = np.flatnonzero(graded.grade > 0)[::-1]  # the greatest grade first
    query, size = graded.query[relevant], graded.size[relevant]
    order = np.argsort(query, kind="stable")
    query, size, gains = query[order], size[order], gains_of(graded.grade[relevant][order], gain)
    single = np.bincount(query, weights=size, minlength=graded.n_queries) <= _MOST_SINGLE
    times = np.where(single[query] | untied, size, 1).astype(np.int64)
    blocks = np.repeat(np.where(single[query] | untied, 1.0, size), times)
    return Blocks.of(blocks, np.repeat(gains, times), np.repeat(query, times), graded.n_queries)


def _changes(query: NDArray[np.int64], value: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a query or its value is another than the one before."""
    return np.r_[True, (query[1:] != query[:-1]) | (value[1:] != value[:-1])] if len(query) else np.zeros(0, np.bool_)
