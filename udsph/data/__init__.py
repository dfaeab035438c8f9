"""Datasets: one module per layout in :mod:`udsph.data.layouts`, all returning a :class:`Dataset`.

:mod:`udsph.data.registry` says which layouts there are and how one is added. The other modules are their tools.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from udsph.data import supervision
from udsph.data.dataset import Dataset, Modality, split_validation
from udsph.data.registry import Layout, layout_of, names, register
from udsph.data.settings import Setting, resolve
from udsph.data.tokens import tokenise
from udsph.errors import InputError

__all__ = [
    "Dataset",
    "Layout",
    "Modality",
    "Setting",
    "layout_of",
    "load",
    "names",
    "register",
    "settings_of",
    "split_validation",
    "tokenise",
]


def settings_of(name: str) -> Mapping[str, Setting]:
    """The settings of a layout, by name: its own, and those of every layout."""
    return layout_of(name).all_settings


def load(name: str, root: str | os.PathLike[str] | None = None, **settings: Any) -> Dataset:
    """Load a dataset by the name of its layout.

    Parameters
    ----------
    name
        One of :func:`names`.
    root
        The folder or file to read, for a layout that reads any.
    settings
        As the layout declares them, see ``docs/data.md``; text as typed on the command line is converted. Every layout
        takes ``labelled=N``: N training pairs, drawn by ``labelled_seed``, keep their labels for training, the others
        are treated as unlabelled (:attr:`Dataset.supervised`); evaluation knows the labels of all.

    Raises
    ------
    InputError
        For an unknown name or setting, a missing root, and anything wrong with the data, in one line.
    """
    layout = layout_of(name)
    settings = {key.replace("-", "_"): value for key, value in settings.items()}  # on-error, as options are written
    resolved = resolve(name, layout.all_settings, settings)
    choice = {key: resolved.pop(key) for key in supervision.SETTINGS}
    if choice["labelled"] is None and choice["labelled_seed"]:
        seed = choice["labelled_seed"]
        raise InputError(f"{name}: labelled_seed={seed} chooses nothing without labelled=N; give both")
    if not layout.reads_files:
        if root is not None:
            raise InputError(f"{name} is generated and reads no files; leave the root '{root}' away")
        return _noted(layout.load(None, **resolved), layout, resolved, choice, None)
    if root is None:
        raise InputError(f"{name} reads files: give their place as root=PATH")
    path = Path(root).expanduser()
    if not path.exists():
        raise InputError(f"{name}: the root '{root}' does not exist; give the place of the data as root=PATH")
    return _noted(layout.load(path, **resolved), layout, resolved, choice, str(path.resolve()))


def _noted(
    dataset: Dataset, layout: Layout, resolved: Mapping[str, Any], choice: Mapping[str, Any], root: str | None
) -> Dataset:
    """The dataset with what it was loaded from; where a loader worked a setting out, that stands."""
    if not isinstance(dataset, Dataset):  # of another package
        raise TypeError(f"the layout's load gave {type(dataset).__name__}; expected udsph.data.Dataset")
    stored = {name: value for name, value in resolved.items() if layout.settings[name].stored}
    if choice["labelled"] is not None:  # noted where it is made only, so that earlier runs are still the same
        dataset = supervision.with_labelled(dataset, choice["labelled"], choice["labelled_seed"])
        stored |= choice
    with warnings.catch_warnings():  # the copy says the same once more
        warnings.simplefilter("ignore")
        return dataclasses.replace(dataset, root=root, settings={**stored, **dataset.settings})
