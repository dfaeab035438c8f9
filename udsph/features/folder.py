"""The feature folder while it is written: arrays grow row by row, and an interrupted extraction continues.

``progress.json`` lies in the folder from the first byte to the last; it says what is extracted (so that another command
does not continue it) and how many rows of each array are on the disk. ``features.json`` takes its place at the end.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from udsph._version import __version__
from udsph.data.mapped import CAPTIONS, DESCRIPTION, PROGRESS, read_json
from udsph.errors import InputError

FORMAT = 1
_SECONDS = 1.0  # least time between two notes of the progress


class FeatureFolder:
    """A feature folder to be written or continued.

    Parameters
    ----------
    content
        What decides the features, as JSON: source, items, classes, extractors.

    Attributes
    ----------
    complete
        Whether the folder holds the whole extraction already.
    spoilt
        Items that could not be read, with the reason, by number.

    Raises
    ------
    InputError
        If the folder holds something else, or an extraction with other settings.
    """

    def __init__(self, folder: Path, content: Mapping[str, Any]) -> None:
        self.folder = folder
        self.content = json.loads(json.dumps({"format": FORMAT, "udsph": __version__, **content}))
        self._done: dict[str, list[int]] = {}
        self.spoilt: dict[int, str] = {}
        self._noted = 0.0
        found = [folder / name for name in (PROGRESS, DESCRIPTION) if (folder / name).exists()]
        self.complete = bool(found) and found[0].name == DESCRIPTION
        if found:
            stored = read_json(found[0])
            self._compare(stored.get("content", stored))
            self._done = stored.get("done", {})
            self.spoilt = {int(item): reason for item, reason in stored.get("spoilt", {}).items()}
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is no feature folder; choose another output")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self.note()

    def _compare(self, stored: Mapping[str, Any]) -> None:
        for key, value in self.content.items():
            if stored.get(key) != value:
                raise InputError(
                    f"{self.folder} holds an extraction with another {key}; choose another output or remove it"
                )

    def array(self, key: str, shape: tuple[int, ...], dtype: Any) -> tuple[np.memmap, int]:
        """The array ``KEY.npy`` to write rows into, and how many of its rows are written."""
        path = self.folder / f"{key}.npy"
        done, total = self._done.get(key, [0, shape[0]])
        if done and total == shape[0]:
            try:
                array = np.lib.format.open_memmap(path, mode="r")  # "r+" would fill a file that was cut off
                if array.shape == shape and array.dtype == dtype:
                    return np.lib.format.open_memmap(path, mode="r+"), done
            except (OSError, ValueError):  # gone or cut off: from the start
                pass
        self._done[key] = [0, shape[0]]
        self.note()
        return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape), 0

    def store(self, key: str, values: np.ndarray) -> None:
        """A small array as a whole."""
        part = self.folder / f".{key}.part"
        with part.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)
        part.replace(self.folder / f"{key}.npy")

    def advance(self, arrays: Mapping[str, np.memmap], done: int) -> None:
        """``done`` rows of each array are written. They are brought to the disk before that is noted."""
        last = all(done == len(array) for array in arrays.values())
        if time.monotonic() - self._noted < _SECONDS and not last:
            return
        for key, array in arrays.items():
            array.flush()
            self._done[key] = [done, len(array)]
        self.note()

    def note(self) -> None:
        """Write ``progress.json``."""
        self._noted = time.monotonic()
        spoilt = {str(item): reason for item, reason in self.spoilt.items()}
        write_json(self.folder / PROGRESS, {"content": self.content, "done": self._done, "spoilt": spoilt})

    def finish(self, captions: tuple[str, ...] | None) -> None:
        """Describe the folder as complete."""
        if captions is not None:
            write_json(self.folder / CAPTIONS, list(captions))
        arrays = {}
        for path in sorted(self.folder.glob("*.npy")):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            arrays[path.stem] = [list(array.shape), array.dtype.name]
        spoilt = {str(item): reason for item, reason in self.spoilt.items()}
        write_json(self.folder / DESCRIPTION, {**self.content, "arrays": arrays, "spoilt": spoilt})
        (self.folder / PROGRESS).unlink()


def write_json(path: Path, content: Any) -> None:
    """Write JSON beside, then rename."""
    write_beside(path, (json.dumps(content, ensure_ascii=False) + "\n").encode())


def write_beside(path: Path, content: bytes) -> None:
    """Write beside, then rename, so that nobody meets half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)
