"""The way in by results and judgements that name documents: ``evaluate_run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.evaluation.cells import Cells
from udsph.evaluation.conventions import TIES, Options, resolve
from udsph.evaluation.judged import Results, by_query, judged
from udsph.evaluation.plan import DEFAULT_CUTOFFS, Plan
from udsph.evaluation.ranking import QueryGroups, TiedRanking
from udsph.evaluation.report import Evaluation

BY_NAME = "name"
_QUERIES_AT_ONCE = 1024


def evaluate_run(
    run: Any,
    qrels: Any,
    *,
    complete: bool = False,
    relevance_level: float | None = None,
    metrics: Sequence[str] | None = None,
    cutoffs: Sequence[int] = DEFAULT_CUTOFFS,
    ranks: Sequence[int] | None = None,
    ties: str = BY_NAME,
    empty: str | None = None,
    denominator: str | None = None,
    convention: str | None = "trec_eval",
) -> Evaluation:
    """Evaluate a run against judgements, as trec_eval does.

    All relevant documents are known from the judgements, whether the run holds them or not: this is also the way to
    evaluate the first k that an index has returned.

    Parameters
    ----------
    run : {query: {document: score}}, {query: [documents in rank order]}, a list of such, or ids (nq, k)
        What was retrieved: ``index.search(queries, k).ids``, or ``read_run(path)``. An id of -1 is no document.
    qrels : {query: {document: grade}}, {query: documents}, or a list of such
        Judgements: a document without one, or with a grade of 0 or below, is not relevant; of a collection (a list, a
        set, an array) all documents are relevant. ``read_qrels(path)`` reads a file.
    complete : bool
        A query with judgements that the run lacks counts as one that retrieved nothing (``-c`` of trec_eval). By
        default it is left out, as is a query of the run without judgements; ``Evaluation.left_out`` names them.
    relevance_level : float, optional
        Least grade of a relevant document in all metrics but NDCG; any above 0 by default.
    metrics, cutoffs, ranks, empty, denominator
        As for ``evaluate``. trec_eval's ndcg is "ndcg_linear" here, its recip_rank "mrr".
    ties : {"name", "expected", "insertion", "optimistic", "pessimistic"}
        Order of documents with one score: by name from the greatest down, with scores in 32 bits, as trec_eval has it;
        "insertion" is the order of the mapping.
    convention : str
        See ``CONVENTIONS``; by default that of trec_eval, which divides by all relevant documents.

    Returns
    -------
    Evaluation
        Without the values by radius; ``queries`` names the queries of ``per_query``.

    Raises
    ------
    InputError, TypeError
        Judgements or a run of another form, scores that are no numbers, a document twice, or no query in common.

    Examples
    --------
    >>> from udsph.evaluation import evaluate_run
    >>> qrels = {"q1": {"d1": 1, "d2": 0, "d3": 2}}
    >>> evaluate_run({"q1": {"d2": 0.9, "d1": 0.5}}, qrels, metrics=["map@2", "recall@2"]).to_dict()
    {'map@2': 0.25, 'recall@2': 0.5}
    """
    results, judgements = by_query(run, "run"), by_query(qrels, "qrels")
    # a query without a single judgement has none, as in a file; an empty list of relevant documents is a judgement
    judgements = {query: given for query, given in judgements.items() if not isinstance(given, Mapping) or given}
    names = [query for query in judgements if complete or query in results]
    if not names:
        raise InputError(
            f"run and qrels have no query in common: run has {_some(results)}, qrels has {_some(judgements)}"
        )
    if ties not in (BY_NAME, *TIES):
        raise InputError(f"ties={ties!r} is unknown; choose one of: {', '.join((BY_NAME, *TIES))}")
    if relevance_level is not None and (isinstance(relevance_level, bool) or not isinstance(relevance_level, Real)):
        raise TypeError(f"relevance_level must be a number, got {type(relevance_level).__name__}")
    options = resolve(convention, "insertion" if ties == BY_NAME else ties, denominator, empty)
    longest = max(len(results.get(name, ())) for name in names)
    plan = Plan.of(metrics, cutoffs, ranks, longest, by_codes=False)

    def groups(name: Any) -> QueryGroups:
        found = Results(results.get(name, ()), f"run[{name!r}]", ties == BY_NAME)
        grades = judged(judgements[name], f"qrels[{name!r}]")
        return _groups(found, grades, relevance_level, options, bool(plan.gains))

    tied = "expected" if options.ties == "insertion" else options.ties  # then each group is one document
    rankings = (
        TiedRanking.of_groups([groups(name) for name in names[first : first + _QUERIES_AT_ONCE]], tied)
        for first in range(0, len(names), _QUERIES_AT_ONCE)
    )
    kept = set(names)
    left_out = [query for query in {**by_query(qrels, "qrels"), **results} if query not in kept]
    return Evaluation(rankings, longest, plan, options, queries=names, left_out=left_out)


def _groups(
    found: Results, grades: dict[Any, Any], level: float | None, options: Options, with_cells: bool
) -> QueryGroups:
    """Groups of the documents of one query, and the relevant ones that it did not retrieve."""
    retrieved = np.array([grades.get(document, 0.0) for document in found.documents], np.float64)
    held = set(found.documents)
    missed = np.array([grade for document, grade in grades.items() if document not in held], np.float64)
    group = np.arange(len(retrieved))
    if options.ties != "insertion" and found.scores is not None and len(group):
        group = np.cumsum(np.r_[True, found.scores[1:] != found.scores[:-1]]) - 1
    n = np.bincount(group).astype(np.float64)
    r = np.bincount(group, weights=_relevant(retrieved, level), minlength=len(n)).astype(np.float64)
    return QueryGroups(
        n,
        r,
        Cells.of(group, retrieved) if with_cells else None,
        Cells.of(np.zeros(len(retrieved) + len(missed), np.int64), np.append(retrieved, missed))
        if with_cells
        else None,
        missing=int(_relevant(missed, level).sum()),
    )


def _relevant(grades: np.ndarray, level: float | None) -> np.ndarray:
    return grades > 0 if level is None else grades >= level


def _some(queries: dict[Any, Any]) -> str:
    names = [repr(name) for name in list(queries)[:3]]
    return ", ".join(names) + (", ..." if len(queries) > 3 else "") if names else "none"
