"""UDSPH: exact Hamming search, exact retrieval evaluation, and cross-modal hashing of images and text.

Three doors, each usable without the others::

    udsph.hamming      binary codes in, exact neighbours out         NumPy only
    udsph.evaluation   codes and labels in, MAP and relatives out    NumPy; faster with Numba
    udsph.UDSPH        image-text pairs in, a hashing model out      pip install 'udsph[train]'
    udsph.Hasher       a trained model in, codes out                 pip install 'udsph[train]'

Rooms and the one direction in which they may import each other::

    hamming <- evaluation <- training, baselines, report <- cli
               attention  <- models <- encoding <- training
               data       <- features <- encoding

Importing this package loads neither torch nor numba: names are looked up on first use.
``docs/architecture.md`` describes each room, ``docs/conventions.md`` how codes, distances, ids and labels look.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from udsph._version import __version__

if TYPE_CHECKING:
    from udsph import attention, data, encoding, evaluation, features, hamming, models, report, training
    from udsph.encoding import Hasher
    from udsph.training import UDSPH

__all__ = [
    "UDSPH",
    "Hasher",
    "__version__",
    "attention",
    "data",
    "encoding",
    "evaluation",
    "features",
    "hamming",
    "models",
    "report",
    "training",
]

_ROOMS = frozenset(
    {"attention", "baselines", "data", "encoding", "evaluation", "features", "hamming", "models", "report", "training"}
)


# Class at the top of the package -> the room that has it.
_CLASSES = {"Hasher": "udsph.encoding", "UDSPH": "udsph.training"}

# Package that may be missing -> the extra that installs it.
_EXTRAS = {
    "torch": "train",
    "lightning_fabric": "train",
    "safetensors": "train",
    "rich": "train",
    "scipy": "train",
    "sklearn": "baselines",
    "matplotlib": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS and name not in _CLASSES:
        raise AttributeError(f"module 'udsph' has no attribute {name!r}")
    try:
        if name in _CLASSES:
            return getattr(importlib.import_module(_CLASSES[name]), name)
        return importlib.import_module(f"udsph.{name}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        from udsph.errors import MissingExtra

        raise MissingExtra(f"udsph.{name}", _EXTRAS[package]) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
