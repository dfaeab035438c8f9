"""What a pass over the database in insertion order collects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class OrderedSums:
    """Sums over the relevant items in rank order, per query, up to each of its stops.

    Attributes
    ----------
    stops : (nq, stops) int64
        Ranks, ascending in each row.
    hits : (nq, stops) int64
        Relevant items within each stop.
    precision : (nq, stops) float64
        Sum of the precisions at them.
    wanted : (nq, limits) int64
        Numbers of relevant items, ascending in each row.
    first_precision : (nq, limits) float64
        Sum of the precisions at that many first relevant items.
    first_rank : (nq,) int64
        Rank of the first relevant item, 0 without one.
    dcg : {gain: (nq, stops) float64}
        Discounted gains within each stop.
    """

    stops: NDArray[np.int64]
    hits: NDArray[np.int64]
    precision: NDArray[np.float64]
    wanted: NDArray[np.int64]
    first_precision: NDArray[np.float64]
    first_rank: NDArray[np.int64]
    dcg: dict[str, NDArray[np.float64]]

    @classmethod
    def empty(cls, stops: NDArray[np.int64], wanted: NDArray[np.int64], gains: Sequence[str]) -> OrderedSums:
        """Sums of nothing."""
        return cls(
            stops,
            np.zeros_like(stops),
            np.zeros(stops.shape),
            wanted,
            np.zeros(wanted.shape),
            np.zeros(len(stops), np.int64),
            {gain: np.zeros(stops.shape) for gain in gains},
        )
