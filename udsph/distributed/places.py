"""Where codes lie: paths that every node sees, or URIs of which each node keeps a copy.

A URI is read by fsspec. Its copy lies in a folder of the node's own, under a name made of the URI and of what the
source says of the file, so that a file that was replaced is copied anew.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from udsph.errors import InputError, MissingExtra
from udsph.files import beside

_STEP = 1 << 24  # bytes that are copied at a time
CACHE = "udsph-copies"  # in the folder for temporary files


def is_uri(place: str) -> bool:
    """Whether a place is a URI: ``s3://bucket/codes``."""
    return "://" in place


def name_of(place: Any) -> str:
    """A path or URI as text; paths are absolute, since nodes have working folders of their own."""
    text = os.fspath(place)
    if not isinstance(text, str):
        raise TypeError(f"source must be paths or URIs as str, got {type(text).__name__}")
    return text if is_uri(text) else os.path.abspath(text)


def joined(place: str, name: str) -> str:
    """A file in a folder."""
    return f"{place.rstrip('/')}/{name}" if is_uri(place) else os.path.join(place, name)


def base(place: str) -> str:
    """The last part of a place."""
    return place.rstrip("/").rpartition("/")[2] if is_uri(place) else os.path.basename(place)


def is_folder(place: str) -> bool:
    """Whether a place is a folder."""
    if not is_uri(place):
        return os.path.isdir(place)
    return bool(_asked(place, lambda system, path: system.isdir(path)))


def names_in(place: str) -> list[str]:
    """Names of what is in a folder."""
    if not is_uri(place):
        return os.listdir(place)
    return [base(found) for found in _asked(place, lambda system, path: system.ls(path, detail=False))]


def size_of(place: str) -> int:
    """Bytes of a file."""
    if not is_uri(place):
        return os.stat(place).st_size
    return int(_asked(place, lambda system, path: system.size(path)))


def read(place: str, count: int) -> bytes:
    """The first bytes of a file."""
    if not is_uri(place):
        with open(place, "rb") as file:
            return file.read(count)

    def head(system: Any, path: str) -> bytes:
        with system.open(path, "rb") as file:
            return file.read(count)

    return _asked(place, head)


def write(place: str, source: Path) -> None:
    """Send a file to a URI."""
    _asked(place, lambda system, path: system.put_file(os.fspath(source), path))


def remove(place: str) -> None:
    """Remove a file at a URI."""
    _asked(place, lambda system, path: system.rm_file(path))


def local(place: str, mark: Any = "") -> Path:
    """A file or, of a URI, this node's copy of it, which is made if it is not there.

    mark : what the source says of the file; another file under this URI has another one.
    """
    if not is_uri(place):
        return Path(place)
    folder, _, name = place.rpartition("/")
    key = hashlib.sha256(f"{folder}|{mark}".encode()).hexdigest()[:20]
    target = Path(tempfile.gettempdir()) / f"{CACHE}-{os.getuid() if hasattr(os, 'getuid') else ''}" / key / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

        def copy(system: Any, path: str) -> None:
            with beside(target, durable=False) as temporary, temporary.open("wb") as file, system.open(path) as remote:
                while part := remote.read(_STEP):
                    file.write(part)

        _asked(place, copy)
    return target


def forget(path: Path, place: str) -> None:
    """Remove this node's copy, which is damaged, so that the next call makes another."""
    if is_uri(place):
        path.unlink(missing_ok=True)


def _asked(place: str, ask: Callable[[Any, str], Any]) -> Any:
    """What a file system says; every way in which it fails is one error that names the place."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtra("a source by URI", "distributed") from None
    try:
        system, path = url_to_fs(place)
        return ask(system, path)
    except ImportError as error:
        raise InputError(f"{place} cannot be read: {error}") from None
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(2, "No such file or directory", place) from None
        raise InputError(f"{place} cannot be read: {type(error).__name__}: {error}") from None
