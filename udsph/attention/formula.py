"""The numbers that define a score. The names of the choices are those of SCAN (Lee et al., ECCV 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from udsph.errors import InputError

DIRECTIONS = ("t2i", "i2t", "both")
POOLS = ("lse", "mean", "max", "sum")
NORMALIZATIONS = ("clipped_l2", "l2", "clipped", "softmax", "none")

LEAK = 0.1
"""Slope of the leaky rectifier in the "clipped" normalisations."""

EPSILON = 1e-8
"""Guard of the affinity's norm (added) and of the cosine's denominator (lower bound), as published."""

DEFAULT_SMOOTH = {"t2i": (9.0,), "i2t": (9.0,), "both": (9.0, 4.0)}
"""Per direction asked for; "both" is (t2i, i2t)."""


@dataclass(frozen=True)
class Formula:
    """How one direction turns affinities into a score.

    A *query* is an item that attends, a *context* item is one that is attended to: words attend to regions in ``t2i``,
    regions to words in ``i2t``.
    """

    smooth: float
    """Inverse temperature of the softmax over the context items."""
    pool: str
    """How the cosines of the queries of a pair become one number: one of POOLS."""
    pool_temperature: float
    """Sharpness of the pool "lse"; the others ignore it."""
    normalize: str
    """What is done with the affinities before the softmax: one of NORMALIZATIONS. Norms run over the queries."""


def formulas(
    direction: str, smooth: Any, pool: str, pool_temperature: float, normalize: str
) -> list[tuple[str, Formula]]:
    """The directions whose mean is wanted, each with its formula.

    Raises
    ------
    InputError
        For an unknown choice, a number that is not finite and positive, or a pair given to one direction.
    """
    _one_of("direction", direction, DIRECTIONS)
    _one_of("pool", pool, POOLS)
    _one_of("normalize", normalize, NORMALIZATIONS)
    _positive("pool_temperature", pool_temperature)
    names = ("t2i", "i2t") if direction == "both" else (direction,)
    if smooth is None:
        values = list(DEFAULT_SMOOTH[direction])
    elif isinstance(smooth, (tuple, list)):
        if len(smooth) != len(names):
            raise InputError(
                f"smooth is {smooth!r}: a pair (t2i, i2t) goes with direction='both', one number otherwise"
            )
        values = list(smooth)
    else:
        values = [smooth] * len(names)
    for value in values:
        _positive("smooth", value)
    return [
        (name, Formula(float(value), pool, float(pool_temperature), normalize))
        for name, value in zip(names, values, strict=True)
    ]


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")


def _positive(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{name}={value!r} is not a finite number above 0")
