"""Rankings: what a metric asks of one, whatever it was made from.

``TiedRanking`` is a sequence of tied groups per query (from counts, scores or a given order) read in expectation or at
its bounds; ``OrderedRanking`` holds the sums that a pass over the database in insertion order has collected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
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
    """Groups per query, with ties read as "expected", "optimistic" or "pessimistic".

    Parameters
    ----------
    queries : list of QueryGroups
    ties : str
    graded, ideal : Graded, optional
        Where NDCG is asked for: the items of the groups by grade, ``distance`` being the group, and all items by grade
        at one distance.
    counts : Counts, optional
    """

    def __init__(
        self,
        queries: Sequence[QueryGroups],
        ties: str,
        graded: Graded | None = None,
        ideal: Graded | None = None,
        counts: Counts | None = None,
    ) -> None:
        self._queries, self.n_queries, self.counts = queries, len(queries), counts
        self._graded, self._ideal = graded, ideal
        self._ties = TIE_CODES[ties]

    @classmethod
    def of_groups(cls, queries: Sequence[QueryGroups], ties: str) -> TiedRanking:
        """The ranking of groups that hold their cells, if any."""
        cells = [query.cells for query in queries if query.cells is not None]
        ideal = [query.ideal for query in queries if query.ideal is not None]
        return cls(queries, ties, Graded.of(cells), Graded.of(ideal)) if cells else cls(queries, ties)

    @classmethod
    def from_counts(
        cls, counts: Counts, ties: str, graded: Graded | None = None, ideal: Graded | None = None
    ) -> TiedRanking:
        """Groups of counts; for NDCG with their items by grade, unless the counts are by grade."""
        held = counts.items > 0
        # All groups side by side, of which each query has a view: one selection instead of one a query.
        n, r = counts.items[held].astype(np.float64), counts.relevant[held].astype(np.float64)
        ends = np.cumsum(held.sum(axis=1)).tolist()
        queries = [QueryGroups(n[begin:end], r[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
        if graded is None and counts.shared is not None:
            graded, ideal = Graded.of_table(counts.shared, counts.grades), Graded.ideal_of(counts)
        return cls(queries, ties, graded, ideal, counts)

    @classmethod
    def parts(cls, counts: Counts, ties: str) -> Iterator[TiedRanking]:
        """The same for some queries at a time, so that what is made of a table by grade does not grow with it."""
        row = 1 if counts.shared is None else max(1, counts.shared[:1].nbytes)
        step = max(1, TABLE_BYTES // row)
        for first in range(0, max(1, counts.n_queries), step):
            yield cls.from_counts(counts.of_queries(slice(first, first + step)), ties)

    def relevant(self) -> Values:
        return self._relevant

    @cached_property
    def _relevant(self) -> Values:
        return np.array([query.r.sum() + query.missing for query in self._queries], np.float64)

    def hits(self, cutoffs: Values) -> Values:
        rows = self._rows(cutoffs)
        if rows.shape[1] == 0:
            return rows
        pairs = zip(self._queries, rows, strict=True)
        return _stack([metrics.hits_at(q.n, q.r, k, self._ties) for q, k in pairs], rows)

    def average_precision(self, cutoffs: Values, denominator: str) -> Values:
        rows, code = self._rows(cutoffs), DENOMINATORS.index(denominator)
        of_each = zip(self._queries, self._relevant.tolist(), rows, strict=True)
        values = [metrics.average_precision_at(q.n, q.r, total, k, self._ties, code) for q, total, k in of_each]
        return _stack(values, rows)

    def reciprocal_rank(self, cutoffs: Values) -> Values:
        rows = self._rows(cutoffs)
        pairs = zip(self._queries, rows, strict=True)
        return _stack([metrics.reciprocal_rank_at(q.n, q.r, k, self._ties) for q, k in pairs], rows)

    def success(self, cutoffs: Values) -> Values:
        rows = self._rows(cutoffs)
        pairs = zip(self._queries, rows, strict=True)
        return _stack([metrics.success_at(q.n, q.r, k, self._ties) for q, k in pairs], rows)

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


def _stack(rows: list[Values], like: Values) -> Values:
    return np.array(rows, np.float64).reshape(like.shape)
