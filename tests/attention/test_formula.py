"""The numbers of the formula: defaults, pairs, and what is refused."""

import math

import numpy as np
import pytest

from udsph.attention.formula import formulas
from udsph.errors import InputError

CHOICES = {"pool": "lse", "pool_temperature": 6.0, "normalize": "clipped_l2"}


def smooth_of(direction, smooth=None):
    return [(name, formula.smooth) for name, formula in formulas(direction, smooth, **CHOICES)]


def test_default_smooth():
    assert smooth_of("t2i") == [("t2i", 9.0)]
    assert smooth_of("i2t") == [("i2t", 9.0)]
    assert smooth_of("both") == [("t2i", 9.0), ("i2t", 4.0)]


def test_smooth_for_both_may_be_one_number_or_a_pair():
    assert smooth_of("both", 5) == [("t2i", 5.0), ("i2t", 5.0)]
    assert smooth_of("both", (7, 3)) == [("t2i", 7.0), ("i2t", 3.0)]


def test_numpy_numbers_are_numbers():
    assert smooth_of("t2i", np.float32(5.0)) == smooth_of("t2i", np.int64(5)) == [("t2i", 5.0)]


def test_a_pair_for_one_direction_is_refused():
    with pytest.raises(InputError, match="smooth"):
        smooth_of("t2i", (9.0, 4.0))


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "9", True])
@pytest.mark.parametrize("name", ["smooth", "pool_temperature"])
def test_numbers_must_be_finite_and_positive(name, value):
    with pytest.raises(InputError, match=name):
        formulas(**{"direction": "t2i", "smooth": 9.0, **CHOICES, name: value})


@pytest.mark.parametrize("name", ["direction", "pool", "normalize"])
def test_unknown_choices_are_named(name):
    with pytest.raises(InputError, match=f"{name}='sideways'"):
        formulas(**{"direction": "t2i", "smooth": None, **CHOICES, name: "sideways"})
