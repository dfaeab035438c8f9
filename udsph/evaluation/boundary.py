"""The group that a cutoff cuts, where the number of hits taken from it depends on the order of tied items.

``start`` items, ``found`` of them relevant, stand before a group of ``n`` items with ``r`` relevant ones, of which the
first ``m`` are within the cutoff. ``numerator`` is the sum of precisions at the hits before the group.
"""

from __future__ import annotations

import math

import numpy as np

from udsph.evaluation.jit import jit
from udsph.evaluation.sums import harmonic_between


@jit
def _harmonic(start: float, count: float) -> float:
    return harmonic_between(np.array([start]), np.array([count]))[0]


@jit
def expected_retrieved(numerator: float, start: float, found: float, n: float, r: float, m: float) -> float:
    """Expected AP@k divided by the hits within k.

    The hits X among the m taken are hypergeometric. Given X = x they lie uniformly in the m places and add
    ``alpha x + beta x (x-1)`` to the numerator, which divided by ``found + x`` is
    ``beta x + gamma + (numerator - found gamma) / (found + x)``.
    """
    s = _harmonic(start, m)
    alpha = (found + 1) * s / m
    beta = (m - (start + 1) * s) / (m * (m - 1)) if m > 1 else 0.0
    gamma = alpha - beta - beta * found
    inverse, nothing = _inverse_of_hits(found, n, r, m)
    if found == 0:
        return beta * m * r / n + gamma * (1 - nothing)
    return beta * m * r / n + gamma + (numerator - found * gamma) * inverse


@jit
def _inverse_of_hits(found: float, n: float, r: float, m: float) -> tuple[float, float]:
    """E[1 / (found + X)] over found + X > 0, and P(X = 0), of X hypergeometric: m draws from n with r relevant.

    The terms are relative to the most likely x, which stands at weight 1, so that nothing under- or overflows.
    """
    least, most = max(0.0, m - (n - r)), min(m, r)
    mode = min(max(np.floor((m + 1) * (r + 1) / (n + 2)), least), most)
    total, inverse, nothing = 0.0, 0.0, 0.0
    weight, x = 1.0, mode
    while x <= most and weight > 1e-18:
        total += weight
        if found + x > 0:
            inverse += weight / (found + x)
        if x == 0:
            nothing = weight
        weight *= (r - x) * (m - x) / ((x + 1) * (n - r - m + x + 1))
        x += 1
    weight, x = 1.0, mode
    while x > least and weight > 1e-18:
        weight *= x * (n - r - m + x) / ((r - x + 1) * (m - x + 1))
        x -= 1
        total += weight
        if found + x > 0:
            inverse += weight / (found + x)
        if x == 0:
            nothing = weight
    return inverse / total, nothing / total


@jit
def least_retrieved(numerator: float, start: float, found: float, n: float, r: float, m: float) -> float:
    """Least AP@k divided by the hits within k, over the number x of hits in the cut group, which then come last.

    The numerator is convex in x and the denominator linear, so the quotient falls and then rises: the least x from
    which it rises is found by bisection.
    """
    low, high = max(0.0, m - (n - r)), min(m, r)
    if found + low == 0:
        return 0.0
    while low < high:
        x = np.floor((low + high) / 2)
        if _last_hits(numerator, start, found, m, x + 1) * (found + x) >= _last_hits(numerator, start, found, m, x) * (
            found + x + 1
        ):
            high = x
        else:
            low = x + 1
    return _last_hits(numerator, start, found, m, low) / (found + low)


@jit
def _last_hits(numerator: float, start: float, found: float, m: float, x: float) -> float:
    first = start + m - x  # items before the first of the x hits
    return numerator + x + (found - first) * _harmonic(first, x)


@jit
def first_relevant_sum(start: float, found: float, n: float, r: float, wanted: float) -> float:
    """Expected sum of the precisions at the first ``wanted`` of the ``r`` relevant items of the group, wanted < r.

    The item in place t counts if it is relevant and X <= wanted - 1 relevant ones stand before it, X hypergeometric
    (t-1 draws from n-1 with r-1 relevant). ``below`` = P(X <= wanted-1), ``mean`` = E[X; X <= wanted-1] and
    ``at`` = P(X = wanted-1) go from one t to the next.
    """
    last = wanted - 1
    below, mean, log_at = 1.0, 0.0, 0.0
    for i in range(int(last)):
        log_at += math.log((r - 1 - i) / (n - 1 - i))  # at t = wanted: all places before it are relevant
    total = 0.0
    for drawn in range(int(n)):
        if below <= 0:
            break
        total += (mean + (found + 1) * below) / (start + drawn + 1)
        left = n - 1 - drawn
        if left <= 0:
            break
        at = math.exp(log_at) if drawn >= last and log_at > -math.inf else 0.0
        leaving = at * (r - 1 - last) / left
        mean += ((r - 1) * (below - at) - (mean - last * at)) / left - last * leaving
        below -= leaving
        if drawn >= last:
            remaining = n - r - (drawn - last)
            log_at += math.log((drawn + 1) / (drawn + 1 - last) * remaining / left) if remaining > 0 else -math.inf
    return total * r / n
