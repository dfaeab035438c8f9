"""Which methods there are: those of this package, those of installed packages, and those that a program registers.

A method of this package is in a file of ``shallow`` or ``deep``, whose ``METHODS`` maps names to classes. One of
another package is an entry point of the group ``udsph.methods`` that names its class. One of a script or notebook is
given to :func:`register`. ``docs/baselines.md`` has the recipe. What cannot be loaded is named in one line, and hides
no other.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, get_args

from udsph.baselines import deep, shallow
from udsph.baselines.base import Kind, Method
from udsph.errors import InputError

GROUP = "udsph.methods"
_ORDER = get_args(Kind)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # it stands in the names of files, and in lists with commas
Source = Callable[[], "Mapping[str, Any]"]  # loads a file or entry point: methods by name, not yet checked
_registered: dict[str, type[Method]] = {}


class Found(NamedTuple):
    """Methods by name, and for each file or entry point that is left out the reason."""

    methods: dict[str, type[Method]]
    broken: dict[str, str]


def register(name: str, method: type[Method]) -> None:
    """Make a method known to :func:`udsph.baselines.create` and to comparisons under a name, in this process.

    A package of its own rather declares an entry point of the group ``udsph.methods``, which the command line finds
    too. To register a name once more replaces what was registered, as when a notebook's cell runs again.

    Parameters
    ----------
    name : str
        Letters, digits, ``.``, ``_`` and ``-``.
    method : type
        A subclass of :class:`~udsph.baselines.base.Method`. Worker processes of a comparison import it from where it is
        defined, so that a class of a notebook runs with ``processes=0`` only.

    Raises
    ------
    InputError
        If a method of this package or of an installed one has that name, or it is no name.
    TypeError
        If ``method`` is no class of that kind.
    """
    problem = _problem(name, method)
    if problem:
        raise (InputError if isinstance(name, str) and _is_method(method) else TypeError)(f"method {name!r}: {problem}")
    if name in _built_in().methods or name in _installed().methods:
        raise InputError(f"name='{name}': there is a method of that name; choose another one")
    _registered[name] = method


def methods() -> dict[str, type[Method]]:
    """All methods by name: floors, unsupervised, supervised, deep, each group in alphabetical order."""
    found = {**_registered, **_installed().methods, **_built_in().methods}
    return dict(sorted(found.items(), key=lambda item: (_ORDER.index(item[1].kind), item[0] == "udsph", item[0])))


def names() -> tuple[str, ...]:
    """The names that :func:`create` knows."""
    return tuple(methods())


def broken() -> dict[str, str]:
    """Files and entry points that were left out, each with the reason."""
    return {**_built_in().broken, **_installed().broken}


def registered() -> dict[str, type[Method]]:
    """What was given to :func:`register`."""
    return dict(_registered)


def create(name: str, bits: int = 64, random_state: int = 0, **settings: Any) -> Method:
    """A method by its name, not yet fitted.

    Raises
    ------
    InputError
        For an unknown name or setting.
    """
    known = methods()
    if name not in known:
        raise InputError(unknown(name))
    try:
        return known[name](bits=bits, random_state=random_state, **settings)
    except TypeError as error:
        raise InputError(f"{name}: {error}") from None


def unknown(name: str) -> str:
    """What to say of a name that is not known."""
    left_out = "".join(f"; left out: {place} ({reason})" for place, reason in broken().items())
    return f"unknown method '{name}'; known: {', '.join(names())}{left_out}"


def without_labels() -> tuple[str, ...]:
    """Names of the methods that need no labels."""
    return tuple(name for name, method in methods().items() if not method.supervised or method.semi_supervised)


def name_of(method: type[Method]) -> str:
    """The name under which a method is known, or that of its class."""
    return next((name for name, known in methods().items() if known is method), method.__name__)


def forget() -> None:
    """Look for the files and entry points anew."""
    _built_in.cache_clear()
    _installed.cache_clear()


@functools.cache
def _built_in() -> Found:
    return _gather(
        (f"{room.__name__.replace('.', '/')}/{module.name}.py", _of_module(f"{room.__name__}.{module.name}"))
        for room in (shallow, deep)
        for module in pkgutil.iter_modules(room.__path__)
    )


@functools.cache
def _installed() -> Found:
    return _gather(
        (
            f"the method '{point.name}' of the package '{point.dist.name if point.dist else point.value}'",
            _of_point(point),
        )
        for point in importlib.metadata.entry_points(group=GROUP)
    )


def _of_module(name: str) -> Source:
    return lambda: importlib.import_module(name).METHODS


def _of_point(point: importlib.metadata.EntryPoint) -> Source:
    def load() -> dict[str, Any]:
        if point.name in _built_in().methods:
            raise InputError("udsph has a method of that name")
        return {point.name: point.load()}

    return load


def _gather(sources: Iterable[tuple[str, Source]]) -> Found:
    found = Found({}, {})
    for place, load in sources:
        try:
            new = load()
            for name, method in new.items():
                problem = "there is another method of that name" if name in found.methods else _problem(name, method)
                if problem:
                    raise InputError(f"{name!r}: {problem}")
        except (Exception, SystemExit) as error:  # a file may fail with anything; the others are not touched by that
            first, kind = str(error).partition("\n")[0], type(error).__name__
            found.broken[place] = first if isinstance(error, InputError) else f"{kind}: {first}" if first else kind
            warnings.warn(f"{place} is left out: {found.broken[place]}", stacklevel=2)
        else:
            found.methods.update(new)
    return found


def _is_method(method: Any) -> bool:
    return isinstance(method, type) and issubclass(method, Method)


def _problem(name: Any, method: Any) -> str:
    """Why this cannot be a method of this name; nothing if it can."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "all":
        return "a name has letters, digits, '.', '_' and '-', and is not 'all'"
    if not _is_method(method):
        return f"expected a subclass of udsph.baselines.Method, got {method!r}"
    if getattr(method, "kind", None) not in _ORDER:
        return f"{method.__name__}.kind is {getattr(method, 'kind', 'missing')!r}; expected one of {', '.join(_ORDER)}"
    return ""
