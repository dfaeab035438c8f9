"""Grades of given rankings, one list a query and of any lengths, and how many relevant items there are in all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation.relevance import CustomRelevance, as_grades
from udsph.hamming.codes import as_array

LISTED = "listed"


class Lists:
    """Grades of the items of each query in the order in which they were given: a table, or lists of any lengths."""

    def __init__(self, relevance: Any) -> None:
        self._table: CustomRelevance | None = None
        self._lists: list[NDArray[Any]] = []
        if isinstance(relevance, (list, tuple)) and any(_is_row(row) for row in relevance):
            self._lists = [_grades_of(row, f"relevance[{q}]") for q, row in enumerate(relevance)]
            self.lengths = np.array([len(row) for row in self._lists], np.int64)
            return
        table = as_array(relevance, "relevance") if not hasattr(relevance, "tocsr") else relevance
        table = table[None] if table.ndim == 1 else table
        if table.ndim != 2:
            raise InputError(
                f"relevance must have shape (nq, n) or (n,), or be a list of a list for each query; got {table.shape}"
            )
        self._table = CustomRelevance(table, *table.shape)
        self.lengths = np.full(table.shape[0], table.shape[1], np.int64)

    @property
    def n_queries(self) -> int:
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """Items of the longest list."""
        return int(self.lengths.max(initial=0))

    def row(self, q: int) -> NDArray[Any]:
        """Grades of one query."""
        if self._table is None:
            return self._lists[q]
        return self._table.grades(slice(q, q + 1), slice(0, int(self.lengths[q])))[0]


def unlisted(n_relevant: Any, lists: Lists) -> NDArray[np.int64]:
    """Relevant items of each query that its list does not hold, (nq,), from the number of all of them."""
    if isinstance(n_relevant, str) and n_relevant == LISTED:
        return np.zeros(lists.n_queries, np.int64)
    counts = as_array(n_relevant, "n_relevant")
    if counts.dtype.kind not in "iu" or counts.ndim > 1:
        raise InputError(
            f"n_relevant must be {LISTED!r}, a whole number or one for each query, got {counts.dtype} {counts.shape}"
        )
    if counts.ndim == 1 and len(counts) != lists.n_queries:
        raise InputError(f"n_relevant has {len(counts)} numbers, relevance has {lists.n_queries} queries")
    counts = np.broadcast_to(counts.astype(np.int64), lists.n_queries)
    held = np.array([np.count_nonzero(lists.row(q) > 0) for q in range(lists.n_queries)], np.int64)
    if (counts < held).any():
        q = int(np.flatnonzero(counts < held)[0])
        raise InputError(
            f"n_relevant is {counts[q]} for query {q}, but its list holds {held[q]} relevant items; "
            "give the number of relevant items in the whole database"
        )
    return counts - held


def _is_row(row: Any) -> bool:
    return isinstance(row, (list, tuple)) or getattr(row, "ndim", 0) > 0


def _grades_of(row: Any, name: str) -> NDArray[Any]:
    array = as_array(row, name)
    if array.ndim != 1:
        raise InputError(f"{name} must be a list of grades, got shape {array.shape}")
    return as_grades(array, name) if array.size else np.zeros(0, np.uint8)
