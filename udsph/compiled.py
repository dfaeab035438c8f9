"""Functions compiled by Numba, where it is installed, with their machine code kept on disk, where that can be.

Numba alone raises where no folder can be written, as in a container without a home, and where one that could be written
is full or closed later; and it takes a function for unchanged when only what it calls in another file has changed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

try:
    import numba

    HAVE_NUMBA = True
except ImportError:
    HAVE_NUMBA = False

F = TypeVar("F", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[F], F]:
    """Decorate a function to be compiled at its first call; without Numba it stays as it is.

    The machine code is kept where Numba keeps it: in ``NUMBA_CACHE_DIR`` where that is set, else beside the source,
    else in the user's cache. Where none of them can be written, each process compiles anew.

    Parameters
    ----------
    **options
        As for ``numba.njit``, without ``cache``.
    """

    def decorate(function: F) -> F:
        if not HAVE_NUMBA:
            return function
        dispatcher: Any = numba.njit(**options)(function)
        if _may_be_kept(function):
            with contextlib.suppress(RuntimeError, OSError):  # "no locator available"
                dispatcher.enable_caching()
                dispatcher._cache = _Cache(dispatcher._cache, function)
        return dispatcher

    return decorate


def _may_be_kept(function: Callable[..., Any]) -> bool:
    """Whether Numba keeps to places that are meant for it: of a home without a name it makes a folder called "~"."""
    if os.environ.get("XDG_CACHE_HOME") or os.path.isabs(os.path.expanduser("~")):
        return True
    places = (
        os.environ.get("NUMBA_CACHE_DIR"),
        os.path.join(os.path.dirname(inspect.getfile(function)), "__pycache__"),
    )
    return any(place and _can_be_written(place) for place in places)


def _can_be_written(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


class _Cache:
    """Numba's cache of one function: whatever fails in it costs time only, and every file of the folder counts."""

    def __init__(self, cache: Any, function: Callable[..., Any]) -> None:
        self._cache, self._file = cache, inspect.getfile(function)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        with contextlib.suppress(Exception):  # a file that is damaged or cannot be read
            return self._cache.load_overload(self._key(signature), target_context)
        return None

    def save_overload(self, signature: Any, data: Any) -> None:
        with contextlib.suppress(Exception):  # a full disk, a folder that can no longer be written
            self._cache.save_overload(self._key(signature), data)

    def _key(self, signature: Any) -> Any:
        return signature, _sources(os.path.dirname(self._file))


@functools.cache
def _sources(folder: str) -> str:
    """Digest of the Python files of a folder: compiled functions contain those that they call in other files."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
