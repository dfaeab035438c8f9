"""The ways in by rankings that are already made and by scores: ``evaluate_ranking`` and ``evaluate_scores``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.evaluation.conventions import Options, resolve
from udsph.evaluation.plan import DEFAULT_CUTOFFS, Plan
from udsph.evaluation.problem import PAIRS_PER_PIECE
from udsph.evaluation.ranking import QueryGroups, TiedRanking
from udsph.evaluation.relevance import CustomRelevance
from udsph.evaluation.report import Evaluation
from udsph.hamming.codes import as_array


def evaluate_ranking(
    relevance: Any,
    *,
    metrics: Sequence[str] | None = None,
    cutoffs: Sequence[int] = DEFAULT_CUTOFFS,
    ranks: Sequence[int] | None = None,
    empty: str | None = None,
    denominator: str | None = None,
    convention: str | None = None,
) -> Evaluation:
    """Evaluate rankings that are already made, such as those of a real-valued method.

    Parameters
    ----------
    relevance : (nq, n) or (n,) of bool or whole numbers from 0
        Relevance, or grade, of the items in rank order; the first column is rank 1.
    metrics, cutoffs, ranks, empty, denominator, convention
        As for ``evaluate``; there are no ties.

    Returns
    -------
    Evaluation
        Without the values by radius.
    """
    grades = _grades(relevance)
    options = resolve(convention, "expected", denominator, empty)
    plan = Plan.of(metrics, cutoffs, ranks, grades.n_items)

    def groups(q: int) -> QueryGroups:
        return _untied(_row(grades, q), bool(plan.gains))

    return _of_groups(groups, grades, plan, options)


def evaluate_scores(
    scores: Any,
    relevance: Any,
    *,
    metrics: Sequence[str] | None = None,
    cutoffs: Sequence[int] = DEFAULT_CUTOFFS,
    ranks: Sequence[int] | None = None,
    ties: str | None = None,
    empty: str | None = None,
    denominator: str | None = None,
    convention: str | None = None,
) -> Evaluation:
    """Evaluate rankings by real-valued scores, the greatest first; equal scores are tied.

    Parameters
    ----------
    scores : (nq, n) of any real dtype, without NaN
    relevance : (nq, n) of bool or whole numbers from 0
        Relevance, or grade, of the same pairs.
    metrics, cutoffs, ranks, ties, empty, denominator, convention
        As for ``evaluate``; ``ties="insertion"`` takes tied items in the order of the columns.

    Returns
    -------
    Evaluation
        Without the values by radius.
    """
    table, grades = np.atleast_2d(as_array(scores, "scores")), _grades(relevance)
    if table.shape != (grades.n_queries, grades.n_items):
        raise InputError(
            f"scores has shape {table.shape}, relevance {(grades.n_queries, grades.n_items)}; "
            "they must be the same pairs"
        )
    if table.dtype.kind not in "biuf":
        raise InputError(f"scores must be real numbers, got dtype {table.dtype}")
    options = resolve(convention, ties, denominator, empty)
    plan = Plan.of(metrics, cutoffs, ranks, grades.n_items)

    def groups(q: int) -> QueryGroups:
        row, grade = table[q], _row(grades, q)
        if np.isnan(row).any():
            raise InputError(f"scores must be real numbers without NaN, found one in row {q}")
        # of the reversed row, so that equal scores keep their order once the whole is turned round
        order = len(row) - 1 - np.argsort(row[::-1], kind="stable")[::-1]
        untied = _untied(grade[order], bool(plan.gains))
        return untied if options.ties == "insertion" else _tied(row[order], untied)

    return _of_groups(groups, grades, plan, options)


def _of_groups(
    groups: Callable[[int], QueryGroups], grades: CustomRelevance, plan: Plan, options: Options
) -> Evaluation:
    """Evaluate some queries at a time: the groups of one without ties are several times as large as its grades."""
    ties = "expected" if options.ties == "insertion" else options.ties  # in insertion order the groups hold one item
    step = max(1, PAIRS_PER_PIECE // max(1, grades.n_items))
    rankings = (
        TiedRanking([groups(q) for q in range(first, min(first + step, grades.n_queries))], grades.n_items, ties)
        for first in range(0, max(1, grades.n_queries), step)
    )
    return Evaluation(rankings, grades.n_items, plan, options)


def _untied(grade: np.ndarray, with_joint: bool) -> QueryGroups:
    levels = np.arange(grade.max(initial=0) + 1)
    joint = (grade[:, None] == levels).astype(np.float64) if with_joint else None
    return QueryGroups(np.ones(len(grade)), (grade > 0).astype(np.float64), joint)


def _tied(scores: np.ndarray, untied: QueryGroups) -> QueryGroups:
    starts = np.flatnonzero(np.concatenate(([True], scores[1:] != scores[:-1]))) if len(scores) else np.array([], int)
    n, r = (np.add.reduceat(table, starts) for table in (untied.n, untied.r))
    return QueryGroups(n, r, None if untied.joint is None else np.add.reduceat(untied.joint, starts, axis=0))


def _grades(relevance: Any) -> CustomRelevance:
    table = np.atleast_2d(as_array(relevance, "relevance"))
    if table.ndim != 2:
        raise InputError(f"relevance must have shape (nq, n) or (n,), got {table.shape}")
    return CustomRelevance(table, *table.shape)


def _row(grades: CustomRelevance, q: int) -> np.ndarray:
    return grades.grades(slice(q, q + 1), slice(0, grades.n_items))[0]
