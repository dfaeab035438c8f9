"""Which layouts there are: those of this package, those of installed packages, and those that a program registers.

A layout of this package is a file of :mod:`udsph.data.layouts`, under the file's name. One of another package is an
entry point of the group ``udsph.layouts`` that names a :class:`Layout`. One of a script or notebook is given to
:func:`register`. ``CONTRIBUTING.md`` has the recipe.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from udsph.data import layouts, supervision
from udsph.data.dataset import Dataset
from udsph.data.quotes import reason_of, shown
from udsph.data.settings import Setting
from udsph.errors import InputError, MissingExtra

GROUP = "udsph.layouts"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # it is typed, and stands in the names of folders
_registered: dict[str, Layout] = {}


@dataclass(frozen=True)
class Layout:
    """A form in which datasets come, and how it is read.

    Attributes
    ----------
    load
        ``load(root, **settings)`` gives the :class:`~udsph.data.Dataset`; ``root`` is a path that exists, or None where
        ``reads_files`` is false; ``settings`` are all of ``settings``, converted and checked.
    settings
        What can be set, by name; each may also be typed on the command line.
    source
        Where people get the files, in words, for the error of a missing one.
    reads_files
        Whether there is a ``root``; generated data have none.
    """

    load: Callable[..., Dataset]
    settings: Mapping[str, Setting]
    source: str = ""
    reads_files: bool = True

    def __post_init__(self) -> None:
        if not callable(self.load):
            raise TypeError(f"load is {type(self.load).__name__}; expected a function load(root, **settings)")
        for name, setting in self.settings.items():
            if not isinstance(setting, Setting):
                raise TypeError(f"the setting '{name}' is {type(setting).__name__}; expected udsph.data.Setting")
            if name in supervision.SETTINGS:
                raise TypeError(f"the setting '{name}' is one that every layout has; give it another name")

    @property
    def all_settings(self) -> Mapping[str, Setting]:
        """What can be set: the layout's own settings, and those that every layout has."""
        return {**self.settings, **supervision.SETTINGS}


def register(name: str, layout: Layout) -> None:
    """Make a layout known to :func:`udsph.data.load` under a name, in this process.

    A package of its own rather declares an entry point of the group ``udsph.layouts``, which the command line and other
    processes find too. To register a name once more replaces what was registered, as when a notebook's cell runs again.

    Raises
    ------
    InputError
        If a layout of this package or of an installed one has that name, or it is no name.
    TypeError
        If ``layout`` is no :class:`Layout`.
    """
    if not isinstance(layout, Layout):
        raise TypeError(f"layout '{name}' is {type(layout).__name__}; expected udsph.data.Layout(load, settings)")
    if not _NAME.fullmatch(name):
        raise InputError(f"name='{shown(name)}': a name has letters, digits, '.', '_' and '-'")
    if name in built_in() or name in _installed():
        raise InputError(f"name='{name}': there is a layout of that name; choose another one")
    _registered[name] = layout


def names() -> tuple[str, ...]:
    """The names of all layouts: those of this package in alphabetical order, then the others."""
    others = {**_installed(), **_registered}
    return (*built_in(), *sorted(others.keys() - set(built_in())))


def layout_of(name: str) -> Layout:
    """The layout of that name.

    Raises
    ------
    InputError
        If there is none, or the package that declares it cannot give it; the others are not touched by that.
    """
    if name in built_in():
        layout: Layout = importlib.import_module(f"{layouts.__name__}.{name}").LAYOUT
        return layout
    if name in _registered:
        return _registered[name]
    if name not in _installed():
        raise InputError(f"unknown dataset '{name}'; known: {', '.join(names())}")
    return _loaded(name, _installed()[name])


def forget() -> None:
    """Look for the files and entry points anew."""
    built_in.cache_clear()
    _installed.cache_clear()


@functools.cache
def built_in() -> tuple[str, ...]:
    """The names of the layouts of this package."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(layouts.__path__) if module.name[0] != "_"))


@functools.cache
def _installed() -> dict[str, list[Any]]:
    """The entry points of other packages, by name, not yet imported."""
    import importlib.metadata  # slow, and not needed for the layouts of this package

    found: dict[str, list[Any]] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def _loaded(name: str, points: list[Any]) -> Layout:
    """What an entry point names; whatever is wrong with it is one error that names the package."""
    packages = sorted({point.dist.name if point.dist else point.value for point in points})
    if len(packages) > 1:
        raise InputError(f"the packages {' and '.join(packages)} both declare the layout '{name}'; remove one of them")
    point, package = points[0], packages[0]
    try:
        found = point.load()
    except MissingExtra:
        raise
    except (Exception, SystemExit) as error:  # a foreign module may fail with anything
        raise InputError(
            f"the layout '{name}' of the package '{package}' cannot be loaded: {reason_of(error)}"
        ) from error
    if not isinstance(found, Layout):
        raise InputError(
            f"the layout '{name}' of the package '{package}' is {type(found).__name__} ({point.value}); "
            f"its entry point must name a udsph.data.Layout"
        )
    return found
