"""The ways in: codes and labels, a given ranking, scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.evaluation.conventions import Options, resolve
from udsph.evaluation.counting import count_problem
from udsph.evaluation.ordered import ordered_ranking
from udsph.evaluation.plan import DEFAULT_CUTOFFS, Plan
from udsph.evaluation.problem import Problem, Progress, problem
from udsph.evaluation.ranking import QueryGroups, TiedRanking
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
        Called with (pairs done, pairs in all) after each piece.

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
    groups = [_untied(row) for row in grades]
    options = resolve(convention, "expected", denominator, empty)
    return _of_groups(groups, grades.shape[1], metrics, cutoffs, ranks, options)


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
    if table.shape != grades.shape:
        raise InputError(f"scores has shape {table.shape}, relevance {grades.shape}; they must be the same pairs")
    if table.dtype.kind not in "biuf" or np.isnan(table).any():
        raise InputError(f"scores must be real numbers without NaN, got dtype {table.dtype}")
    options = resolve(convention, ties, denominator, empty)
    groups = []
    for row, grade in zip(table, grades, strict=True):
        # of the reversed row, so that equal scores keep their order once the whole is turned round
        order = len(row) - 1 - np.argsort(row[::-1], kind="stable")[::-1]
        groups.append(_untied(grade[order]) if options.ties == "insertion" else _tied(row[order], grade[order]))
    return _of_groups(groups, grades.shape[1], metrics, cutoffs, ranks, options)


def _evaluate(checked: Problem, plan: Plan, options: Options) -> Evaluation:
    counts = count_problem(checked, shared=bool(plan.gains))
    if options.ties != "insertion":
        return Evaluation(TiedRanking.from_counts(counts, options.ties), plan, options, counts)
    ranking = ordered_ranking(checked, counts, plan.all_ranks(), options.denominator == "first", plan.gains)
    return Evaluation(ranking, plan, options, counts)


def _of_groups(
    groups: list[QueryGroups],
    n_items: int,
    metrics: Sequence[str] | None,
    cutoffs: Sequence[int],
    ranks: Sequence[int] | None,
    options: Options,
) -> Evaluation:
    ties = "expected" if options.ties == "insertion" else options.ties  # in insertion order the groups hold one item
    return Evaluation(TiedRanking(groups, n_items, ties), Plan.of(metrics, cutoffs, ranks, n_items), options)


def _untied(grade: np.ndarray) -> QueryGroups:
    joint = (grade[:, None] == np.arange(grade.max(initial=0) + 1)).astype(np.float64)
    return QueryGroups(np.ones(len(grade)), (grade > 0).astype(np.float64), joint)


def _tied(scores: np.ndarray, grade: np.ndarray) -> QueryGroups:
    starts = np.flatnonzero(np.concatenate(([True], scores[1:] != scores[:-1]))) if len(scores) else np.array([], int)
    untied = _untied(grade)
    assert untied.joint is not None
    return QueryGroups(*(np.add.reduceat(table, starts, axis=0) for table in (untied.n, untied.r, untied.joint)))


def _grades(relevance: Any) -> np.ndarray:
    table = np.atleast_2d(as_array(relevance, "relevance"))
    if table.ndim != 2:
        raise InputError(f"relevance must have shape (nq, n) or (n,), got {table.shape}")
    everything = slice(0, len(table)), slice(0, table.shape[1])
    return CustomRelevance(table, *table.shape).grades(*everything)
