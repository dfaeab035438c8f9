"""The ways in by rankings that are already made and by scores: ``evaluate_ranking`` and ``evaluate_scores``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation.cells import Cells
from udsph.evaluation.conventions import Options, resolve
from udsph.evaluation.lists import LISTED, Lists, unlisted
from udsph.evaluation.plan import DEFAULT_CUTOFFS, Plan
from udsph.evaluation.ranking import QueryGroups, TiedRanking
from udsph.evaluation.report import Evaluation
from udsph.hamming.codes import as_array

_PLACES_AT_A_TIME = 1 << 17  # what is made of so many stays in a core's cache


def evaluate_ranking(
    relevance: Any,
    *,
    n_relevant: Any = None,
    metrics: Sequence[str] | None = None,
    cutoffs: Sequence[int] = DEFAULT_CUTOFFS,
    ranks: Sequence[int] | None = None,
    empty: str | None = None,
    denominator: str | None = None,
    convention: str | None = None,
) -> Evaluation:
    """Evaluate rankings that are already made, such as those of a real-valued method, or the first k of a search.

    Parameters
    ----------
    relevance : (nq, n) or (n,) of bool or numbers from 0, or a list of a list for each query, of any lengths
        Relevance, or grade, of the items in rank order; the first is rank 1. An item is relevant above 0.
    n_relevant : int, (nq,) integers, or "listed", optional
        Relevant items that the whole database has for each query, in its list or not. "listed": every list holds all of
        them, as a ranking of the whole database does; this is taken for granted, with a warning, where nothing is said
        and a metric depends on it.
    metrics, cutoffs, ranks, empty, denominator, convention
        As for ``evaluate``; there are no ties. Behind the end of a list there is no hit.

    Returns
    -------
    Evaluation
        Without the values by radius.

    Raises
    ------
    InputError, TypeError
        Grades that are negative or no finite numbers; fewer relevant items than a list holds; NDCG of grades other than
        0 and 1 where relevant items are not listed, whose grades would be needed (``evaluate_run`` takes them).
    """
    lists = Lists(relevance)
    options = resolve(convention, "expected", denominator, empty)
    plan = Plan.of(metrics, cutoffs, ranks, lists.longest, by_codes=False)
    if n_relevant is None:
        of_all = plan.of_all_relevant(options.denominator)
        if of_all:
            warnings.warn(
                f"{', '.join(of_all)} take the lists for rankings of the whole database; give n_relevant=, the number "
                f"of relevant items that it has for each query, or n_relevant={LISTED!r} where every list holds all",
                UserWarning,
                stacklevel=2,
            )
        n_relevant = LISTED
    missing = unlisted(n_relevant, lists)

    def groups(q: int) -> QueryGroups:
        return _untied(lists.row(q), missing[q], bool(plan.gains))

    return Evaluation(_rankings(groups, lists, options), lists.longest, plan, options)


def evaluate_scores(
    scores: Any,
    relevance: Any,
    *,
    n_relevant: Any = LISTED,
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
    scores : (nq, n) of any real dtype, without NaN, or a list of a list for each query, of any lengths
    relevance : of the same form, of bool or numbers from 0
        Relevance, or grade, of the same pairs.
    n_relevant : int, (nq,) integers, or "listed"
        As for ``evaluate_ranking``; the default is for scores of the whole database.
    metrics, cutoffs, ranks, ties, empty, denominator, convention
        As for ``evaluate``; ``ties="insertion"`` takes tied items in the order of the columns.

    Returns
    -------
    Evaluation
        Without the values by radius.

    Raises
    ------
    InputError, TypeError
        As for ``evaluate_ranking``; scores and relevance of different shapes, or scores that are not numbers.
    """
    lists = Lists(relevance)
    row_of = _score_rows(scores, lists)
    options = resolve(convention, ties, denominator, empty)
    plan = Plan.of(metrics, cutoffs, ranks, lists.longest, by_codes=False)
    missing = unlisted(n_relevant, lists)

    def groups(q: int) -> QueryGroups:
        row, grade = row_of(q), lists.row(q)
        # of the reversed row, so that equal scores keep their order once the whole is turned round
        order = len(row) - 1 - np.argsort(row[::-1], kind="stable")[::-1]
        if options.ties == "insertion":
            return _untied(grade[order], missing[q], bool(plan.gains))
        return _tied(row[order], grade[order], missing[q], bool(plan.gains))

    return Evaluation(_rankings(groups, lists, options), lists.longest, plan, options)


def _rankings(groups: Callable[[int], QueryGroups], lists: Lists, options: Options) -> Iterator[TiedRanking]:
    """Some queries at a time: the groups of one without ties are several times as large as its grades."""
    ties = "expected" if options.ties == "insertion" else options.ties  # in insertion order the groups hold one item
    step = max(1, _PLACES_AT_A_TIME // max(1, lists.longest))
    for first in range(0, max(1, lists.n_queries), step):
        yield TiedRanking.of_groups([groups(q) for q in range(first, min(first + step, lists.n_queries))], ties)


def _untied(grade: NDArray[Any], missing: int, with_gains: bool) -> QueryGroups:
    n, r = np.ones(len(grade)), (grade > 0).astype(np.float64)
    if not with_gains:
        return QueryGroups(n, r, missing=int(missing))
    cells = Cells(np.arange(len(grade)), grade.astype(np.float64), np.ones(len(grade), np.int64))
    return QueryGroups(n, r, cells, _ideal(Cells.of(np.zeros(len(grade), np.int64), grade), missing), int(missing))


def _tied(scores: NDArray[Any], grade: NDArray[Any], missing: int, with_gains: bool) -> QueryGroups:
    if not len(scores):
        return _untied(grade, missing, with_gains)
    new = np.r_[True, scores[1:] != scores[:-1]]
    first = np.flatnonzero(new)
    n = np.diff(first, append=len(scores)).astype(np.float64)
    r = np.add.reduceat(grade > 0, first, dtype=np.float64)
    if not with_gains:
        return QueryGroups(n, r, missing=int(missing))
    cells = Cells.of(np.cumsum(new) - 1, grade)
    return QueryGroups(n, r, cells, _ideal(cells.by_grade(), missing), int(missing))


def _ideal(listed: Cells, missing: int) -> Cells:
    """All items by grade; those that are not listed have grade 1, as all that are listed must then have."""
    if not missing:
        return listed
    if (listed.grade > 1).any() or ((listed.grade > 0) & (listed.grade < 1)).any():
        raise InputError(
            "NDCG needs the grades of all relevant items, and n_relevant counts some that are not listed: give the "
            "judgements to evaluate_run, or leave ndcg and ndcg_linear out of metrics="
        )
    return listed + Cells(np.zeros(1, np.int64), np.ones(1), np.array([missing]))


def _score_rows(scores: Any, lists: Lists) -> Callable[[int], NDArray[Any]]:
    """The scores of a query, checked against its grades."""
    rows: Any = scores
    if not isinstance(scores, (list, tuple)) or not any(np.ndim(row) for row in scores):
        rows = as_array(scores, "scores")
        rows = rows[None] if rows.ndim == 1 else rows
        same = (
            rows.ndim == 2 and rows.shape == (lists.n_queries, lists.longest) and (lists.lengths == lists.longest).all()
        )
        if not same:
            form = (lists.n_queries, lists.longest)
            raise InputError(f"scores has shape {rows.shape}, relevance {form}; they must be the same pairs")
    if len(rows) != lists.n_queries:
        raise InputError(f"scores has {len(rows)} queries, relevance {lists.n_queries}; they must be the same pairs")

    def row_of(q: int) -> NDArray[Any]:
        row = as_array(rows[q], f"scores[{q}]")
        row = row.astype(np.float64) if row.size == 0 else row
        if row.shape != (lists.lengths[q],):
            raise InputError(
                f"scores has shape {row.shape} in query {q}, relevance {(int(lists.lengths[q]),)}; "
                "they must be the same pairs"
            )
        if row.dtype.kind not in "biuf":
            raise InputError(f"scores must be real numbers, got dtype {row.dtype}")
        if np.isnan(row).any():
            raise InputError(f"scores must be real numbers without NaN, found one in row {q}")
        return row

    return row_of
