"""UDSPH: exact Hamming search, exact retrieval evaluation, and cross-modal hashing of images and text.

Three doors, each usable without the others::

    udsph.hamming      binary codes in, exact neighbours out         NumPy only
    udsph.evaluation   codes and labels in, MAP and relatives out    NumPy; faster with Numba
    udsph.UDSPH        image-text pairs in, a hashing model out      pip install '.[train]'
    udsph.Hasher       a trained model in, codes out                 pip install '.[train]'

Importing this package loads neither torch nor numba: names are looked up on first use.
``docs/architecture.md`` describes each room and which it may import,
``docs/conventions.md`` how codes, distances, ids and labels look.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from udsph._version import __version__

if TYPE_CHECKING:
    from udsph import (
        attention,
        baselines,
        data,
        distributed,
        encoding,
        evaluation,
        experiments,
        features,
        hamming,
        models,
        report,
        serve,
        training,
    )
    from udsph.encoding import Hasher
    from udsph.training import UDSPH

__all__ = [
    "UDSPH",
    "Hasher",
    "__version__",
    "attention",
    "baselines",
    "data",
    "distributed",
    "encoding",
    "evaluation",
    "experiments",
    "features",
    "get_include",
    "hamming",
    "models",
    "report",
    "serve",
    "training",
]

# Class at the top of the package -> the room that has it.
_CLASSES = {"Hasher": "udsph.encoding", "UDSPH": "udsph.training"}
_ROOMS = frozenset(__all__) - {*_CLASSES, "__version__", "get_include"}


def get_include() -> str:
    """The folder of ``udsph.h``, for compilers of C, C++ and Cython code that searches without Python around each call.

    ``docs/c-cython-numba.md`` has examples.
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


def __getattr__(name: str) -> Any:
    if name not in _ROOMS and name not in _CLASSES:
        raise AttributeError(f"module 'udsph' has no attribute {name!r}")
    from udsph.errors import naming_extra

    with naming_extra(f"udsph.{name}"):
        if name in _CLASSES:
            return getattr(importlib.import_module(_CLASSES[name]), name)
        return importlib.import_module(f"udsph.{name}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
