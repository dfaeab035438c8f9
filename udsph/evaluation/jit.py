"""``@jit``: Numba where it is installed, else the same function in plain NumPy.

The metric code is written once, in the part of Python and NumPy that both understand.
"""

from __future__ import annotations

from udsph.compiled import HAVE_NUMBA, compiled

__all__ = ["HAVE_NUMBA", "jit"]

jit = compiled(error_model="numpy")
