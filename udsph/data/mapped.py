"""A folder of ``.npy`` files as named arrays, mapped into memory: a row is read from the disk when it is asked for.

``udsph extract`` writes such a folder with a description beside the arrays (``features.json``); a folder of a user's
own needs none. While an extraction is under way, or after it was interrupted, ``progress.json`` lies there as well,
and the folder is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.magic import read_npy
from udsph.errors import InputError
from udsph.files import read_json

DESCRIPTION = "features.json"
PROGRESS = "progress.json"
CAPTIONS = "captions.json"


class MappedFolder:
    """Arrays ``KEY.npy`` of a folder, as memory maps.

    Attributes
    ----------
    description
        What ``features.json`` says, or nothing.
    """

    def __init__(self, folder: Path) -> None:
        if (folder / PROGRESS).exists():
            raise InputError(f"{folder} is half-written: {_state(folder)}; run its 'udsph extract' again, it continues")
        self._folder = folder
        self._names = {path.stem for path in folder.glob("*.npy")}
        if not self._names:
            raise InputError(f"the folder '{folder}' holds no .npy files; give a folder that 'udsph extract' wrote")
        self.description: Mapping[str, Any] = read_description(folder / DESCRIPTION) if self.is_described() else {}

    def is_described(self) -> bool:
        return (self._folder / DESCRIPTION).exists()

    def captions(self) -> tuple[str, ...] | None:
        """The texts as written, where the folder has them."""
        path = self._folder / CAPTIONS
        return tuple(read_json(path)) if path.exists() else None

    def keys(self) -> set[str]:
        return self._names

    def read(self, key: str) -> np.ndarray:
        array = read_npy(self._folder / f"{key}.npy")
        expected = self.description.get("arrays", {}).get(key)
        if expected is not None and [list(array.shape), array.dtype.name] != expected:
            raise InputError(f"{key}.npy is not the array that {DESCRIPTION} describes; extract it again")
        return array

    def close(self) -> None:
        """Maps close when the last array goes."""


def read_description(path: Path) -> dict[str, Any]:
    """The content of a JSON file that holds names and values, or an InputError that names it."""
    try:
        content = read_json(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: it holds no names and values")
    return content


def _state(folder: Path) -> str:
    """How far an extraction came, in words."""
    done = read_description(folder / PROGRESS).get("done", {})
    words = [f"{rows:,} of {total:,} rows of {key}" for key, (rows, total) in done.items()]
    return ", ".join(words) or "nothing yet"


class Float32Rows:
    """Rows of a memory map of another number type, converted when they are read."""

    dtype = np.dtype(np.float32)

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.shape, self.ndim = rows.shape, rows.ndim

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self._rows[index]).astype(np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("the rows are converted when they are read, which copies them")
        return np.asarray(self._rows).astype(np.float32 if dtype is None else dtype)
