"""Checks of arguments that every room needs."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from udsph.errors import InputError


def check_int(value: Any, name: str, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number as an int.

    Parameters
    ----------
    value : int, or a scalar of an integer dtype of NumPy or torch
        Neither a bool nor a float, whole as it may be.
    name : str
        What the caller calls it, for error messages.
    least, most : int, optional
        Range, inclusive.

    Raises
    ------
    TypeError
        It is not an integer.
    InputError
        It is out of range.
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {type(value).__name__} ({value!r:.40})") from None
    if (least is not None and number < least) or (most is not None and number > most):
        if least is not None and most is not None:
            raise InputError(f"{name} must be from {least} to {most}, got {number}")
        raise InputError(f"{name} must be at {f'least {least}' if most is None else f'most {most}'}, got {number}")
    return number
