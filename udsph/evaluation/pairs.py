"""Retrieval of an item's own partner, which needs no labels: recall within the first k, and the median rank.

A query is one half of a pair, the database holds the other halves, and what counts is the rank of the first partner.
Items at one distance come in any order with the same probability; recall and rank are the mean over all orders. Where
``before`` items are nearer than the first partner and ``tied`` items are as near, of which ``partners`` are partners,

    P(rank > before + m) = C(tied - partners, m) / C(tied, m),    E(rank) = before + (tied + 1) / (partners + 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation import reference
from udsph.evaluation.counting import count_problem
from udsph.evaluation.counts import Counts
from udsph.evaluation.plan import whole_ranks
from udsph.evaluation.problem import problem
from udsph.hamming.codes import BitOrder, as_array

PAIR_CUTOFFS = (1, 5, 10)
Values = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class PairRetrieval:
    """Where queries find their partners.

    Attributes
    ----------
    recall : dict of int to float
        By k: the share of the queries with a partner among the first k, in expectation over ties.
    median_rank : float
        Median over the queries of ``ranks``; 1 is best.
    ranks : (nq,) float64
        Rank of the first partner of each query, in expectation over ties.
    n_items : int
        Size of the database; codes that are all equal have the recall k / n and the rank (n + 1) / 2.
    """

    recall: dict[int, float]
    median_rank: float
    ranks: Values
    n_items: int

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return len(self.ranks)

    def to_dict(self) -> dict[str, float]:
        """``pair_recall@1``, ..., ``pair_median_rank``."""
        return {f"pair_recall@{k}": share for k, share in self.recall.items()} | {"pair_median_rank": self.median_rank}


def evaluate_pairs(
    query_codes: Any,
    database_codes: Any,
    query_pairs: Any = None,
    database_pairs: Any = None,
    *,
    cutoffs: Sequence[int] = PAIR_CUTOFFS,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
) -> PairRetrieval:
    """Recall and median rank of each query's own partner by Hamming distance, exact under ties.

    Parameters
    ----------
    query_codes, database_codes : (nq, bytes), (n, bytes) uint8
        Packed codes, or another form that ``evaluate`` takes.
    query_pairs, database_pairs : (nq,), (n,) integers from 0, optional
        Which pair each item belongs to; without them row i of both is pair i. A pair may have several items in either,
        such as the captions of an image: what counts is the first of them that is found.
    cutoffs : ranks from 1
        The k of the recalls.
    bits, bitorder, threads
        As for ``evaluate``.

    Returns
    -------
    PairRetrieval

    Raises
    ------
    InputError
        If a query has no partner in the database, or the arguments do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from udsph.evaluation import evaluate_pairs
    >>> found = evaluate_pairs(np.array([[0b00], [0b11]], np.uint8), np.array([[0b01], [0b11]], np.uint8))
    >>> found.recall[1], found.ranks.tolist()
    (1.0, [1.0, 1.0])
    """
    pairs = _pairs(query_pairs, database_pairs, len(query_codes), len(database_codes))
    checked = problem(query_codes, database_codes, *pairs, bits=bits, bitorder=bitorder, threads=threads)
    return _retrieval(*_of_counts(count_problem(checked, shared=False)), checked.n_items, cutoffs)


def evaluate_pair_scores(
    scores: Any, query_pairs: Any = None, database_pairs: Any = None, *, cutoffs: Sequence[int] = PAIR_CUTOFFS
) -> PairRetrieval:
    """The same by real-valued scores ``(nq, n)``, the greatest first; equal scores are tied."""
    matrix = as_array(scores, "scores")
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        raise InputError(f"scores must be real numbers (queries, items), got {matrix.dtype} {matrix.shape}")
    if np.isnan(matrix).any():
        raise InputError("scores must be real numbers without NaN")
    of_queries, of_items = _pairs(query_pairs, database_pairs, *matrix.shape)
    places = [reference.first_partner(-row, of_items == pair) for row, pair in zip(matrix, of_queries, strict=True)]
    before, tied, partners = np.array(places, np.int64).reshape(-1, 3).T
    return _retrieval(before, tied, partners, matrix.shape[1], cutoffs)


def _pairs(query: Any, database: Any, n_queries: int, n_items: int) -> tuple[Whole, Whole]:
    """The pair of each item, numbered through, as int64."""
    if (query is None) != (database is None):
        raise InputError("give query_pairs and database_pairs, or neither")
    if query is None:
        if n_queries != n_items:
            raise InputError(
                f"{n_queries} queries but {n_items} items: give query_pairs= and database_pairs=, the number of "
                f"the pair that each belongs to"
            )
        query = database = np.arange(n_queries)
    numbers = []
    for values, name, count in ((query, "query_pairs", n_queries), (database, "database_pairs", n_items)):
        array = as_array(values, name)
        if array.dtype.kind not in "iu" or array.shape != (count,):
            raise InputError(f"{name} must be {count} integers, got {array.dtype} {array.shape}")
        numbers.append(array.astype(np.int64))
    alone = np.flatnonzero(~np.isin(numbers[0], numbers[1]))
    if len(alone):
        raise InputError(f"query {alone[0]}, of pair {numbers[0][alone[0]]}, has no partner in the database")
    return numbers[0], numbers[1]


def _of_counts(counts: Counts) -> tuple[Whole, Whole, Whole]:
    """Items before the first partner, items tied with it, and partners among those, each (nq,)."""
    first = (counts.relevant > 0).argmax(axis=1)[:, None]
    before = np.cumsum(counts.items, axis=1) - counts.items
    return tuple(np.take_along_axis(table, first, axis=1)[:, 0] for table in (before, counts.items, counts.relevant))  # type: ignore[return-value]


def _retrieval(before: Whole, tied: Whole, partners: Whole, n_items: int, cutoffs: Sequence[int]) -> PairRetrieval:
    ranks = before + (tied + 1) / (partners + 1)
    recall = {k: _mean(_found(before, tied, partners, k)) for k in whole_ranks(cutoffs, "cutoffs")}
    return PairRetrieval(recall, float(np.median(ranks)) if len(ranks) else float("nan"), ranks, n_items)


def _found(before: Whole, tied: Whole, partners: Whole, k: int) -> Values:
    """Probability that a partner is among the first k."""
    taken = np.clip(k - before, 0, tied)
    missed = np.ones(len(tied))
    for j in range(int(partners.max(initial=0))):  # C(t - r, m) / C(t, m), as a product over the r partners
        missed *= np.where(j < partners, np.maximum(tied - taken - j, 0) / np.maximum(tied - j, 1), 1.0)
    return np.where(partners == 1, taken / np.maximum(tied, 1), 1 - missed)


def _mean(values: Values) -> float:
    return float(values.mean()) if len(values) else float("nan")
