"""Arrays named on the command line: ``FILE``, or ``FILE:NAME`` for one of those in a ``.npz``, ``.mat`` or ``.h5``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from udsph.errors import InputError

_MAGIC = b"\x93NUMPY"
_MANY = (".npz", ".mat", ".h5", ".hdf5")


def read_array(place: str, flag: str) -> Any:
    """The array, a ``.npy`` file memory-mapped, a sparse one dense.

    Parameters
    ----------
    place
        As typed.
    flag
        The option that it was typed for, for errors.

    Raises
    ------
    InputError
        There is no such file or array, or it is damaged.
    """
    path, name = _part(place)
    if path.suffix.lower() in _MANY:
        return _one_of(path, name, flag)
    if name:
        raise InputError(f"{flag} {place}: only {', '.join(_MANY)} hold arrays with names")
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise InputError(
                f"{flag} {path}: this is no .npy file; others are known by their suffix: {', '.join(_MANY)}"
            )
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        problem = "it holds Python objects" if "bject" in str(error) else str(error)
        raise InputError(f"{flag} {path}: no array can be read from it ({problem})") from None


def _part(place: str) -> tuple[Path, str]:
    """Path and name; a colon that belongs to the path stays there."""
    if os.path.exists(place):
        return Path(place), ""
    path, colon, name = place.rpartition(":")
    return (Path(path), name) if colon and Path(path).suffix.lower() in _MANY else (Path(place), "")


def _one_of(path: Path, name: str, flag: str) -> Any:
    from udsph.data.arrays import Arrays

    if not path.exists():
        raise FileNotFoundError(2, os.strerror(2), str(path))
    with Arrays(path) as arrays:
        if not name and len(arrays.keys) != 1:
            held = ", ".join(arrays.keys) or "none"
            raise InputError(f"{flag} {path}: name one of its arrays, as {path}:NAME; it holds: {held}")
        value = arrays.read(name or arrays.keys[0])
    return value.toarray() if hasattr(value, "toarray") else value
