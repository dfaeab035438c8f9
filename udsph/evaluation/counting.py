"""``count``: joint counts of codes and labels, natively where the kernels are built, else in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from udsph.evaluation import gpu, native, reference
from udsph.evaluation.cells import Cells
from udsph.evaluation.counts import Counts
from udsph.evaluation.problem import Problem, Progress, problem
from udsph.evaluation.relevance import MAX_CLASSES
from udsph.hamming import distances
from udsph.hamming.codes import BitOrder


def count(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any = None,
    database_labels: Any = None,
    *,
    shared: bool = False,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    relevance: Any = None,
    threads: int | None = None,
    progress: Progress | None = None,
    device: str | None = None,
) -> Counts:
    """Count items and relevant items at every Hamming distance from every query.

    Parameters
    ----------
    query_codes, database_codes : (nq, bytes), (n, bytes) uint8
        Packed codes (``udsph.hamming.pack``), or another form that ``FlatIndex`` takes: int8, 64-bit words. Memory maps
        of uint8 are read piece by piece.
    query_labels, database_labels : (nq, classes), (n, classes) of 0 and 1, or (nq,), (n,) class numbers
        Any integer or bool dtype; never modified. An item is relevant if it shares a label with the query. Integers in
        one column, (n, 1), are class numbers.
    shared : bool
        Count by the number of shared labels too, which NDCG needs; several times slower.
    bits : int, optional
        Width of the codes, checked; 8 times the bytes by default. Forms other than rows of bytes and of words need it.
    bitorder : {"little", "big"}
        Of the bits in a byte, which is of matter for unused bits only.
    relevance : callable or (nq, n) matrix, dense or scipy.sparse, optional
        Instead of labels: relevance, or grades from 0, fractions too, of all pairs. A callable takes two slices
        (queries, items) and returns the grades of that piece, (queries, items).
    threads : int, optional
        Threads of the native kernels; ``UDSPH_NUM_THREADS``, else every core, by default.
    progress : callable, optional
        Called with (pairs done, pairs in all) after each piece.
    device : {"cpu", "cuda", "cuda:NUMBER"}, optional
        What counts; a GPU needs labels rather than ``relevance``.

    Returns
    -------
    Counts
        Counts of pieces of a database add up: ``count(q, a, ql, al) + count(q, b, ql, bl)``.

    Raises
    ------
    InputError, TypeError, ValueError
        Arguments that do not fit together; the message names them.
    """
    return count_problem(
        problem(
            query_codes,
            database_codes,
            query_labels,
            database_labels,
            bits=bits,
            bitorder=bitorder,
            relevance=relevance,
            threads=threads,
            progress=progress,
            device=device,
        ),
        shared,
    )


def count_problem(checked: Problem, shared: bool) -> Counts:
    """Joint counts of a checked problem."""
    if checked.device is not None:
        return gpu.count(checked, shared)
    if native.serves(checked, native.grade_levels(checked) if shared else 0):
        return native.count(checked, shared)
    return count_in_numpy(checked, shared)


def count_in_numpy(checked: Problem, shared: bool) -> Counts:
    """The same in NumPy: for relevance of the user's own, and where no native code is built."""
    if shared:
        counts, cells = count_cells(checked)
        grades = np.unique(np.concatenate([np.arange(2.0), *(of_query.grade for of_query in cells)]))
        if grades[-1] <= MAX_CLASSES and (grades % 1 == 0).all():  # numbers of shared labels, or like them
            grades = np.arange(grades[-1] + 1)
        table = np.zeros((checked.n_queries, checked.bins, len(grades)), np.int64)
        for rows, of_query in zip(table, cells, strict=True):
            of_query.fill(rows, grades)
        return Counts(counts.items, counts.relevant, table, grades)
    items, relevant = np.zeros((2, checked.n_queries, checked.bins), np.int64)
    for queries, piece in checked.pieces():
        grades = (checked.relevance.grades(queries, piece) > 0).astype(np.int64)
        table = reference.joint_counts(checked.query[queries], checked.database[piece], grades)
        items[queries] += table.sum(axis=2)
        relevant[queries] += table[:, :, 1:].sum(axis=2)
    return Counts(items, relevant)


def count_cells(checked: Problem) -> tuple[Counts, list[Cells]]:
    """Joint counts, and items by distance and grade, of a checked problem in NumPy; each query has its own grades."""
    items, relevant = np.zeros((2, checked.n_queries, checked.bins), np.int64)
    cells = [Cells.none()] * checked.n_queries
    for queries, piece in checked.pieces():
        grades = checked.relevance.grades(queries, piece)
        matrix = distances(checked.query[queries], checked.database[piece])
        for q, distance, grade in zip(range(queries.start, queries.stop), matrix, grades, strict=True):
            found = Cells.of(distance, grade)
            items[q] += found.items(checked.bins)
            relevant[q] += found.items(checked.bins, found.grade > 0)
            cells[q] = cells[q] + found
    return Counts(items, relevant), cells
