"""Rankings: what a metric asks of one, whatever it was made from.

``TiedRanking`` is a sequence of tied groups per query (from counts, scores or a given order) read in expectation or at
its bounds; ``OrderedRanking`` holds the sums that a pass over the database in insertion order has collected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation import metrics
from udsph.evaluation.cells import Cells, Graded
from udsph.evaluation.conventions import DENOMINATORS
from udsph.evaluation.counts import Counts
from udsph.evaluation.gains import ideal_blocks, tied_blocks

Values = NDArray[np.float64]

TIE_CODES = {"expected": metrics.EXPECTED, "optimistic": metrics.OPTIMISTIC, "pessimistic": metrics.PESSIMISTIC}

# Numbers by distance and grade that are held at a time, where all of them are not asked for.
TABLE_BYTES = 64 << 20


class Ranking(Protocol):
    """Values of some queries. Cutoffs are float64 of shape (nq, cutoffs) or (cutoffs,), infinite for the whole ranking.

    ``counts`` are those that it was made from, if any, and what the values by radius follow from.
    """

    n_queries: int

    @property
    def counts(self) -> Counts | None: ...
    def relevant(self) -> Values: ...
    def hits(self, cutoffs: Values) -> Values: ...
    def average_precision(self, cutoffs: Values, denominator: str) -> Values: ...
    def reciprocal_rank(self, cutoffs: Values) -> Values: ...
    def success(self, cutoffs: Values) -> Values: ...
    def ndcg(self, cutoffs: Values, gain: str) -> Values: ...


@dataclass(frozen=True)
class QueryGroups:
    """Tied groups of one query, nearest first, none of them empty.

    Attributes
    ----------
    n, r : (groups,) float64
        Items and relevant items of each group.
    cells : Cells or None
        The items by grade, where NDCG is asked for; ``distance`` is the place of the group.
    ideal : Cells or None
        All items of a grade above 0 at one distance, also those that are in no group.
    missing : int
        Relevant items that are in no group.
    """

    n: Values
    r: Values
    cells: Cells | None = None
    ideal: Cells | None = None
    missing: int = 0


class TiedRanking:
    """Groups of several queries, with ties read as "expected", "optimistic" or "pessimistic".

    Parameters
    ----------
    n, r : (groups,) float64
        Items and relevant items of the groups of all queries, one query's behind the other's.
    ends : (nq,) int64
        Where the groups of each query end.
    relevant : (nq,) float64
        All relevant items of each query, also those in no group.
    ties : str
    graded, ideal : Graded, optional
        Where NDCG is asked for: the items of the groups by grade, ``distance`` being the group, and all items by grade
        at one distance.
    counts : Counts, optional
    """

    def __init__(
        self,
        n: Values,
        r: Values,
        ends: NDArray[np.int64],
        relevant: Values,
        ties: str,
        graded: Graded | None = None,
        ideal: Graded | None = None,
        counts: Counts | None = None,
    ) -> None:
        self._groups, self._relevant = (n, r, ends), relevant
        self.n_queries, self.counts = len(ends), counts
        self._graded, self._ideal = graded, ideal
        self._ties = TIE_CODES[ties]

    @classmethod
    def of_groups(cls, queries: Sequence[QueryGroups], ties: str) -> TiedRanking:
        """The ranking of the groups of each query, which hold their cells where NDCG is asked for."""
        none = np.zeros(0)
        n, r = np.concatenate([none, *(q.n for q in queries)]), np.concatenate([none, *(q.r for q in queries)])
        ends = np.cumsum([len(query.n) for query in queries], dtype=np.int64)
        relevant = np.array([query.r.sum() + query.missing for query in queries], np.float64)
        cells = [query.cells for query in queries if query.cells is not None]
        ideal = [query.ideal for query in queries if query.ideal is not None]
        graded = (Graded.of(cells), Graded.of(ideal)) if cells else (None, None)
        return cls(n, r, ends, relevant, ties, *graded)

    @classmethod
    def from_counts(
        cls, counts: Counts, ties: str, graded: Graded | None = None, ideal: Graded | None = None
    ) -> TiedRanking:
        """Groups of counts; for NDCG with their items by grade, unless the counts are by grade."""
        held = counts.items > 0
        n, r = counts.items[held].astype(np.float64), counts.relevant[held].astype(np.float64)
        ends, relevant = np.cumsum(held.sum(axis=1)), counts.relevant.sum(axis=1).astype(np.float64)
        if graded is None and counts.shared is not None:
            graded, ideal = Graded.of_table(counts.shared, counts.grades), Graded.ideal_of(counts)
        return cls(n, r, ends, relevant, ties, graded, ideal, counts)

    @classmethod
    def parts(cls, counts: Counts, ties: str) -> Iterator[TiedRanking]:
        """The same for some queries at a time, so that what is made of a table by grade does not grow with it."""
        row = 1 if counts.shared is None else max(1, counts.shared[:1].nbytes)
        step = max(1, TABLE_BYTES // row)
        for first in range(0, max(1, counts.n_queries), step):
            yield cls.from_counts(counts.of_queries(slice(first, first + step)), ties)

    def relevant(self) -> Values:
        return self._relevant

    def hits(self, cutoffs: Values) -> Values:
        return np.asarray(metrics.hits_at(*self._groups, self._rows(cutoffs), self._ties))

    def average_precision(self, cutoffs: Values, denominator: str) -> Values:
        rows, code = self._rows(cutoffs), DENOMINATORS.index(denominator)
        return np.asarray(metrics.average_precision_at(*self._groups, self._relevant, rows, self._ties, code))

    def reciprocal_rank(self, cutoffs: Values) -> Values:
        return np.asarray(metrics.reciprocal_rank_at(*self._groups, self._rows(cutoffs), self._ties))

    def success(self, cutoffs: Values) -> Values:
        return np.asarray(metrics.success_at(*self._groups, self._rows(cutoffs), self._ties))

    def ndcg(self, cutoffs: Values, gain: str) -> Values:
        if self._graded is None or self._ideal is None:
            raise InputError("NDCG needs counts by number of shared labels: count(..., shared=True)")
        rows, untied = self._rows(cutoffs), not (self._graded.size > 1).any()
        value = tied_blocks(self._graded, gain, self._ties).dcg(rows)
        return normalized(value, ideal_blocks(self._ideal, gain, untied).dcg(rows))

    def _rows(self, cutoffs: Values) -> Values:
        return np.ascontiguousarray(np.broadcast_to(cutoffs, (self.n_queries, cutoffs.shape[-1])))


def normalized(value: Values, ideal: Values) -> Values:
    """Value over its greatest value, at most 1 whatever the rounding; 0 where there is none."""
    return np.minimum(np.divide(value, ideal, out=np.zeros_like(value), where=ideal > 0), 1.0)
