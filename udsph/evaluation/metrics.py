"""Every metric as its formula: one function per metric, over the tied groups of one query.

A ranking is a sequence of groups of tied items, nearest first: items at one Hamming distance, or at one score (a
ranking without ties has groups of one). For each group, as float64 whole numbers and never empty:

===========  ===============================================================================================
``n``        items in the group
``r``        relevant items in the group
``joint``    items in the group by gain level, (groups, levels), for gains that are not 0 or 1
===========  ===============================================================================================

``before(n)`` items and ``before(r)`` relevant items stand before a group; ``k`` is a rank, and ``taken(n, k)`` items of
each group stand within it, all of a group except in the one that the rank cuts. ``ties`` says which order of tied
items counts: the mean over all orders (EXPECTED), the order that makes the value greatest (OPTIMISTIC) or least
(PESSIMISTIC). Sources: McSherry and Najork, ECIR 2008; He, Cakir, Bargal and Sclaroff, CVPR 2018 (expected AP and DCG
under ties); the closed forms below are their sums carried out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.evaluation.boundary import expected_retrieved, first_relevant_sum, least_retrieved
from udsph.evaluation.jit import jit
from udsph.evaluation.sums import discount_between, harmonic_between

Groups = NDArray[np.float64]

EXPECTED, OPTIMISTIC, PESSIMISTIC = 0, 1, 2
RETRIEVED, RELEVANT, MINIMUM, FIRST = 0, 1, 2, 3


@jit
def before(n: Groups) -> Groups:
    """Items before each group."""
    return np.cumsum(n) - n


@jit
def taken(n: Groups, k: float) -> Groups:
    """Items of each group among the first ``k`` of the ranking."""
    return np.minimum(np.maximum(k - before(n), 0.0), n)


@jit
def reached(n: Groups, k: float) -> int:
    """How many groups the first ``k`` items reach into; what stands behind them is of no matter at rank ``k``."""
    return min(len(n), np.searchsorted(np.cumsum(n), k) + 1)


@jit
def hits_taken(n: Groups, r: Groups, m: Groups, ties: int) -> Groups:
    """Relevant items among the first ``m`` of each group: ``m r / n`` expected, the most or the least there can be."""
    if ties == OPTIMISTIC:
        return np.minimum(m, r)
    if ties == PESSIMISTIC:
        return np.maximum(m - (n - r), 0.0)
    return m * r / n


@jit
def hits(n: Groups, r: Groups, k: float, ties: int) -> Any:
    """Relevant items among the first ``k``: precision@k is hits / k, recall@k hits / R, F1@k 2 hits / (k + R)."""
    near = reached(n, k)
    return np.sum(hits_taken(n[:near], r[:near], taken(n[:near], k), ties))


@jit
def precision_sum(n: Groups, r: Groups, m: Groups, ties: int) -> Groups:
    """Sum of the precisions at the hits among the first ``m`` items of each group: the numerator of AP.

    With N items and P relevant ones before the group and S = 1/(N+1) + ... + 1/(N+m), in expectation
    ``r/n ((P+1) S + (r-1)/(n-1) (m - (N+1) S))``. With x hits in a row, the last at rank e, the sum is
    ``x + (P - e + x) (1/(e-x+1) + ... + 1/e)``.
    """
    items, relevant = before(n), before(r)
    if ties == EXPECTED:
        s = harmonic_between(items, m)
        return r / n * ((relevant + 1) * s + (r - 1) / np.maximum(n - 1, 1.0) * (m - (items + 1) * s))
    x = hits_taken(n, r, m, ties)
    start = items if ties == OPTIMISTIC else items + m - x
    return x + (relevant - start) * harmonic_between(start, x)


@jit
def average_precision(n: Groups, r: Groups, k: float, ties: int, denominator: int) -> Any:
    """AP@k: the sum of the precisions at the hits within rank k, divided by

    RETRIEVED the hits within k (0 without a hit), RELEVANT all relevant items, MINIMUM ``min(k, R)``;
    FIRST is the mean precision at the first ``min(k, R)`` relevant items, wherever they rank.
    """
    total = np.sum(r)
    if total == 0:
        return 0.0
    if denominator == FIRST:
        return _first_relevant(n, r, min(k, total), ties)
    near = reached(n, k)
    n_near, r_near = n[:near], r[:near]
    m = taken(n_near, k)
    if denominator == RETRIEVED:
        return _retrieved(n_near, r_near, m, ties)
    numerator = np.sum(precision_sum(n_near, r_near, m, ties))
    return numerator / (total if denominator == RELEVANT else min(k, total))


@jit
def _retrieved(n: Groups, r: Groups, m: Groups, ties: int) -> Any:
    """AP@k divided by the hits within k. How many of those come from the group that k cuts depends on the order."""
    full = np.sum(m == n)
    found, numerator = np.sum(r[:full]), np.sum(precision_sum(n, r, m * (m == n), ties))
    if full == len(n) or m[full] == 0:
        return numerator / found if found > 0 else 0.0
    start = np.sum(n[:full])
    if ties == EXPECTED:
        return expected_retrieved(numerator, start, found, n[full], r[full], m[full])
    if ties == PESSIMISTIC:
        return least_retrieved(numerator, start, found, n[full], r[full], m[full])
    # As a function of the hits x in the cut group the value is convex over linear: its greatest value is at an end.
    best = 0.0
    for x in (max(0.0, m[full] - (n[full] - r[full])), min(m[full], r[full])):
        if found + x > 0:
            s = harmonic_between(np.array([start]), np.array([x]))[0]
            best = max(best, (numerator + x + (found - start) * s) / (found + x))
    return best


@jit
def _first_relevant(n: Groups, r: Groups, wanted: float, ties: int) -> Any:
    """Mean precision at the first ``wanted`` relevant items."""
    y: Any = taken(r, wanted)  # relevant items of each group that count
    if ties == EXPECTED:
        total: Any = np.sum(precision_sum(n, r, n * (y == r), ties))
        cut = np.sum(np.cumsum(r) <= wanted)
        if cut < len(r) and y[cut] > 0:
            items, found = float(np.sum(n[:cut])), float(np.sum(r[:cut]))
            total += first_relevant_sum(items, found, float(n[cut]), float(r[cut]), y[cut])
        return total / wanted
    start = before(n) + (n - r if ties == PESSIMISTIC else 0.0 * n)
    return np.sum(y + (before(r) - start) * harmonic_between(start, y)) / wanted


@jit
def reciprocal_rank(n: Groups, r: Groups, ties: int) -> Any:
    """1 / rank of the first relevant item. In expectation the j-th of its n group has the probability
    ``C(n-j, r-1) / C(n, r)``, computed from one j to the next."""
    if np.sum(r) == 0:
        return 0.0
    group = np.argmax(r > 0)
    items, relevant, start = n[group], r[group], np.sum(n[:group])
    if ties == OPTIMISTIC:
        return 1 / (start + 1)
    if ties == PESSIMISTIC:
        return 1 / (start + items - relevant + 1)
    probability, rest, total, j = relevant / items, 1.0, 0.0, 1.0
    while rest > 1e-17 and j <= items - relevant + 1:
        total += probability / (start + j)
        rest -= probability
        probability *= (items - j - relevant + 1) / (items - j) if j < items else 0.0
        j += 1
    return total


@jit
def items_of(joint: Groups) -> Groups:
    """Items of each group, of all levels."""
    n = np.zeros(len(joint))
    for level in range(joint.shape[1]):
        n += joint[:, level]
    return n


@jit
def dcg(joint: Groups, gains: Groups, k: float, ties: int) -> float:
    """DCG@k = sum over the first k of gain / log2(rank + 1); ``gains[level]`` grows with the level.

    In expectation every place of a group carries the group's mean gain; the bounds sort each group by gain.
    """
    n = items_of(joint)
    if ties == EXPECTED:
        gain = np.zeros(len(n))
        for level in range(len(gains)):
            if gains[level] > 0:
                gain += joint[:, level] * gains[level]
        return np.sum(gain / n * discount_between(before(n), taken(n, k)))
    total, start = 0.0, before(n)
    for step in range(len(gains)):
        level = len(gains) - 1 - step if ties == OPTIMISTIC else step
        count = joint[:, level]
        if gains[level] > 0:
            total += gains[level] * np.sum(discount_between(start, np.minimum(np.maximum(k - start, 0.0), count)))
        start = start + count
    return total


@jit
def ideal_dcg(joint: Groups, gains: Groups, k: float) -> Any:
    """Greatest DCG@k of any ranking: all items in one tied group, in the best order."""
    return dcg(np.sum(joint, axis=0).reshape(1, -1), gains, k, OPTIMISTIC)


# The same for several cutoffs of one query.


@jit
def hits_at(n: Groups, r: Groups, cutoffs: Groups, ties: int) -> Groups:
    out = np.empty(len(cutoffs))
    for i in range(len(cutoffs)):
        out[i] = hits(n, r, cutoffs[i], ties)
    return out


@jit
def average_precision_at(n: Groups, r: Groups, cutoffs: Groups, ties: int, denominator: int) -> Groups:
    out = np.empty(len(cutoffs))
    for i in range(len(cutoffs)):
        out[i] = average_precision(n, r, cutoffs[i], ties, denominator)
    return out


@jit
def dcg_at(joint: Groups, gains: Groups, cutoffs: Groups, ties: int) -> Groups:
    out, n = np.empty(len(cutoffs)), items_of(joint)
    for i in range(len(cutoffs)):
        out[i] = dcg(joint[: reached(n, cutoffs[i])], gains, cutoffs[i], ties)
    return out


@jit
def ideal_dcg_at(joint: Groups, gains: Groups, cutoffs: Groups) -> Groups:
    out, all_of_them = np.empty(len(cutoffs)), np.sum(joint, axis=0).reshape(1, -1)
    for i in range(len(cutoffs)):
        out[i] = ideal_dcg(all_of_them, gains, cutoffs[i])
    return out
