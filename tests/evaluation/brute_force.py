"""Metrics by their definition, over every order of tied items, in rationals. Slow and plain on purpose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction


def orders(groups: list[list[int]]) -> Iterator[tuple[int, ...]]:
    """Every distinct ranking of the grades of tied groups; all are equally likely."""
    arrangements = [sorted(set(itertools.permutations(group))) for group in groups]
    for choice in itertools.product(*arrangements):
        yield tuple(itertools.chain.from_iterable(choice))


def average_precision(ranking: tuple[int, ...], k: int, denominator: str) -> Fraction:
    """Sum of the precisions at the hits over the denominator; 0 where that is 0."""
    total = sum(grade > 0 for grade in ranking)
    hits, numerator = 0, Fraction(0)
    for rank, grade in enumerate(ranking, 1):
        if denominator == "first" and hits == k:
            break
        if denominator != "first" and rank > k:
            break
        if grade > 0:
            hits += 1
            numerator += Fraction(hits, rank)
    by = {"retrieved": hits, "relevant": total, "min": min(k, total), "first": min(k, total)}[denominator]
    return numerator / by if by else Fraction(0)


def hits(ranking: tuple[int, ...], k: int) -> Fraction:
    return Fraction(sum(grade > 0 for grade in ranking[:k]))


def reciprocal_rank(ranking: tuple[int, ...], k: float = math.inf) -> Fraction:
    return next((Fraction(1, rank) for rank, grade in enumerate(ranking, 1) if grade > 0 and rank <= k), Fraction(0))


def dcg(ranking: tuple[int, ...], k: int, gain: str) -> float:
    gains = [grade if gain == "linear" else 2**grade - 1 for grade in ranking]
    return math.fsum(g / math.log2(rank + 1) for rank, g in enumerate(gains[:k], 1))


def ndcg(ranking: tuple[int, ...], k: int, gain: str) -> float:
    ideal = dcg(tuple(sorted(ranking, reverse=True)), k, gain)
    return dcg(ranking, k, gain) / ideal if ideal else 0.0
