"""The feature folder while it is written: arrays grow row by row, and an interrupted extraction continues.

``progress.json`` lies in the folder from the first byte to the last; it says what is extracted (so that another command
does not continue it) and how many rows of each array are on the disk. ``features.json`` takes its place at the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from udsph._version import __version__
from udsph.data.mapped import CAPTIONS, DESCRIPTION, PROGRESS, read_description
from udsph.data.prefetch import ahead
from udsph.errors import InputError
from udsph.files import replacing, write_json

FORMAT = 1
_SECONDS = 1.0  # least time between two notes of the progress
Report = Callable[[str, int, int], None]


class Source(Protocol):
    """What the rows of one view come from: items are read, then become features."""

    arrays: dict[str, tuple[tuple[int, ...], Any]]  # shape of a row and type, by what stands behind the view's name

    def read(self, index: np.ndarray) -> Any:
        """Those items, in a thread beside the features of those before."""

    def features(self, items: Any, index: np.ndarray) -> dict[str, np.ndarray]:
        """The rows of each array."""

    def spoilt(self, index: np.ndarray) -> dict[int, str]:
        """Which of the items could not be read, and why."""


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
            stored = read_description(found[0])
            self._compare(stored.get("content", stored))
            self._done = stored.get("done", {})
            self.spoilt = {int(item): reason for item, reason in stored.get("spoilt", {}).items()}
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is no feature folder; choose another output")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._note()

    def _compare(self, stored: Mapping[str, Any]) -> None:
        for key, value in self.content.items():
            if stored.get(key) != value:
                raise InputError(
                    f"{self.folder} holds an extraction with another {key}; choose another output or remove it"
                )

    def fill(self, view: str, source: Source, count: int, batch_size: int, report: Report | None) -> None:
        """Write the rows of a view that are not there yet; the next items are read while these become features."""
        opened = {
            end: self._array(f"{view}{end}", (count, *shape), dtype) for end, (shape, dtype) in source.arrays.items()
        }
        done = min(rows for _, rows in opened.values())
        arrays = {end: array for end, (array, _) in opened.items()}
        pieces = [np.arange(first, min(first + batch_size, count)) for first in range(done, count, batch_size)]
        for index, items in zip(pieces, ahead(source.read, pieces), strict=True):
            for end, rows in source.features(items, index).items():
                arrays[end][index[0] : index[-1] + 1] = rows
            self.spoilt |= source.spoilt(index)
            self._advance({f"{view}{end}": array for end, array in arrays.items()}, int(index[-1]) + 1)
            if report is not None:
                report(view, int(index[-1]) + 1, count)

    def finish(self, labels: np.ndarray, splits: Mapping[str, np.ndarray], captions: tuple[str, ...] | None) -> None:
        """Add what is small, without the spoilt items in the splits, and describe the folder as complete."""
        self._store("labels", labels)
        spoilt = np.fromiter(self.spoilt, np.int64, len(self.spoilt))
        for split, index in splits.items():
            left = np.asarray(index, np.int64)[~np.isin(index, spoilt)]
            if not len(left):
                raise InputError(f"none of the items of the split '{split}' could be read")
            self._store(split, left)
        if captions is not None:
            write_json(self.folder / CAPTIONS, list(captions))
        arrays = {}
        for path in sorted(self.folder.glob("*.npy")):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            arrays[path.stem] = [list(array.shape), array.dtype.name]
        write_json(self.folder / DESCRIPTION, {**self.content, "arrays": arrays, "spoilt": self._spoilt_as_json()})
        (self.folder / PROGRESS).unlink()

    def _array(self, key: str, shape: tuple[int, ...], dtype: Any) -> tuple[np.memmap, int]:
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
        self._note()
        return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape), 0

    def _store(self, key: str, values: np.ndarray) -> None:
        with replacing(self.folder / f"{key}.npy") as stream:
            np.save(stream, values, allow_pickle=False)

    def _advance(self, arrays: Mapping[str, np.memmap], done: int) -> None:
        """``done`` rows of each array are written. They are brought to the disk before that is noted."""
        last = all(done == len(array) for array in arrays.values())
        if time.monotonic() - self._noted < _SECONDS and not last:
            return
        for key, array in arrays.items():
            array.flush()
            self._done[key] = [done, len(array)]
        self._note()

    def _note(self) -> None:
        """Write ``progress.json``."""
        self._noted = time.monotonic()
        found = {"content": self.content, "done": self._done, "spoilt": self._spoilt_as_json()}
        write_json(self.folder / PROGRESS, found)

    def _spoilt_as_json(self) -> dict[str, str]:
        return {str(item): reason for item, reason in self.spoilt.items()}
