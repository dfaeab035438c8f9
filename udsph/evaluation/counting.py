"""``count``: joint counts of codes and labels, natively where the kernels are built, else in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from udsph.evaluation import native, reference
from udsph.evaluation.counts import Counts, with_levels
from udsph.evaluation.problem import Problem, Progress, problem


def count(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any = None,
    database_labels: Any = None,
    *,
    shared: bool = False,
    bits: int | None = None,
    relevance: Any = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Count items and relevant items at every Hamming distance from every query.

    Parameters
    ----------
    query_codes, database_codes : (nq, bytes), (n, bytes) uint8
        Packed codes (``udsph.hamming.pack``); memory maps are read piece by piece.
    query_labels, database_labels : (nq, classes), (n, classes) of 0 and 1, or (nq,), (n,) class numbers
        Any integer or bool dtype; never modified. An item is relevant if it shares a label with the query.
    shared : bool
        Count by the number of shared labels too, which NDCG needs; several times slower.
    bits : int, optional
        Width of the codes, checked; 8 times the bytes by default.
    relevance : callable or (nq, n) matrix, dense or scipy.sparse, optional
        Instead of labels: relevance, or grades from 0, of all pairs. A callable takes two slices (queries, items) and
        returns the grades of that piece, (queries, items).
    threads : int, optional
        Threads of the native kernels; ``UDSPH_NUM_THREADS``, else every core, by default.
    progress : callable, optional
        Called with (pairs done, pairs in all) after each piece.

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
            relevance=relevance,
            threads=threads,
            progress=progress,
        ),
        shared,
    )


def count_problem(checked: Problem, shared: bool) -> Counts:
    """Joint counts of a checked problem."""
    if native.serves(checked, native.grade_levels(checked) if shared else 0):
        return native.count(checked, shared)
    return _count_in_numpy(checked, shared)


def _count_in_numpy(checked: Problem, shared: bool) -> Counts:
    bins = 8 * checked.query.shape[1] + 1
    items = np.zeros((checked.n_queries, bins), np.int64)
    relevant = np.zeros_like(items)
    joint = np.zeros((checked.n_queries, bins, 1), np.int64) if shared else None
    for queries, piece in checked.pieces():
        grades = checked.relevance.grades(queries, piece)
        if not shared:
            grades = (grades > 0).astype(np.int64)
        counts = reference.joint_counts(checked.query[queries], checked.database[piece], grades)
        items[queries] += counts.sum(axis=2)
        relevant[queries] += counts[:, :, 1:].sum(axis=2)
        if joint is not None:
            joint = with_levels(joint, max(joint.shape[2], counts.shape[2]))
            joint[queries] += with_levels(counts, joint.shape[2])
    return Counts(items, relevant, joint)
