"""Datasets: one module per layout, all returning a :class:`Dataset`.

A layout is a module with ``SETTINGS`` (its settings, see :mod:`udsph.data.settings`), ``NEEDS_ROOT`` (whether it reads
files), and ``load(root, **settings)``. A new one is a new file and a line in ``_LAYOUTS``.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from udsph.data.dataset import Dataset, Modality, split_validation
from udsph.data.settings import Setting, resolve
from udsph.data.tokens import tokenise
from udsph.errors import InputError

__all__ = ["Dataset", "Modality", "load", "names", "settings_of", "split_validation", "tokenise"]

_LAYOUTS = {
    "scenes": "udsph.data.scenes",
    "features": "udsph.data.features",
    "wiki": "udsph.data.wiki",
    "mirflickr": "udsph.data.mirflickr",
    "nuswide": "udsph.data.nuswide",
    "coco": "udsph.data.coco",
    "emotions": "udsph.data.emotions",
    "webnews": "udsph.data.webnews",
    "folder": "udsph.data.folder",
}


def names() -> tuple[str, ...]:
    """The names that :func:`load` knows."""
    return tuple(_LAYOUTS)


def settings_of(name: str) -> Mapping[str, Setting]:
    """The settings of a layout, by name."""
    return _layout(name).SETTINGS


def _layout(name: str) -> Any:
    if name not in _LAYOUTS:
        raise InputError(f"unknown dataset '{name}'; known: {', '.join(_LAYOUTS)}")
    return importlib.import_module(_LAYOUTS[name])


def load(name: str, root: str | os.PathLike[str] | None = None, **settings: Any) -> Dataset:
    """Load a dataset by the name of its layout.

    Parameters
    ----------
    name
        One of :func:`names`.
    root
        The folder or file to read, for a layout that reads any.
    settings
        As the layout declares them, see ``docs/data.md``; text as typed on the command line is converted.

    Raises
    ------
    InputError
        For an unknown name or setting, a missing root, and anything wrong with the data, in one line.
    """
    layout = _layout(name)
    settings = {key.replace("-", "_"): value for key, value in settings.items()}  # on-error, as options are written
    resolved = resolve(name, layout.SETTINGS, settings)
    if not layout.NEEDS_ROOT:
        if root is not None:
            raise InputError(f"{name} is generated and reads no files; leave the root '{root}' away")
        return layout.load(None, **resolved)
    if root is None:
        raise InputError(f"{name} reads files: give their place as root (--root PATH)")
    path = Path(root).expanduser()
    if not path.exists():
        raise InputError(f"{name}: the root '{root}' does not exist; give the place of the data (--root PATH)")
    dataset = layout.load(path, **resolved)
    with warnings.catch_warnings():  # the copy says the same once more
        warnings.simplefilter("ignore")
        return dataclasses.replace(dataset, root=str(path.resolve()))
