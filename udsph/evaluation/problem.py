"""Codes and relevance of one evaluation, checked, and the walk through them in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.cuda import device_number
from udsph.errors import InputError
from udsph.evaluation.relevance import ClassNumbers, CustomRelevance, MultiHotLabels, relevance_of
from udsph.hamming.codes import BitOrder, as_array, as_pair

Progress = Callable[[int, int], Any]

# A piece of the NumPy path holds distances, grades and cells of this many pairs at a time: 20 MiB.
PAIRS_PER_PIECE = 1 << 20
_FEW_VALUES = 16  # among fewer, packed codes may well be -1, 0 and 1


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
    device: int | None = None
    """The GPU that counts; None: the CPU does."""

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
    bitorder: BitOrder = "little",
    relevance: Any = None,
    threads: int | None = None,
    progress: Progress | None = None,
    device: str | None = None,
) -> Problem:
    """Check everything that a user gives to count or evaluate."""
    number = None if device is None else device_number(device)
    threads = None if threads is None else check_int(threads, "threads", 1)
    query, database = _codes(query_codes, database_codes, bits, bitorder)
    form = relevance_of(query_labels, database_labels, relevance, len(query), len(database))
    if number is not None:
        from udsph.evaluation import gpu

        number = gpu.usable(number, form)
    return Problem(query, database, form, threads, progress, device=number)


def _codes(
    queries: Any, database: Any, bits: int | None, bitorder: BitOrder
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Packed rows of one width."""
    shapes = [np.shape(codes) for codes in (queries, database)]
    kinds = [str(getattr(codes, "dtype", None)) for codes in (queries, database)]
    if kinds[0] == kinds[1] and [len(shape) for shape in shapes] == [2, 2] and shapes[0][1] != shapes[1][1]:
        raise InputError(
            f"query_codes has {shapes[0][1]} columns of {kinds[0]}, database_codes has {shapes[1][1]}; "
            "both must have the same width"
        )
    if bits is None:
        for codes, name in ((database, "database_codes"), (queries, "query_codes")):
            _refuse_columns_of_bits(as_array(codes, name), name)
    rows = as_pair(queries, database, bits, bitorder, ("query_codes", "database_codes"))
    return rows[0], rows[1]


def _refuse_columns_of_bits(codes: NDArray[Any], name: str) -> None:
    """Signs in signed integers, one column a bit, have the form of words or of shifted bytes, but not their values."""
    if codes.dtype.kind != "i" or codes.ndim != 2 or codes.shape[1] < 2 or codes.size < _FEW_VALUES:
        return
    if codes.min() >= -1 and codes.max() <= 1:
        found = ", ".join(map(str, np.unique(codes)))
        raise InputError(
            f"{name} holds only {found}, one column a bit: pack them first, udsph.hamming.pack; packed codes of "
            f"{codes.dtype} with such values need bits="
        )
