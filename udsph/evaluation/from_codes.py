"""The way in by codes: ``evaluate`` and ``mean_average_precision``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from udsph.evaluation import native
from udsph.evaluation.cells import Cells, Graded
from udsph.evaluation.conventions import Options, resolve
from udsph.evaluation.counting import count_cells, count_problem
from udsph.evaluation.counts import Counts
from udsph.evaluation.ordered import Walk, fill, ordered_ranking, passes
from udsph.evaluation.plan import DEFAULT_CUTOFFS, Plan
from udsph.evaluation.problem import Problem, Progress, problem
from udsph.evaluation.ranking import TABLE_BYTES, Ranking, TiedRanking
from udsph.evaluation.report import Evaluation
from udsph.hamming.codes import BitOrder


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
    bitorder: BitOrder = "little",
    threads: int | None = None,
    progress: Progress | None = None,
    device: str | None = None,
) -> Evaluation:
    """Evaluate retrieval by Hamming distance, exactly.

    Parameters
    ----------
    query_codes, database_codes : (nq, bytes), (n, bytes) uint8
        Packed codes (``udsph.hamming.pack``), or another form that ``FlatIndex`` takes: int8, 64-bit words. Memory maps
        of uint8 are read piece by piece.
    query_labels, database_labels : (nq, classes), (n, classes) of 0 and 1, or (nq,), (n,) class numbers
        Any integer or bool dtype; never modified. An item is relevant if it shares a label with the query. Integers in
        one column, (n, 1), are class numbers.
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
        Width of the codes, checked; forms other than rows of bytes and of words need it.
    bitorder : {"little", "big"}
        Of the bits in a byte, which is of matter for unused bits only.
    threads : int, optional
        Threads of the native kernels; ``UDSPH_NUM_THREADS``, else every core, by default.
    progress : callable, optional
        Called with (pairs done, pairs in all) after each piece; ``ties="insertion"`` walks through all pairs twice, or
        three times with NDCG.
    device : {"cpu", "cuda", "cuda:NUMBER"}, optional
        What counts the pairs; a GPU needs labels rather than ``relevance``. The second walk of ``ties="insertion"`` is
        the CPU's.

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
        bitorder=bitorder,
        relevance=relevance,
        threads=threads,
        progress=progress,
        device=device,
    )
    plan = Plan.of(metrics, cutoffs, ranks, checked.n_items)
    return evaluate_problem(checked, plan, options)


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
    bitorder: BitOrder = "little",
    threads: int | None = None,
    progress: Progress | None = None,
    device: str | None = None,
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
        bitorder=bitorder,
        threads=threads,
        progress=progress,
        device=device,
    )
    return evaluation[key]


@dataclass(frozen=True)
class Walks:
    """Who walks through the database: these functions do it here."""

    count: Callable[[Problem, bool], Counts] = count_problem
    count_cells: Callable[[Problem], tuple[Counts, list[Cells]]] = count_cells
    in_order: Walk = fill


def evaluate_problem(checked: Problem, plan: Plan, options: Options, walks: Walks | None = None) -> Evaluation:
    """Evaluate what was checked."""
    walks = walks or Walks()
    checked.passes = passes(checked, plan.gains) if options.ties == "insertion" else 1
    rankings = (_ranking(batch, plan, options, walks) for batch in checked.batches(_queries_at_once(checked, plan)))
    return Evaluation(rankings, checked.n_items, plan, options)


def _ranking(checked: Problem, plan: Plan, options: Options, walks: Walks) -> Ranking:
    graded = ideal = None
    if plan.gains and checked.device is None and not native.serves(checked, native.grade_levels(checked)):
        counts, cells = walks.count_cells(checked)
        graded, ideal = Graded.of(cells), Graded.of([of_query.by_grade() for of_query in cells])
    else:
        counts = walks.count(checked, bool(plan.gains))
        if counts.shared is not None:
            graded, ideal = Graded.of_table(counts.shared, counts.grades), Graded.ideal_of(counts)
    if options.ties == "insertion":
        by_relevant = options.denominator == "first"
        return ordered_ranking(checked, counts, ideal, plan.all_ranks(), by_relevant, plan.gains, walks.in_order)
    return TiedRanking.from_counts(counts.without_grades(), options.ties, graded, ideal)


def _queries_at_once(checked: Problem, plan: Plan) -> int:
    """Queries whose numbers by grade fit into ``TABLE_BYTES``; all where NDCG is not asked for."""
    if not plan.gains:
        return max(1, checked.n_queries)
    levels = native.grade_levels(checked)
    if checked.device is not None or native.serves(checked, levels):
        row = 8 * levels * max(checked.bins, 2 * (len(plan.all_ranks()) + 3))  # the latter in insertion order
    else:
        row = 24 * checked.n_items  # at most: where every item has a grade of its own
    return max(1, TABLE_BYTES // max(1, row))
