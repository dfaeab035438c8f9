"""Which backends can be used here, and why the others cannot. Imports no torch."""

from __future__ import annotations

import importlib.util


def backends() -> dict[str, str]:
    """Name of every backend and ``"available"`` or the reason why it is not.

    Returns
    -------
    dict of str to str
        Keys ``reference`` and ``gram``. Needs no torch and touches no GPU.
    """
    torch = "available" if importlib.util.find_spec("torch") else "torch is not installed"
    return {"reference": torch, "gram": torch}
