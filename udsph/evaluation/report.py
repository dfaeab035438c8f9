"""``Evaluation``: every metric of one evaluation, as means and per query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError, MissingExtra
from udsph.evaluation.conventions import Options, resolve
from udsph.evaluation.counts import Counts
from udsph.evaluation.ordered import refuse_counts_alone
from udsph.evaluation.plan import DEFAULT_CUTOFFS, Plan
from udsph.evaluation.ranking import Ranking, TiedRanking, Values

RADIUS = 2  # of "precision_radius_2", the hash lookup of the field


class Evaluation:
    """Values of metrics for a set of queries against a database.

    ``evaluation["map@100"]`` is a mean over the queries, ``evaluation.per_query["map@100"]`` the value of each query.

    Attributes
    ----------
    values : dict of str to float
        Means over the queries that count, NaN where none does.
    per_query : dict of str to (nq,) float64
        NaN for a query that ``empty="skip"`` (or ``empty_lookup="skip"``) leaves out.
    options : Options
        Ties, denominator and the treatment of empty queries.
    counts : Counts or None
        What the values by radius follow from; None where the ranking was not by codes.
    ranks, precision_by_rank, recall_by_rank : (ranks,) arrays
        The precision-recall curve at the chosen ranks, mean over the queries.
    """

    def __init__(self, ranking: Ranking, plan: Plan, options: Options, counts: Counts | None = None) -> None:
        self.options, self.counts = options, counts
        self.n_queries, self.n_items = ranking.n_queries, ranking.n_items
        self.per_query: dict[str, Values] = {}
        self._relevant = ranking.relevant()
        self._ranking_values(ranking, plan)
        if plan.radius and counts is not None:
            precision, _ = self._by_radius()
            self.per_query[f"precision_radius_{RADIUS}"] = precision[:, min(RADIUS, counts.bits)]
        self.values = {key: mean(value) for key, value in self.per_query.items()}
        self._curve_by_rank(ranking, plan)

    @classmethod
    def from_counts(
        cls,
        counts: Counts,
        *,
        metrics: Sequence[str] | None = None,
        cutoffs: Sequence[int] = DEFAULT_CUTOFFS,
        ranks: Sequence[int] | None = None,
        ties: str | None = None,
        empty: str | None = None,
        denominator: str | None = None,
        empty_lookup: str | None = None,
        convention: str | None = None,
    ) -> Evaluation:
        """Read the metrics off joint counts, for example of several pieces of a database added up.

        The parameters are those of ``evaluate``. ``ties="insertion"`` is refused: counts do not keep the order of
        items. Without ``metrics``, NDCG is among them where the counts are by shared labels.
        """
        options = resolve(convention, ties, denominator, empty, empty_lookup)
        if options.ties == "insertion":
            raise refuse_counts_alone()
        plan = Plan.of(metrics, cutoffs, ranks, counts.n_items)
        if metrics is None and counts.shared is None:
            plan = plan.without_ndcg()
        return cls(TiedRanking.from_counts(counts, options.ties), plan, options, counts)

    def _ranking_values(self, ranking: Ranking, plan: Plan) -> None:
        relevant, undefined = self._relevant, self._undefined()
        total = relevant[:, None]

        def keep(name: str, cutoffs: Sequence[int | None], values: Values, over_relevant: bool) -> None:
            if self.options.empty == "skip":
                values = np.where(undefined[:, None], np.nan, values)
            elif over_relevant:
                values = np.where(undefined[:, None], float(self.options.empty == "one"), values)
            for column, k in enumerate(cutoffs):
                self.per_query[name if k is None else f"{name}@{k}"] = values[:, column]

        for name, cutoffs in plan.cutoffs.items():
            k = np.array([ranking.n_items if cutoff is None else cutoff for cutoff in cutoffs], np.float64)
            if name == "map":
                values = ranking.average_precision(k, self.options.denominator)
                if self.options.misses == "skip":
                    values = np.where((ranking.hits(k) == 0) & (total > 0), np.nan, values)
                keep(name, cutoffs, values, True)
            elif name == "precision":
                keep(name, cutoffs, ranking.hits(k) / k, False)
            elif name == "recall":
                keep(name, cutoffs, ranking.hits(k) / np.maximum(total, 1), True)
            elif name == "f1":
                keep(name, cutoffs, 2 * ranking.hits(k) / (k + total), True)
            else:
                gain = "linear" if name == "ndcg_linear" else "exponential"
                keep(name, cutoffs, ranking.ndcg(k, gain), True)
        if plan.r_precision:
            keep("r_precision", [None], ranking.hits(total) / np.maximum(total, 1), True)
        if plan.mrr:
            keep("mrr", [None], ranking.reciprocal_rank()[:, None], True)

    def _undefined(self) -> NDArray[np.bool_]:
        return self._relevant == 0

    def _curve_by_rank(self, ranking: Ranking, plan: Plan) -> None:
        self.ranks = np.array(plan.ranks, np.int64)
        hits = ranking.hits(self.ranks.astype(np.float64))
        recall = hits / np.maximum(self._relevant, 1)[:, None]
        if self.options.empty == "skip":
            hits, recall = hits[~self._undefined()], recall[~self._undefined()]
        elif self.options.empty == "one":
            recall[self._undefined()] = 1.0
        self.precision_by_rank = np.array([mean(column) for column in (hits / self.ranks).T])
        self.recall_by_rank = np.array([mean(column) for column in recall.T])

    def by_radius(self, average: str = "macro") -> tuple[Values, Values]:
        """Precision and recall of a lookup within each Hamming radius from 0 to the width.

        Parameters
        ----------
        average : {"macro", "micro"}
            Mean over the queries, with ``empty`` and ``empty_lookup`` as chosen; or all pairs pooled, where a radius
            that finds nothing for any query has the precision of ``empty_lookup``.

        Returns
        -------
        precision, recall : (bits + 1,) float64
        """
        if average == "macro":
            precision, recall = self._by_radius()
            return tuple(np.array([mean(column) for column in table.T]) for table in (precision, recall))  # type: ignore[return-value]
        if average != "micro":
            raise InputError(f"average={average!r} is unknown; choose one of: macro, micro")
        counts = self._needed_counts()
        found, hit = counts.items.sum(axis=0).cumsum(), counts.relevant.sum(axis=0).cumsum()
        return self._precision(found, hit), hit / max(1, hit[-1])

    def _by_radius(self) -> tuple[Values, Values]:
        """Precision and recall per query and radius, (nq, bits + 1)."""
        counts = self._needed_counts()
        found, hit = np.cumsum(counts.items, axis=1), np.cumsum(counts.relevant, axis=1)
        precision = self._precision(found, hit)
        recall = hit / np.maximum(hit[:, -1:], 1)
        undefined = self._undefined()
        if self.options.empty == "skip":
            precision[undefined] = recall[undefined] = np.nan
        elif self.options.empty == "one":
            recall[undefined] = 1.0
        return precision, recall

    def _precision(self, found: NDArray[np.int64], hit: NDArray[np.int64]) -> Values:
        nothing = {"zero": 0.0, "one": 1.0, "skip": np.nan}[self.options.empty_lookup]
        return np.where(found > 0, hit / np.maximum(found, 1), nothing)

    def _needed_counts(self) -> Counts:
        if self.counts is None:
            raise InputError("values by radius need codes: this evaluation is of a ranking or of scores")
        return self.counts

    def __getitem__(self, key: str) -> float:
        if key not in self.values:
            raise KeyError(f"{key!r} was not evaluated; there are: {', '.join(self.values)}")
        return self.values[key]

    def to_dict(self) -> dict[str, float]:
        """Means by key: "map", "map@100", "precision@100", ..."""
        return dict(self.values)

    def to_frame(self) -> Any:
        """Values per query as a pandas DataFrame, one row per query."""
        try:
            import pandas
        except ImportError:
            raise ImportError("Evaluation.to_frame needs pandas: pip install pandas") from None
        return pandas.DataFrame(self.per_query)

    def plot(self, ax: Any = None) -> Any:
        """Draw the precision-recall curve by rank, and by radius where there are codes; returns the matplotlib axes."""
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise MissingExtra("Evaluation.plot", "report") from None
        if ax is None:
            _, ax = plt.subplots()
        ax.plot(self.recall_by_rank, self.precision_by_rank, marker=".", label="by rank")
        if self.counts is not None:
            precision, recall = self.by_radius()
            ax.plot(recall, precision, marker=".", label="by Hamming radius")
        ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
        ax.legend()
        return ax

    def __repr__(self) -> str:
        options = self.options
        head = (
            f"Evaluation of {self.n_queries:,} queries against {self.n_items:,} items\n"
            f"ties={options.ties}, denominator={options.denominator}, empty={options.empty}, "
            f"empty_lookup={options.empty_lookup}; {int(self._undefined().sum()):,} queries without a relevant item"
        )
        width = max((len(key) for key in self.values), default=0)
        return "\n".join([head, *(f"  {key:<{width}}  {value:.4f}" for key, value in self.values.items())])


def mean(values: Values) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    held = values[~np.isnan(values)]
    return float(held.mean()) if len(held) else float("nan")
