"""Every method of the paper's comparison behind one interface.

    method = create("scm-seq", bits=64, random_state=0)
    method.fit(images, texts, labels)          arrays, sparse matrices, or udsph.data.Modality
    method.encode_image(images)                packed codes, uint8 (n, 8); needs images only
    method.encode_text(texts)

One file per method, in ``shallow`` (NumPy and SciPy on feature vectors) and ``deep`` (PyTorch, on the encoders of
``udsph.models``). A file's ``METHODS`` maps names to classes; that is all a new method needs. ``base.py`` is the
contract, ``inputs.py`` the preparation that all shallow methods share, ``features.py`` their fixed features of pixels
and words.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import Any

from udsph.baselines import deep, shallow
from udsph.baselines.base import Method
from udsph.errors import InputError

__all__ = ["Method", "create", "methods", "names"]

_ORDER = ("floor", "unsupervised", "supervised", "deep")


@functools.cache
def methods() -> dict[str, type[Method]]:
    """All methods by name: floors, unsupervised, supervised, deep, each group in alphabetical order."""
    found: dict[str, type[Method]] = {}
    for room in (shallow, deep):
        for module in _modules(room):
            for name, method in getattr(module, "METHODS", {}).items():
                if name in found:
                    raise RuntimeError(f"two methods are called '{name}'")
                found[name] = method
    return dict(sorted(found.items(), key=lambda item: (_ORDER.index(item[1].kind), item[0] == "udsph", item[0])))


def _modules(package: ModuleType) -> list[ModuleType]:
    return [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]


def names() -> tuple[str, ...]:
    """The names that :func:`create` knows."""
    return tuple(methods())


def create(name: str, bits: int = 64, random_state: int = 0, **settings: Any) -> Method:
    """A method by its name, not yet fitted.

    Raises
    ------
    InputError
        For an unknown name or setting.
    """
    if name not in methods():
        raise InputError(f"unknown method '{name}'; known: {', '.join(names())}")
    try:
        return methods()[name](bits=bits, random_state=random_state, **settings)
    except TypeError as error:
        raise InputError(f"{name}: {error}") from None
