"""Results in files whose suffix says the format."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph import files
from udsph.errors import InputError


def check_output(path: Path | None, suffixes: Sequence[str], flag: str = "--output") -> None:
    """Refuse, before any work is done, a path that cannot be written or whose suffix names no known format."""
    if path is None or path.is_char_device():
        return
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{flag} {path}: expected a file that ends with {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise InputError(f"{flag} {path}: the folder {path.parent} does not exist")


def write_neighbours(path: Path, distances: np.ndarray, ids: np.ndarray) -> None:
    """Distances and ids as arrays (``.npz``), as lists (``.json``), or as rows query, rank, id, distance (``.csv``)."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        files.write_json(path, {"distances": distances.tolist(), "ids": ids.tolist()})
    elif suffix == ".csv":
        found = np.argwhere(distances != np.iinfo(np.int32).max)
        rows = ((q, r + 1, ids[q, r], distances[q, r]) for q, r in found)
        write_rows(path, ("query", "rank", "id", "distance"), rows)
    else:
        if ids.dtype == object:  # strings, which come back without pickle as text of one width; "" where there is none
            ids = np.array([id or "" for id in ids.reshape(-1)], np.str_).reshape(ids.shape)
        with files.replacing(path) as stream:
            np.savez(stream, distances=distances, ids=ids)


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file."""
    with files.replacing(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
