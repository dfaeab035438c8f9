"""What to compute: metric names and cutoffs, read from what the user asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from udsph.checks import check_int
from udsph.errors import InputError

DEFAULT_CUTOFFS = (1, 10, 100, 1000, 5000)
"""Ranks at which metrics are given where a call names none."""
METRICS = (
    "map",
    "precision",
    "recall",
    "f1",
    "ndcg",
    "ndcg_linear",
    "r_precision",
    "mrr",
    "success",
    "precision_radius_2",
)
"""Names of all metrics, as ``metrics=`` takes them; most also as ``"name@k"``."""
_WHOLE = ("map", "ndcg", "ndcg_linear", "mrr")  # over the whole ranking
_AT_CUTOFFS = ("map", "precision", "recall", "f1", "ndcg", "ndcg_linear", "success")  # at all cutoffs
_AT_ONE = (*_AT_CUTOFFS, "mrr")  # at the cutoff that stands in the name
_OF_ALL_RELEVANT = ("recall", "f1", "ndcg", "ndcg_linear")


@dataclass(frozen=True)
class Plan:
    """Metrics at cutoffs (None is the whole ranking), single metrics, and the ranks of the precision-recall curve."""

    cutoffs: dict[str, list[int | None]]
    r_precision: bool
    radius: bool
    ranks: list[int]

    @classmethod
    def of(
        cls,
        metrics: Sequence[str] | None,
        cutoffs: Sequence[int],
        ranks: Sequence[int] | None,
        n_items: int,
        by_codes: bool = True,
    ) -> Plan:
        """Read names such as "map" (at all cutoffs) and "map@50" (at this one)."""
        names = METRICS if metrics is None else metrics
        if not by_codes and metrics is not None and "precision_radius_2" in metrics:
            raise InputError("metric 'precision_radius_2' needs codes: these are rankings, which have no radius")
        if isinstance(names, str):
            raise InputError(f"metrics must be a list of names, got the string {names!r}")
        at = whole_ranks(cutoffs, "cutoffs")
        chosen: dict[str, list[int | None]] = {}
        for name in names:
            base, _, cutoff = str(name).partition("@")
            if base not in METRICS or (cutoff and base not in _AT_ONE):
                raise InputError(f"metric {name!r} is unknown; choose from: {', '.join(METRICS)}, or one with @rank")
            wanted: list[int | None] = [None] if base in _WHOLE and not cutoff else []
            if cutoff:
                wanted.append(_cutoff_of(name, cutoff))
            elif base in _AT_CUTOFFS:
                wanted += at
            chosen.setdefault(base, []).extend(k for k in wanted if k not in chosen[base])
        curve = default_ranks(n_items) if ranks is None else whole_ranks(ranks, "ranks")
        return cls(
            {name: chosen[name] for name in METRICS if name in _AT_ONE and name in chosen},
            "r_precision" in chosen,
            by_codes and "precision_radius_2" in chosen,
            curve,
        )

    @property
    def gains(self) -> list[str]:
        """Gains of NDCG that are asked for."""
        return [gain for name, gain in (("ndcg", "exponential"), ("ndcg_linear", "linear")) if name in self.cutoffs]

    def without_ndcg(self) -> Plan:
        """The same without NDCG."""
        kept = {name: at for name, at in self.cutoffs.items() if not name.startswith("ndcg")}
        return replace(self, cutoffs=kept)

    def of_all_relevant(self, denominator: str) -> list[str]:
        """Metrics among these whose values depend on relevant items that a list which ends early does not hold."""
        found = [name for name in self.cutoffs if name in _OF_ALL_RELEVANT]
        of_map = self.cutoffs.get("map", [])
        if None in of_map or (of_map and denominator != "retrieved"):
            found.insert(0, "map")
        return found + ["r_precision"] * self.r_precision + ["recall_by_rank"] * bool(self.ranks)

    def all_ranks(self) -> list[int]:
        """Every rank that a value stands at."""
        return sorted({k for at in self.cutoffs.values() for k in at if k is not None} | set(self.ranks))


def whole_ranks(values: Iterable[Any], name: str) -> list[int]:
    """Ranks as ints from 1, in the order given, each once."""
    ranks: list[int] = []
    for value in values:
        rank = check_int(value, f"each of {name}", 1)
        if rank not in ranks:
            ranks.append(rank)
    return ranks


def default_ranks(n_items: int) -> list[int]:
    """About 20 ranks from 1 to the size of the database, evenly spaced in their logarithm."""
    return sorted({round(rank) for rank in np.geomspace(1, n_items, 20)}) if n_items else []


def _cutoff_of(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InputError(f"metric {name!r}: the cutoff must be a whole number from 1")
    return int(text)
