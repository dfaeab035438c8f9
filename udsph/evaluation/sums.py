"""Sums over ranks without a table as long as the database.

Both functions add up to rank 64 from a table and beyond it by the midpoint Euler-Maclaurin formula
``sum_{t=a+1}^{b} f(t) = int_{a+1/2}^{b+1/2} f - [f'] / 24 + 7 [f'''] / 5760 - ...``, directly for the difference, so
that a short sum at a high rank keeps its relative accuracy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from udsph.evaluation.jit import jit

_TABLE = 64
_HARMONIC = np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, _TABLE + 1))))
_DISCOUNT = np.concatenate(([0.0], np.cumsum(1.0 / np.log2(np.arange(2, _TABLE + 2)))))
# Gauss-Legendre on one octave in log rank: 12 points leave less than 1e-16 of exp(v) / v there.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@jit
def harmonic_between(start: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """``sum_{t=start+1}^{start+count} 1 / t`` for each pair of whole numbers; relative error about 1e-14."""
    end = start + count
    low, high = np.minimum(start, _TABLE).astype(np.int64), np.minimum(end, _TABLE).astype(np.int64)
    a, b = np.maximum(start, _TABLE) + 0.5, np.maximum(end, _TABLE) + 0.5
    return _HARMONIC[high] - _HARMONIC[low] + np.log1p((b - a) / a) + _harmonic_rest(b) - _harmonic_rest(a)


@jit
def discount_between(start: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """``sum_{t=start+1}^{start+count} 1 / log2(t + 1)`` for each pair of whole numbers; relative error about 1e-14."""
    if len(count) > 0 and np.max(count) <= 1:  # single terms: a ranking without ties
        return count / np.log2(start + 2)
    end = start + count
    low, high = np.minimum(start, _TABLE).astype(np.int64), np.minimum(end, _TABLE).astype(np.int64)
    a, b = np.maximum(start, _TABLE) + 1.5, np.maximum(end, _TABLE) + 1.5
    total = _discount_rest(b) - _discount_rest(a)
    while np.any(a < b):
        octave = np.minimum(2 * a, b)
        total += _inverse_log_integral(a, octave)
        a = octave
    return _DISCOUNT[high] - _DISCOUNT[low] + total * np.log(2.0)


@jit
def _harmonic_rest(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euler-Maclaurin corrections of the integral of 1 / x; the next term is below 1e-16 from 64 on."""
    y = 1 / (x * x)
    return y * (1 / 24 - y * (7 / 960 - y * 31 / 8064))


@jit
def _discount_rest(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euler-Maclaurin corrections of the integral of f(x) = 1 / ln(x): -f'/24 + 7 f'''/5760 - 31 f^(5)/967680."""
    z = 1 / np.log(x)
    first = -(z**2) / x
    third = -(2 * z**2 + 6 * z**3 + 6 * z**4) / x**3
    fifth = -(24 * z**2 + 100 * z**3 + 210 * z**4 + 240 * z**5 + 120 * z**6) / x**5
    return -first / 24 + 7 * third / 5760 - 31 * fifth / 967680


@jit
def _inverse_log_integral(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """``int_a^b dx / ln(x)`` for b <= 2 a, by Gauss-Legendre in the variable ln(x)."""
    low, half = np.log(a), np.log1p((b - a) / a) / 2
    total = np.zeros_like(a)
    for i in range(len(_NODES)):
        v = low + half * (1 + _NODES[i])
        total += _WEIGHTS[i] * np.exp(v) / v
    return total * half
