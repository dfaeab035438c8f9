"""Image files as an array: ``images[index]`` decodes those files, and no others.

Decoding runs in threads (Pillow releases the lock while it decodes). What is small is kept decoded; what is large is
decoded whenever it is asked for, so that memory stays bounded by the batch.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.lines import composed
from udsph.data.pixels import DamagedImage, decode, pixels_of
from udsph.data.problems import BadItem, Problems
from udsph.data.settings import Setting
from udsph.threads import ForkSafeLock, cores

__all__ = [
    "DamagedImage",
    "Images",
    "LazyRows",
    "decode",
    "find_images",
    "located",
    "options",
    "pixels_of",
]

KEPT_BYTES = 256 * 2**20  # decoded images up to this size together are kept in memory
VERIFIED = 5000  # up to this number of images are decoded while loading, so that a damaged one can be left out
GREY = 128  # what stands in for an image that turns out to be damaged during training

SIZE = Setting(64, int, "side in pixels to which images are resized, 64", least=8, most=1024)
WORKERS = Setting(None, int, "threads that decode images, one per processor", least=1, stored=False)
VERIFY = Setting(
    "auto", str, f"decode every image while loading: all, none, or auto (up to {VERIFIED} images)",
    choices=("auto", "all", "none"),
)  # fmt: skip
SETTINGS = {"size": SIZE, "workers": WORKERS, "verify": VERIFY}


def options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a layout's settings those that :func:`find_images` takes."""
    return {name: settings[name] for name in SETTINGS}


class LazyRows:
    """Rows that are computed from files when asked for: ``rows[index]``, in threads.

    Parameters
    ----------
    names
        The file of each row, relative to ``root``.
    row_shape, dtype
        Of one row.
    workers
        Threads; one per processor by default.
    stop
        What happens when a file turns out to be damaged: a :class:`BadItem`, or a warning and an empty row.

    Attributes
    ----------
    damaged
        Names of the files for which an empty row stood in, here or in a selection of these rows.
    """

    empty: float = 0

    def __init__(
        self, root: Path, names: Sequence[str], row_shape: tuple[int, ...], dtype: Any, *, workers: int | None,
        stop: bool,
    ) -> None:  # fmt: skip
        self.root, self.names = root, list(names)
        self.shape = (len(self.names), *row_shape)
        self.dtype = np.dtype(dtype)
        self.workers, self.stop = workers or cores(), stop
        self.damaged: set[str] = set()
        self._pools: dict[int, ThreadPoolExecutor] = {}  # by process: threads do not survive a fork
        self._lock = ForkSafeLock()
        kept = int(np.prod(self.shape)) * self.dtype.itemsize <= KEPT_BYTES
        self._kept = np.zeros(self.shape, dtype) if kept else None  # memory is taken when a row is written
        self._known = np.zeros(len(self.names), bool)

    def compute(self, position: int) -> np.ndarray:
        """One row from its file, or :class:`DamagedImage`."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> np.ndarray:
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        rows = np.empty((len(index), *self.shape[1:]), self.dtype)
        for place, row in enumerate(self._map(self._shown, index.tolist())):
            rows[place] = row
        return rows

    def select(self, index: np.ndarray) -> Any:
        """The rows of ``index`` only, still lazy; what is computed already is not computed again."""
        part = copy.copy(self)
        part.names = [self.names[i] for i in index.tolist()]
        part.shape = (len(part.names), *self.shape[1:])
        part._pools, part._lock = {}, ForkSafeLock()
        part._known = self._known[index]
        part._kept = None if self._kept is None else self._kept[index]
        return part

    def verify(self) -> list[tuple[int, str]]:
        """Compute every row; position and reason of each whose file is damaged."""
        faults = self._map(self._fault, range(len(self)))
        return [(position, found) for position, found in enumerate(faults) if found is not None]

    def __getstate__(self) -> dict[str, Any]:  # threads do not travel to other processes
        return {**self.__dict__, "_pools": {}}

    def _map(self, function: Any, positions: Iterable[int]) -> Iterable[Any]:
        if self.workers == 1:
            return map(function, positions)
        process = os.getpid()
        with self._lock.here:
            if process not in self._pools:
                self._pools = {process: ThreadPoolExecutor(self.workers, thread_name_prefix="decode")}
            pool = self._pools[process]
        return pool.map(function, positions)

    def _row(self, position: int) -> np.ndarray:
        if self._kept is None:
            return self.compute(position)
        if not self._known[position]:
            self._kept[position] = self.compute(position)
            self._known[position] = True
        return self._kept[position]

    def _fault(self, position: int) -> str | None:
        try:
            self._row(position)
        except DamagedImage as error:
            return str(error)
        return None

    def _shown(self, position: int) -> np.ndarray:
        try:
            return self._row(position)
        except DamagedImage as error:
            if self.stop:
                raise BadItem(f"{error}; on_error=skip goes on and counts such images") from None
            with self._lock.here:
                if self.names[position] not in self.damaged:
                    self.damaged.add(self.names[position])
                    warnings.warn(
                        f"{error}; shown as an empty picture ({len(self.damaged)} so far); "
                        f"verify=all leaves such items out",
                        stacklevel=2,
                    )
            return np.full(self.shape[1:], self.empty, self.dtype)


class Images(LazyRows):
    """Image files as uint8 ``(n, size, size, 3)``; a damaged one is shown grey."""

    empty = GREY

    def __init__(
        self, root: Path, names: Sequence[str], size: int, *, workers: int | None = None, stop: bool = True
    ) -> None:
        super().__init__(root, names, (size, size, 3), np.uint8, workers=workers, stop=stop)

    def compute(self, position: int) -> np.ndarray:
        """The decoded picture."""
        return decode(self.root, self.names[position], self.shape[1])


def find_images(
    root: Path, names: Sequence[str], problems: Problems, *, size: int, workers: int | None, verify: str
) -> tuple[Images, np.ndarray]:
    """The files that exist and, where they are verified, are whole; and their positions in ``names``."""
    found = located(root, names)
    for name, place in zip(names, found, strict=True):
        if not place:
            problems.leave_out("the image does not exist", name)
    kept = np.flatnonzero([bool(place) for place in found])
    images = Images(root, [found[i] for i in kept.tolist()], size, workers=workers, stop=problems.stops)
    if verify == "all" or (verify == "auto" and len(images) <= VERIFIED):
        faults = images.verify()
        for _, reason in faults:
            problems.leave_out("the image is damaged", reason)
        if faults:
            whole = np.delete(np.arange(len(images)), [position for position, _ in faults])
            images, kept = images.select(whole), kept[whole]
    problems.check_any_left(len(images))
    return images, kept


def located(root: Path, names: Sequence[str]) -> list[str]:
    """Each file as it is called on the disk, or nothing where there is none.

    A name is taken as it stands, or else with forward slashes for backward ones, whatever form its accented letters
    have here and there. Each folder is listed once, since asking file by file is slow.
    """
    listings: dict[str, dict[str, str]] = {}

    def listing(folder: str) -> dict[str, str]:
        if folder not in listings:
            try:
                there = os.listdir(root / folder)
            except OSError:
                there = []
            listings[folder] = {**{composed(name): name for name in there}, **{name: name for name in there}}
        return listings[folder]

    def place_of(name: str) -> str:
        folder, _, file = name.rpartition("/")
        if file in listing(folder):
            return f"{folder}/{listing(folder)[file]}" if folder else listing(folder)[file]
        steps: list[str] = []
        for step in name.replace("\\", "/").split("/"):
            if step not in ("", ".", ".."):
                there = listing("/".join(steps))
                if composed(step) not in there:
                    return ""
                step = there[composed(step)]
            if step not in ("", "."):
                steps.append(step)
        return "/".join(steps)

    return [place_of(name) for name in names]
