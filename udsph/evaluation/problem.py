"""Codes and relevance of one evaluation, checked, and the walk through them in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.evaluation.relevance import ClassNumbers, CustomRelevance, MultiHotLabels, relevance_of
from udsph.hamming.codes import as_array, check_bits, check_codes

Progress = Callable[[int, int], Any]

# A piece of the NumPy path holds distances, grades and cells of this many pairs at a time: 20 MiB.
PAIRS_PER_PIECE = 1 << 20


@dataclass
class Problem:
    """Queries and a database of codes of one width, and which items are relevant for which query."""

    query: NDArray[np.uint8]
    database: NDArray[np.uint8]
    relevance: MultiHotLabels | ClassNumbers | CustomRelevance
    threads: int | None
    progress: Progress | None
    passes: int = 1
    """Walks through the database that this evaluation takes; all their pairs count for ``progress``."""
    passed: int = 0
    """Walks that are done."""

    @property
    def n_queries(self) -> int:
        return len(self.query)

    @property
    def n_items(self) -> int:
        return len(self.database)

    @property
    def bins(self) -> int:
        """Distances that are counted, from 0 to the width of whole bytes."""
        return 8 * self.query.shape[1] + 1

    def batches(self, n_queries: int) -> Iterator[Problem]:
        """Problems of so many queries each, that report to one progress; one at least."""
        for first in range(0, max(1, self.n_queries), max(1, n_queries)):
            queries = slice(first, min(first + n_queries, self.n_queries))
            yield replace(
                self,
                query=self.query[queries],
                relevance=self.relevance.of_queries(queries),
                progress=None if self.progress is None else self._progress_from(first),
            )

    def _progress_from(self, query: int) -> Progress:
        assert self.progress is not None
        whole, report = self.passes * self.n_items, self.progress
        return lambda done, total: report(query * whole + done, self.n_queries * whole)

    def report(self, done: int) -> None:
        """Tell how many pairs of this walk are done."""
        total = self.n_queries * self.n_items
        if self.progress is not None:
            self.progress(self.passed * total + done, self.passes * total)
        self.passed += done == total

    def pieces(self) -> Iterator[tuple[slice, slice]]:
        """(queries, items) slices that cover all pairs once; for each query the items come in order."""
        items_step = min(max(1, self.n_items), 1 << 16)
        query_step = max(1, PAIRS_PER_PIECE // items_step)
        done = 0
        for begin in range(0, self.n_items, items_step):
            items = slice(begin, min(begin + items_step, self.n_items))
            for first in range(0, self.n_queries, query_step):
                queries = slice(first, min(first + query_step, self.n_queries))
                yield queries, items
                done += (queries.stop - queries.start) * (items.stop - items.start)
                self.report(done)


def problem(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    bits: int | None = None,
    relevance: Any = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Problem:
    """Check everything that a user gives to count or evaluate."""
    threads = None if threads is None else check_int(threads, "threads", 1)
    query, database = as_array(query_codes, "query_codes"), as_array(database_codes, "database_codes")
    if query.ndim == 2 and database.ndim == 2 and query.shape[1] != database.shape[1]:
        raise InputError(
            f"query_codes has {query.shape[1]} bytes in a row, database_codes has {database.shape[1]}; "
            "both must have the same width"
        )
    width = None if bits is None else check_bits(bits)
    query, database = check_codes(query, width, "query_codes"), check_codes(database, width, "database_codes")
    form = relevance_of(query_labels, database_labels, relevance, len(query), len(database))
    return Problem(query, database, form, threads, progress)
