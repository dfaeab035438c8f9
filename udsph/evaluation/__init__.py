"""Retrieval evaluation of binary codes by a stated definition: MAP and its relatives over millions of items in seconds.

    mean_average_precision(query_codes, database_codes, query_labels, database_labels)
    evaluate(query_codes, database_codes, query_labels, database_labels, convention="dcmh")
    evaluate_ranking(relevance_of_the_first_100, n_relevant=relevant_in_the_database)
    evaluate_run(index.search(queries, 100).ids, relevant_ids)

The order of reading: ``conventions`` (what a MAP depends on), ``counts`` and ``counting`` (two histograms per query say
almost everything), ``metrics`` (one function per metric, over groups of tied items), ``boundary`` (the group that a
cutoff cuts), ``gains`` (NDCG), ``ordered`` (ranks in insertion order), ``report`` (the ``Evaluation``); the ways in are
``from_codes``, ``from_rankings`` and ``from_runs``, and ``pairs``, which needs no labels. ``bits`` says how well codes
use their bits. ``docs/evaluation.md``
explains which MAP is which.
"""

from udsph.evaluation.bits import BitUse, bit_use
from udsph.evaluation.conventions import CONVENTIONS, Convention, Options
from udsph.evaluation.counting import count
from udsph.evaluation.counts import Counts
from udsph.evaluation.files import evaluate_files
from udsph.evaluation.from_codes import evaluate, mean_average_precision
from udsph.evaluation.from_rankings import evaluate_ranking, evaluate_scores
from udsph.evaluation.from_runs import evaluate_run
from udsph.evaluation.pairs import PairRetrieval, evaluate_pair_scores, evaluate_pairs
from udsph.evaluation.plan import DEFAULT_CUTOFFS, METRICS
from udsph.evaluation.report import Evaluation
from udsph.evaluation.trec_files import read_qrels, read_run

__all__ = [
    "CONVENTIONS",
    "DEFAULT_CUTOFFS",
    "METRICS",
    "BitUse",
    "Convention",
    "Counts",
    "Evaluation",
    "Options",
    "PairRetrieval",
    "bit_use",
    "count",
    "evaluate",
    "evaluate_files",
    "evaluate_pair_scores",
    "evaluate_pairs",
    "evaluate_ranking",
    "evaluate_run",
    "evaluate_scores",
    "mean_average_precision",
    "read_qrels",
    "read_run",
]
