"""Which implementation serves: native code, else Numba, else NumPy.

The choice is made at the first call that needs one. ``UDSPH_BACKEND=native|numba|numpy`` forces one.
"""

from __future__ import annotations

import importlib
import os
import warnings
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.threads import thread_count

_MODULES = {
    "native": "udsph.hamming._native",
    "numba": "udsph.hamming.jit",
    "numpy": "udsph.hamming.reference",
}
_chosen: tuple[str, ModuleType] | None = None


def available() -> list[str]:
    """Names of the backends that can be loaded here, fastest first."""
    return [name for name in _MODULES if _load(name) is not None]


def module() -> Any:
    """The module that computes ``distances``."""
    return _choose()[1]


def name() -> str:
    """Name of the backend in use: "native", "numba" or "numpy"."""
    return _choose()[0]


def use(name: str | None) -> None:
    """Use a backend from now on; None chooses anew."""
    global _chosen
    if name is None:
        _chosen = None
        return
    if name not in _MODULES:
        raise ValueError(f"backend {name!r} is unknown; choose one of: {', '.join(available())}")
    loaded = _load(name)
    if loaded is None:
        raise ValueError(f"backend {name!r} is not available here; choose one of: {', '.join(available())}")
    _chosen = (name, loaded)


def empty_segment(bits: int) -> Any:
    """A segment without codes: ``_native.Segment``, or ``Rows`` with the functions of another backend."""
    from udsph.hamming.rows import Rows

    return module().Segment(bits) if name() == "native" else Rows(bits, module())


def map_segment(bits: int, n: int, words: NDArray[np.uint64]) -> Any:
    """A segment of n codes over sliced blocks, in place where the backend can."""
    from udsph.hamming.rows import Rows

    return module().Segment.map(bits, n, words) if name() == "native" else Rows.map(bits, n, words, module())


def simd_level() -> str:
    """Instruction-set level in use: "scalar", "avx2", "avx512" or "neon"; "numba" or "numpy" without native code.

    ``UDSPH_SIMD`` forces a level; a name that is unknown or not available on this CPU raises ``ValueError`` here and in
    every function that searches.
    """
    return module().simd_level() if name() == "native" else name()


def simd_levels() -> list[str]:
    """Levels that this CPU and build can run, slowest first."""
    return module().simd_levels() if name() == "native" else [name()]


def build_info() -> dict[str, Any]:
    """What is compiled and what is in use, for ``udsph info``."""
    native = _load("native")
    return {
        "native": native is not None,
        "compiler": getattr(native, "compiler", None),
        "backend": name(),
        "backends": available(),
        "simd_level": simd_level(),
        "simd_levels": simd_levels(),
        "threads": thread_count(),
    }


def _load(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(_MODULES[name])
    except ImportError:
        return None


def _choose() -> tuple[str, ModuleType]:
    global _chosen
    if _chosen is None:
        forced = os.environ.get("UDSPH_BACKEND")
        if forced:
            use(forced)
            assert _chosen is not None
            return _chosen
        best = next(name for name in _MODULES if _load(name) is not None)
        use(best)
        assert _chosen is not None
        if best != "native":
            warnings.warn(
                f"udsph.hamming has no native code here and runs on {best}, many times slower; "
                "a C++ compiler at installation time mends it",
                RuntimeWarning,
                stacklevel=4,
            )
    return _chosen
