"""Which backends can be used here, and why the others cannot. Imports no torch."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache

from udsph import cuda

NAMES = ("reference", "gram", "cpu", "cuda")


def backends() -> dict[str, str]:
    """Name of every backend and ``"available"`` or the reason why it is not.

    Returns
    -------
    dict of str to str
        Keys ``reference``, ``gram``, ``cpu``, ``cuda``. Imports torch only where the CUDA library was built.
    """
    if importlib.util.find_spec("torch") is None:
        return dict.fromkeys(NAMES, "torch is not installed")
    return {"reference": "available", "gram": "available", "cpu": cpu_state(), "cuda": cuda_state()}


def cpu_state() -> str:
    """Of the CPU kernel: ``"available"``, or why not."""
    try:
        native = importlib.import_module("udsph.attention._native")
    except ImportError as error:
        return f"the kernel was not built when the package was installed ({error})"
    try:
        native.simd_level()
    except ValueError as error:  # UDSPH_SIMD names a level that is not there
        return str(error)
    return "available"


@cache
def cuda_state() -> str:
    """Of the CUDA kernel: ``"available"``, or why not. Asks the driver, so not for a process that will fork."""
    if cuda.state() != "available":
        return cuda.state()
    if importlib.import_module("torch").version.cuda is None:
        return "this torch was built without CUDA"
    try:
        return str(importlib.import_module("udsph.attention.cuda").library().device_state())
    except OSError as error:  # of another version
        return f"the library cannot be loaded: {error}"
