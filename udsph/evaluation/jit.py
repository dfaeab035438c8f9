"""``@jit``: Numba where it is installed, else the same function in plain NumPy.

The metric code is written once, in the part of Python and NumPy that both understand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

try:
    import numba

    HAVE_NUMBA = True
except ImportError:
    HAVE_NUMBA = False


def jit(function: F) -> F:
    """Compile a function at its first call and keep the machine code on disk; without Numba, leave it as it is."""
    if not HAVE_NUMBA:
        return function
    compiled: Any = numba.njit(cache=True, error_model="numpy")(function)
    return compiled
