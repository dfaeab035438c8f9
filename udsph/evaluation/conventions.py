"""What a number called MAP depends on, and the settings behind the numbers of papers and tools."""

from __future__ import annotations

from dataclasses import dataclass, replace

from udsph.errors import InputError

TIES = ("expected", "optimistic", "pessimistic", "insertion")
DENOMINATORS = ("retrieved", "relevant", "min", "first")
EMPTY = ("zero", "skip", "one")


@dataclass(frozen=True)
class Options:
    """The choices that a MAP depends on.

    Attributes
    ----------
    ties : {"expected", "insertion", "optimistic", "pessimistic"}
        Order of items at the same distance: the mean over all orders, the order of the database (a stable sort), or the
        order that makes each value greatest or least.
    denominator : {"retrieved", "relevant", "min", "first"}
        AP@k is the sum of the precisions at the hits within rank k, divided by the hits within k, by all relevant items
        R, or by ``min(k, R)``; "first" is the mean precision at the first ``min(k, R)`` relevant items wherever they
        rank. Without a cutoff all four are the same.
    empty : {"zero", "skip", "one"}
        Value of a query without a relevant item in the metrics that divide by R; "skip" leaves it out of every mean.
    empty_lookup : {"zero", "skip", "one"}
        Precision within a radius in which a query finds nothing.
    misses : {"zero", "skip"}
        AP@k of a query that has relevant items, but none within the cutoff; set by conventions only.
    """

    ties: str = "expected"
    denominator: str = "retrieved"
    empty: str = "zero"
    empty_lookup: str = "zero"
    misses: str = "zero"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("ties", TIES),
            ("denominator", DENOMINATORS),
            ("empty", EMPTY),
            ("empty_lookup", EMPTY),
            ("misses", ("zero", "skip")),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"{name}={value!r} is unknown; choose one of: {', '.join(allowed)}")


@dataclass(frozen=True)
class Convention:
    """Settings under one name.

    Attributes
    ----------
    options : Options
    reproduces : str
        Whose number this is.
    cannot : str
        What of it does not follow from codes, and so is not reproduced.
    """

    options: Options
    reproduces: str
    cannot: str


_UNSTABLE = "its sort is not stable: items at one distance may come in another order than insertion order"

CONVENTIONS = {
    "dcmh": Convention(
        Options("insertion", "retrieved", "zero", "zero"),
        "DCMH's MATLAB evaluation (Jiang and Li 2017): MAP over the whole ranking and topk-MAP divided by the hits in "
        "the top k, stable sort; also DJSRH's, and what most deep-hashing code computes",
        "nothing of the MAP; its precision-recall curve by radius pools all queries (average='micro') and omits the "
        "greatest radius",
    ),
    "dcmh_map_k": Convention(
        Options("insertion", "first", "zero", "zero"),
        "calc_map_k of the PyTorch versions of DCMH, and the many papers that copy it: k limits the relevant items "
        "counted, not the ranks",
        _UNSTABLE,
    ),
    "hashnet": Convention(
        Options("insertion", "retrieved", "skip", "zero", "skip"),
        "HashNet's mean_average_precision (Cao et al. 2017): hits in the top R, queries without a hit there left out",
        "it ranks by the inner product of real-valued outputs, not of codes",
    ),
    "orthohash": Convention(
        Options("insertion", "retrieved", "zero", "zero"),
        "OrthoHash's calculate_mAP (Hoe et al. 2021): hits in the top R",
        "torch.topk leaves the order of ties open",
    ),
    "deephash": Convention(
        Options("insertion", "retrieved", "zero", "zero"),
        "CalcTopMap of DeepHash-pytorch: hits in the top k",
        f"{_UNSTABLE}; a cutoff of -1 drops the last item there",
    ),
    "trec_eval": Convention(
        Options("insertion", "relevant", "zero", "zero"),
        "trec_eval's map, map_cut, P, recall, Rprec, recip_rank and (as ndcg_linear) ndcg: divided by all relevant "
        "items, judged queries without a relevant item count 0",
        "of codes, which have no names: it orders ties by document name, from the greatest down, as evaluate_run does",
    ),
    "kaggle": Convention(
        Options("insertion", "min", "zero", "zero"),
        "MAP@k as in ml_metrics and Kaggle's contests: divided by min(k, R)",
        "nothing, for the order that is given",
    ),
    "expected": Convention(
        Options("expected", "retrieved", "zero", "zero"),
        "this package's own: the expectation over the order of ties, which neither the order of the database nor a "
        "sort can change",
        "nothing",
    ),
}
"""What published evaluators compute, by name: the values of ``convention=``."""


def resolve(
    convention: str | None,
    ties: str | None = None,
    denominator: str | None = None,
    empty: str | None = None,
    empty_lookup: str | None = None,
) -> Options:
    """Options of a convention, with those that are given set over it."""
    if convention is not None and convention not in CONVENTIONS:
        raise InputError(f"convention={convention!r} is unknown; choose one of: {', '.join(CONVENTIONS)}")
    base = CONVENTIONS[convention or "expected"].options
    given = {"ties": ties, "denominator": denominator, "empty": empty, "empty_lookup": empty_lookup}
    return replace(base, **{name: value for name, value in given.items() if value is not None})
