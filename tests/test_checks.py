"""Whole numbers that a caller gives."""

import numpy as np
import pytest

from udsph.checks import check_int
from udsph.errors import InputError


@pytest.mark.parametrize("value", [7, np.int8(7), np.uint64(7), np.array(7)])
def test_integers_of_any_kind_become_an_int(value):
    number = check_int(value, "k", 1, 7)
    assert type(number) is int and number == 7


@pytest.mark.parametrize("value", [True, np.True_, 7.0, "7", None, np.array([7, 8]), np.float32(7)])
def test_what_is_no_integer_is_named(value):
    with pytest.raises(TypeError, match=rf"^k must be an int, got {type(value).__name__} \("):
        check_int(value, "k")


@pytest.mark.parametrize(
    ("least", "most", "message"), [(8, None, "at least 8"), (None, 6, "at most 6"), (8, 9, "from 8 to 9")]
)
def test_a_range_is_named_with_what_was_given(least, most, message):
    with pytest.raises(InputError, match=rf"^k must be {message}, got 7$"):
        check_int(7, "k", least, most)
