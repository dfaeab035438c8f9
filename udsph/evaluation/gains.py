"""Gains of grades, and the blocks of items with one gain that the DCG is a sum over."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation import metrics
from udsph.evaluation.cells import Cells

Values = NDArray[np.float64]
Blocks = tuple[Values, Values]  # number of items, their gain

MAX_GRADE = 1000  # 2**1024 is beyond float64
_MOST_SINGLE = 1 << 10


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


def tied_blocks(cells: Cells, n: Values, gain: str, ties: int) -> Blocks:
    """Blocks of a ranking of groups of ``n`` items: each group with its mean gain, or its items sorted by gain."""
    size, gains = cells.size.astype(np.float64), gains_of(cells.grade, gain)
    first = np.flatnonzero(np.diff(cells.distance, prepend=-1))
    if len(first) == len(cells.size):
        return size, gains
    if ties == metrics.EXPECTED:
        return n, np.add.reduceat(size * gains, first) / n
    if ties == metrics.OPTIMISTIC:  # turn the cells of each group round
        cells_in = np.diff(first, append=len(size))
        order = np.repeat(2 * first + cells_in - 1, cells_in) - np.arange(len(size))
        return size[order], gains[order]
    return size, gains


def ideal_blocks(cells: Cells, gain: str) -> Blocks:
    """Blocks of the best order of all items.

    Up to some thousands of items stay single: they are the terms of a ranking without ties, which then has the very
    same sum if it is the best.
    """
    relevant = cells.grade > 0
    grade, place = np.unique(-cells.grade[relevant], return_inverse=True)
    size = np.bincount(place, weights=cells.size[relevant], minlength=len(grade))
    gains = gains_of(-grade, gain)
    if size.sum() <= _MOST_SINGLE or cells.size.max(initial=0) <= 1:
        gains = np.repeat(gains, size.astype(np.int64))
        return np.ones(len(gains)), gains
    return size.astype(np.float64), gains
