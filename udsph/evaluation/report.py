"""``Evaluation``: every metric of one evaluation, as means and per query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation.conventions import Options, resolve
from udsph.evaluation.counts import Counts, joined
from udsph.evaluation.ordered import refuse_counts_alone
from udsph.evaluation.plan import DEFAULT_CUTOFFS, Plan
from udsph.evaluation.ranking import Ranking, TiedRanking, Values
from udsph.plotting import BLUE, ORANGE, label_along, style

RADIUS = 2  # of "precision_radius_2", the hash lookup of the field

Part = tuple[Values, dict[str, Values], Values, Values, Counts | None]


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
        What the values by radius follow from, not by grade; None where the ranking was not by codes.
    queries : list or None
        Names of the queries, where they have any (``evaluate_run``).
    left_out : list
        Names of the queries that have a ranking or judgements, but not both.
    ranks, precision_by_rank, recall_by_rank : (ranks,) arrays
        The precision-recall curve at the chosen ranks, mean over the queries.
    """

    def __init__(
        self,
        rankings: Iterable[Ranking],
        n_items: int,
        plan: Plan,
        options: Options,
        *,
        queries: Sequence[Any] | None = None,
        left_out: Sequence[Any] = (),
    ) -> None:
        self.options, self.n_items = options, n_items
        parts = [self._values_of(ranking, plan) for ranking in rankings]
        self._relevant, self.per_query, precision, recall, self.counts = _joined(parts)
        self.n_queries = len(self._relevant)
        self.queries, self.left_out = None if queries is None else list(queries), list(left_out)
        if plan.radius and self.counts is not None:
            by_radius, _ = self._by_radius()
            self.per_query[f"precision_radius_{RADIUS}"] = by_radius[:, min(RADIUS, self.counts.bits)]
        self.values = {key: mean(value) for key, value in self.per_query.items()}
        self.ranks = np.array(plan.ranks, np.int64)
        self.precision_by_rank = np.array([mean(column) for column in precision.T])
        self.recall_by_rank = np.array([mean(column) for column in recall.T])

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
        return cls(TiedRanking.parts(counts, options.ties), counts.n_items, plan, options)

    def _values_of(self, ranking: Ranking, plan: Plan) -> Part:
        """Of some of the queries: relevant items, values by key, and the two curves by rank, (queries, ranks)."""
        relevant = ranking.relevant()
        total, undefined = relevant[:, None], relevant == 0
        found: dict[str, Values] = {}

        def kept(values: Values, over_relevant: bool) -> Values:
            if self.options.empty == "skip":
                return np.where(undefined[:, None], np.nan, values)
            return np.where(undefined[:, None], float(self.options.empty == "one"), values) if over_relevant else values

        def keep(name: str, cutoffs: Sequence[int | None], values: Values, over_relevant: bool) -> None:
            for column, k in zip(kept(values, over_relevant).T, cutoffs, strict=True):
                found[name if k is None else f"{name}@{k}"] = column

        for name, cutoffs in plan.cutoffs.items():
            k = np.array([np.inf if cutoff is None else cutoff for cutoff in cutoffs], np.float64)
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
            elif name == "mrr":
                keep(name, cutoffs, ranking.reciprocal_rank(k), True)
            elif name == "success":
                keep(name, cutoffs, ranking.success(k), True)
            else:
                gain = "linear" if name == "ndcg_linear" else "exponential"
                keep(name, cutoffs, ranking.ndcg(k, gain), True)
        if plan.r_precision:
            keep("r_precision", [None], ranking.hits(total) / np.maximum(total, 1), True)
        ranks = np.array(plan.ranks, np.float64)
        hits = ranking.hits(ranks)
        return relevant, found, kept(hits / ranks, False), kept(hits / np.maximum(total, 1), True), ranking.counts

    def _undefined(self) -> NDArray[np.bool_]:
        return self._relevant == 0

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

    def by_class(self, query_labels: Any, metric: str = "map") -> tuple[NDArray[np.int64], NDArray[np.int64], Values]:
        """The mean of a metric over the queries of each class.

        Parameters
        ----------
        query_labels : (nq, classes) of 0 and 1, or (nq,) class numbers
            Those of the queries that were evaluated. A query of several classes counts in each.
        metric : str
            A key of ``per_query``.

        Returns
        -------
        classes : (classes,) int64
            The columns, or the class numbers that there are, ascending.
        queries : (classes,) int64
            How many queries of each class count.
        means : (classes,) float64
            NaN for a class of which no query counts.

        Raises
        ------
        InputError, KeyError
            For labels of other queries, or a metric that was not evaluated.
        """
        if metric not in self.per_query:
            raise KeyError(f"{metric!r} was not evaluated; there are: {', '.join(self.per_query)}")
        labels = np.asarray(query_labels)
        if labels.ndim == 2 and labels.shape[1] == 1 and labels.dtype != bool:
            labels = labels[:, 0]  # class numbers, as for ``evaluate``
        classes = np.unique(labels) if labels.ndim == 1 else np.arange(labels.shape[1])
        if labels.ndim == 1:
            labels = labels[:, None] == classes
        if len(labels) != self.n_queries:
            raise InputError(f"query_labels has {len(labels)} rows, but {self.n_queries} queries were evaluated")
        held = ~np.isnan(self.per_query[metric])
        member = (labels[held] > 0).astype(np.float64)
        queries, sums = member.sum(axis=0), self.per_query[metric][held] @ member
        means = np.where(queries > 0, sums / np.maximum(queries, 1), np.nan)
        return classes.astype(np.int64), queries.astype(np.int64), means

    def to_dict(self) -> dict[str, float]:
        """Means by key: "map", "map@100", "precision@100", ..."""
        return dict(self.values)

    def to_frame(self) -> Any:
        """Values per query as a pandas DataFrame, one row per query."""
        try:
            import pandas
        except ImportError:
            raise ImportError("Evaluation.to_frame needs pandas: pip install pandas") from None
        return pandas.DataFrame(self.per_query, index=self.queries)

    def plot(self, ax: Any = None) -> Any:
        """Draw the precision-recall curve by rank, and by radius where there are codes; returns the matplotlib axes."""
        curves = {"by rank": (self.recall_by_rank, self.precision_by_rank, BLUE)}
        if self.counts is not None:
            precision, recall = self.by_radius()
            curves["by Hamming radius"] = (recall, precision, ORANGE)
        with style():
            if ax is None:
                import matplotlib.pyplot as plt

                _, ax = plt.subplots(layout="constrained")
            for name, (recall, precision, colour) in curves.items():
                ax.plot(recall, precision, marker="o", color=colour, label=name)
            ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
            label_along(ax, [(name, *curve) for name, curve in curves.items()])
        return ax

    def __repr__(self) -> str:
        options = self.options
        head = (
            f"Evaluation of {self.n_queries:,} queries against {self.n_items:,} items\n"
            f"ties={options.ties}, denominator={options.denominator}, empty={options.empty}, "
            f"empty_lookup={options.empty_lookup}; {int(self._undefined().sum()):,} queries without a relevant item"
        )
        if self.left_out:
            shown = ", ".join(map(str, self.left_out[:3])) + (", ..." if len(self.left_out) > 3 else "")
            head += f"\n{len(self.left_out):,} queries without results or without judgements are left out: {shown}"
        width = max((len(key) for key in self.values), default=0)
        return "\n".join([head, *(f"  {key:<{width}}  {value:.4f}" for key, value in self.values.items())])


def _joined(parts: list[Part]) -> Part:
    """The parts of all queries, one behind the other."""
    relevant, found, precision, recall, counts = zip(*parts, strict=True)
    values = {key: np.concatenate([part[key] for part in found]) for key in found[0]}
    whole = None if counts[0] is None else joined(counts)
    return np.concatenate(relevant), values, np.concatenate(precision), np.concatenate(recall), whole


def mean(values: Values) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    held = values[~np.isnan(values)]
    return float(held.mean()) if len(held) else float("nan")
