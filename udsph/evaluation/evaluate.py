"""The ways in: codes and labels, a given ranking, scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.evaluation.conventions import Options, resolve
from udsph.evaluation.counting import count_problem
from udsph.evaluation.ordered import ordered_ranking, passes
from udsph.evaluation.plan import DEFAULT_CUTOFFS, Plan
from udsph.evaluation.problem import PAIRS_PER_PIECE, Problem, Progress, problem
from udsph.evaluation.ranking import QueryGroups, Ranking, TiedRanking
from udsph.evaluation.relevance import CustomRelevance
from udsph.evaluation.report import Evaluation
from udsph.hamming.codes import as_array


def evaluate(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any = None,
    database_labels: Any = None,
    *,
    metrics: Sequence[str] | None = None,
    cutoffs: Sequence[int] = DEFAULT_CUTOFFS,
    ranks: Sequence[int] | None = None,
    ties: str | None = None,
    empty: str | None = None,
    denominator: str | None = None,
    empty_lookup: str | None = None,
    convention: str | None = None,
    relevance: Any = None,
    bits: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate retrieval by Hamming distance, exactly.

    Parameters
    ----------
    query_codes, database_codes : (nq, bytes), (n, bytes) uint8
        Packed codes (``udsph.hamming.pack``); memory maps are read piece by piece.
    query_labels, database_labels : (nq, classes), (n, classes) of 0 and 1, or (nq,), (n,) class numbers
        Any integer or bool dtype; never modified. An item is relevant if it shares a label with the query.
    metrics : list of str, optional
        Names of ``METRICS``, each at all cutoffs, or one with its cutoff such as "map@50". All by default; the two NDCG
        take longer than all others together.
    cutoffs : ranks from 1
        A cutoff beyond the database adds no item: precision@k stays hits / k.
    ranks : ranks from 1, optional
        Where the precision-recall curve by rank is evaluated; about 20 by default.
    ties, denominator, empty, empty_lookup : str, optional
        See ``Options``; by default "expected", "retrieved", "zero", "zero", or those of the convention.
    convention : str, optional
        A name of ``CONVENTIONS``, which sets the four; those given beside it win.
    relevance : callable or matrix, optional
        Instead of labels; see ``count``.
    bits : int, optional
        Width of the codes, checked.
    threads : int, optional
        Threads of the native kernels; ``UDSPH_NUM_THREADS``, else every core, by default.
    progress : callable, optional
        Called with (pairs done, pairs in all) after each piece; ``ties="insertion"`` walks through all pairs twice, or
        three times with NDCG.

    Returns
    -------
    Evaluation
        Keys: "map", "map@k", "precision@k", "recall@k", "f1@k", "ndcg", "ndcg@k" (gain ``2**shared - 1``),
        "ndcg_linear", "ndcg_linear@k", "r_precision", "mrr", "precision_radius_2".

    Raises
    ------
    InputError, TypeError, ValueError
        Arguments that do not fit together, or more than 1000 shared labels for "ndcg"; the message names them.
    """
    options = resolve(convention, ties, denominator, empty, empty_lookup)
    checked = problem(
        query_codes,
        database_codes,
        query_labels,
        database_labels,
        bits=bits,
        relevance=relevance,
        threads=threads,
        progress=progress,
    )
    plan = Plan.of(metrics, cutoffs, ranks, checked.n_items)
    return _evaluate(checked, plan, options)


def mean_average_precision(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any = None,
    database_labels: Any = None,
    *,
    cutoff: int | None = None,
    ties: str | None = None,
    empty: str | None = None,
    denominator: str | None = None,
    convention: str | None = None,
    relevance: Any = None,
    bits: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> float:
    """MAP over the whole ranking, or MAP@cutoff; the parameters are those of ``evaluate``.

    Returns
    -------
    float
        The mean over the queries. A query without a relevant item counts 0 unless ``empty`` says otherwise; NaN if
        ``empty="skip"`` leaves no query.

    Examples
    --------
    >>> import numpy as np
    >>> from udsph.evaluation import mean_average_precision
    >>> codes, labels = np.array([[0b000], [0b001], [0b011]], np.uint8), np.array([0, 1, 0])
    >>> mean_average_precision(codes[:1], codes, labels[:1], labels)
    0.8333333333333334
    """
    key = "map" if cutoff is None else f"map@{cutoff}"
    evaluation = evaluate(
        query_codes,
        database_codes,
        query_labels,
        database_labels,
        metrics=["map"] if cutoff is None else [key],
        cutoffs=() if cutoff is None else (cutoff,),
        ranks=(),
        ties=ties,
        empty=empty,
        denominator=denominator,
        convention=convention,
        relevance=relevance,
        bits=bits,
        threads=threads,
        progress=progress,
    )
    return evaluation[key]


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


def _evaluate(checked: Problem, plan: Plan, options: Options) -> Evaluation:
    checked.passes = passes(checked, plan.gains) if options.ties == "insertion" else 1
    counts = count_problem(checked, shared=bool(plan.gains))
    if options.ties != "insertion":
        ranking: Ranking = TiedRanking.from_counts(counts, options.ties)
    else:
        ranking = ordered_ranking(checked, counts, plan.all_ranks(), options.denominator == "first", plan.gains)
    return Evaluation([ranking], checked.n_items, plan, options, counts)


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
