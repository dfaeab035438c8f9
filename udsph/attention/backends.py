"""Which backends can be used here, and why the others cannot. Imports no torch."""

from __future__ import annotations

import importlib
import importlib.util


def backends() -> dict[str, str]:
    """Name of every backend and ``"available"`` or the reason why it is not.

    Returns
    -------
    dict of str to str
        Keys ``reference``, ``gram``, ``cpu``. Needs no torch and touches no GPU.
    """
    if importlib.util.find_spec("torch") is None:
        return dict.fromkeys(("reference", "gram", "cpu"), "torch is not installed")
    return {"reference": "available", "gram": "available", "cpu": _cpu()}


def _cpu() -> str:
    try:
        native = importlib.import_module("udsph.attention._native")
    except ImportError as error:
        return f"the kernel was not built when the package was installed ({error})"
    try:
        native.level()
    except ValueError as error:  # UDSPH_SIMD names a level that is not there
        return str(error)
    return "available"
