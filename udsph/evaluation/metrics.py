"""Every metric as its formula: one function per metric, over the tied groups of one query.

A ranking is a sequence of groups of tied items, nearest first: items at one Hamming distance, or at one score (a
ranking without ties has groups of one). For each group, as float64 whole numbers and never empty:

===========  ===============================================================================================
``n``        items in the group
``r``        relevant items in the group
===========  ===============================================================================================

``before(n)`` items and ``before(r)`` relevant items stand before a group; ``k`` is a rank, or infinite, and
``taken(n, k)`` items of each group stand within it, all of a group except in the one that the rank cuts. ``total`` is
R, the number of all relevant items, of which some may stand in no group: a list of results may end before they come.
The DCG is that of *blocks*, which are groups of items of one gain. ``ties`` says which order of tied items counts: the
mean over all orders (EXPECTED), the order that makes the value greatest (OPTIMISTIC) or least (PESSIMISTIC). Sources:
McSherry and Najork, ECIR 2008; He, Cakir, Bargal and Sclaroff, CVPR 2018 (expected AP and DCG under ties); the closed
forms below are their sums carried out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.evaluation.boundary import expected_retrieved, first_relevant_sum, least_retrieved
from udsph.evaluation.jit import HAVE_NUMBA, jit
from udsph.evaluation.sums import discount_between, harmonic_between

Groups = NDArray[np.float64]
Ends = NDArray[np.int64]

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
    ``r/n (c m + (P+1 - c (N+1)) S)`` with ``c = (r-1)/(n-1)``. With x hits in a row, the last at rank e, the sum is
    ``x + (P - e + x) (1/(e-x+1) + ... + 1/e)``. A single item has one precision, which is divided once and so exact.
    """
    items, relevant = before(n), before(r)
    if ties == EXPECTED:
        share = (r - 1) / np.maximum(n - 1, 1.0)
        many = r / n * (share * m + (relevant + 1 - share * (items + 1)) * harmonic_between(items, m))
        return np.where(m == 1, r * (relevant + 1) / (n * (items + 1)), many)
    x = hits_taken(n, r, m, ties)
    return hits_in_a_row(items if ties == OPTIMISTIC else items + m - x, relevant, x)


@jit
def hits_in_a_row(start: Groups, found: Groups, x: Groups) -> Groups:
    """Sum of the precisions at ``x`` hits in a row behind ``start`` items, of which ``found`` are relevant."""
    return np.where(x == 1, (found + 1) / (start + 1), x + (found - start) * harmonic_between(start, x))


def in_order(values: Groups) -> Any:
    """Sum from the first to the last, as a loop adds, and as trec_eval does; NumPy's own sum adds in another order."""
    return np.cumsum(values)[-1] if len(values) > 0 else 0.0


if HAVE_NUMBA:  # where a loop needs no memory

    @jit
    def in_order(values: Groups) -> Any:
        total = 0.0
        for value in values:
            total += value
        return total


@jit
def average_precision(n: Groups, r: Groups, total: float, k: float, ties: int, denominator: int) -> Any:
    """AP@k: the sum of the precisions at the hits within rank k, divided by

    RETRIEVED the hits within k (0 without a hit), RELEVANT all relevant items, MINIMUM ``min(k, R)``;
    FIRST is the mean precision at the first ``min(k, R)`` relevant items, wherever they rank; one that is not ranked
    adds 0. For an infinite k all four are the sum over R.
    """
    if total == 0 or len(n) == 0:
        return 0.0
    if denominator == FIRST and k < total:
        return _first_relevant(n, r, k, ties)
    if denominator == FIRST:
        k = np.inf
    near = reached(n, k)
    n_near, r_near = n[:near], r[:near]
    m = taken(n_near, k)
    if denominator == RETRIEVED and k < np.inf:
        return _retrieved(n_near, r_near, m, ties)
    numerator = in_order(precision_sum(n_near, r_near, m, ties))
    return numerator / (min(k, total) if denominator == MINIMUM else total)


@jit
def _retrieved(n: Groups, r: Groups, m: Groups, ties: int) -> Any:
    """AP@k divided by the hits within k. How many of those come from the group that k cuts depends on the order."""
    full = np.sum(m == n)
    found, numerator = np.sum(r[:full]), in_order(precision_sum(n, r, m * (m == n), ties))
    if full == len(n) or m[full] == 0:
        return numerator / found if found > 0 else 0.0
    start = np.sum(n[:full])
    least, most = max(0.0, m[full] - (n[full] - r[full])), min(m[full], r[full])
    if ties == EXPECTED and least < most:
        return expected_retrieved(numerator, start, found, n[full], r[full], m[full])
    if ties == PESSIMISTIC:
        return least_retrieved(numerator, start, found, n[full], r[full], m[full])
    # As a function of the hits x in the cut group the value is convex over linear: its greatest value is at an end.
    best = 0.0
    for x in (least, most):
        if found + x > 0:
            row = hits_in_a_row(np.array([start]), np.array([found]), np.array([x]))[0]
            best = max(best, (numerator + row) / (found + x))
    return best


@jit
def _first_relevant(n: Groups, r: Groups, wanted: float, ties: int) -> Any:
    """Mean precision at the first ``wanted`` relevant items."""
    y: Any = taken(r, wanted)  # relevant items of each group that count
    if ties == EXPECTED:
        total: Any = in_order(precision_sum(n, r, n * (y == r), ties))
        cut = np.sum(np.cumsum(r) <= wanted)
        if cut < len(r) and y[cut] > 0:
            items, found = float(np.sum(n[:cut])), float(np.sum(r[:cut]))
            if r[cut] == n[cut]:
                total += hits_in_a_row(np.array([items]), np.array([found]), y[cut : cut + 1])[0]
            else:
                total += first_relevant_sum(items, found, float(n[cut]), float(r[cut]), y[cut])
        return total / wanted
    start = before(n) + (n - r if ties == PESSIMISTIC else 0.0 * n)
    return in_order(hits_in_a_row(start, before(r), y)) / wanted


@jit
def reciprocal_rank(n: Groups, r: Groups, k: float, ties: int) -> Any:
    """1 / rank of the first relevant item, 0 where that is beyond ``k``. In expectation the j-th of its n group has the
    probability ``C(n-j, r-1) / C(n, r)``, computed from one j to the next."""
    if np.sum(r) == 0:
        return 0.0
    group = np.argmax(r > 0)
    items, relevant, start = n[group], r[group], np.sum(n[:group])
    if ties != EXPECTED:
        rank = start + 1 + (items - relevant if ties == PESSIMISTIC else 0.0)
        return 1 / rank if rank <= k else 0.0
    probability, rest, total, j = relevant / items, 1.0, 0.0, 1.0
    while rest > 1e-17 and j <= items - relevant + 1 and start + j <= k:
        total += probability / (start + j)
        rest -= probability
        probability *= (items - j - relevant + 1) / (items - j) if j < items else 0.0
        j += 1
    return total


@jit
def success(n: Groups, r: Groups, k: float, ties: int) -> Any:
    """1 if there is a relevant item among the first ``k``, else 0. With m items taken from the group that k cuts, none
    of them is relevant with the probability ``C(n-r, m) / C(n, m)``, which is ``C(n-m, r) / C(n, r)`` too."""
    found = np.flatnonzero(r > 0)
    if len(found) == 0:
        return 0.0
    group = found[0]
    items, relevant, m = n[group], r[group], taken(n, k)[group]
    if ties == OPTIMISTIC:
        return 1.0 if m > 0 else 0.0
    if ties == PESSIMISTIC or m > items - relevant:
        return 1.0 if m > items - relevant else 0.0
    none, fewer, other = 1.0, min(m, relevant), max(m, relevant)
    for i in range(int(fewer)):
        none *= (items - other - i) / (items - i)
        if none < 1e-18:
            break
    return 1 - none


@jit
def dcg(n: Groups, gain: Groups, k: float) -> Any:
    """DCG@k = sum over the first k of gain / log2(rank + 1), of blocks of ``n`` items with one gain each.

    In expectation a tied group is a block of its mean gain: every place carries it. The bounds, and the greatest DCG of
    any ranking, sort items by gain, and blocks are then the items of one group with one gain.
    """
    near = reached(n, k)
    start, m = before(n[:near]), taken(n[:near], k)
    if near > 0 and np.max(m) <= 1:
        return in_order(gain[:near] * m / np.log2(start + 2))
    return in_order(gain[:near] * discount_between(start, m))


# The same for many queries, each with its cutoffs: (nq, cutoffs). The groups of query q stand before ``ends[q]``, one
# query's behind the other's, so that one call serves them all.


@jit
def hits_at(n: Groups, r: Groups, ends: Ends, cutoffs: Groups, ties: int) -> Groups:
    out, begin = np.empty(cutoffs.shape), 0
    for q in range(len(ends)):
        of_query = slice(begin, ends[q])
        for i in range(cutoffs.shape[1]):
            out[q, i] = hits(n[of_query], r[of_query], cutoffs[q, i], ties)
        begin = ends[q]
    return out


@jit
def average_precision_at(
    n: Groups, r: Groups, ends: Ends, total: Groups, cutoffs: Groups, ties: int, denominator: int
) -> Groups:
    out, begin = np.empty(cutoffs.shape), 0
    for q in range(len(ends)):
        of_query = slice(begin, ends[q])
        for i in range(cutoffs.shape[1]):
            out[q, i] = average_precision(n[of_query], r[of_query], total[q], cutoffs[q, i], ties, denominator)
        begin = ends[q]
    return out


@jit
def reciprocal_rank_at(n: Groups, r: Groups, ends: Ends, cutoffs: Groups, ties: int) -> Groups:
    out, begin = np.empty(cutoffs.shape), 0
    for q in range(len(ends)):
        of_query = slice(begin, ends[q])
        for i in range(cutoffs.shape[1]):
            out[q, i] = reciprocal_rank(n[of_query], r[of_query], cutoffs[q, i], ties)
        begin = ends[q]
    return out


@jit
def success_at(n: Groups, r: Groups, ends: Ends, cutoffs: Groups, ties: int) -> Groups:
    out, begin = np.empty(cutoffs.shape), 0
    for q in range(len(ends)):
        of_query = slice(begin, ends[q])
        for i in range(cutoffs.shape[1]):
            out[q, i] = success(n[of_query], r[of_query], cutoffs[q, i], ties)
        begin = ends[q]
    return out


@jit
def dcg_at(n: Groups, gain: Groups, ends: Ends, cutoffs: Groups) -> Groups:
    out, begin = np.empty(cutoffs.shape), 0
    for q in range(len(ends)):
        of_query = slice(begin, ends[q])
        for i in range(cutoffs.shape[1]):
            out[q, i] = dcg(n[of_query], gain[of_query], cutoffs[q, i])
        begin = ends[q]
    return out
