"""pytrec_eval's evaluator computed here: a class of its name with the measures that this package has."""

from __future__ import annotations

import re

import pytrec_eval

from udsph.evaluation import evaluate_run

NAMES = {
    "map": "map",
    "map_cut": "map",
    "P": "precision",
    "recall": "recall",
    "ndcg": "ndcg_linear",
    "ndcg_cut": "ndcg_linear",
    "recip_rank": "mrr",
    "Rprec": "r_precision",
    "success": "success",
}


class RelevanceEvaluator:
    """Measures such as "map", "P_5" or "ndcg_cut.1,2,3"; others are left out."""

    def __init__(self, qrels, measures, relevance_level=1, judged_docs_only_flag=False):
        self.qrels, self.level, self.judged_only = qrels, relevance_level, judged_docs_only_flag
        self.keys = {}
        for measure in measures:
            base, at = re.fullmatch(r"(.*?)(?:[._]([\d,]+))?", measure).groups()
            for k in at.split(",") if at else [None]:
                if base in NAMES:
                    self.keys[base if k is None else f"{base}_{k}"] = NAMES[base] + ("" if k is None else f"@{k}")

    def evaluate(self, run):
        if not any(self.qrels.get(query) for query in run):
            return {}
        if self.judged_only:
            run = {q: {d: s for d, s in found.items() if d in self.qrels.get(q, ())} for q, found in run.items()}
        options = {"metrics": list(self.keys.values()), "cutoffs": (), "ranks": ()}
        result = evaluate_run(run, self.qrels, relevance_level=self.level, **options)
        return {
            query: {theirs: float(result.per_query[ours][at]) for theirs, ours in self.keys.items()}
            for at, query in enumerate(result.queries)
        }


pytrec_eval.RelevanceEvaluator = RelevanceEvaluator
