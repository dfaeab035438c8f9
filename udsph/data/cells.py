"""MATLAB cell arrays and strings from ``.mat`` files of version 5; nothing in them is ever unpickled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.arrays import check_whole_mat
from udsph.data.magic import has_hdf5_signature
from udsph.data.quotes import reason_of
from udsph.errors import InputError, MissingExtra


def read_mat(path: Path, keys: Sequence[str], layout: str) -> dict[str, Any]:
    """The variables ``keys`` of a ``.mat`` file of version 5, cells as arrays of objects."""
    try:
        import scipy.io
    except ImportError as error:
        raise MissingExtra("reading .mat files", "train") from error
    if has_hdf5_signature(path):
        raise InputError(
            f"{layout}: {path.name} is a .mat file of version 7.3; save it again in MATLAB with save(..., '-v7')"
        )
    try:
        check_whole_mat(path)
        found = scipy.io.loadmat(str(path), variable_names=list(keys))
    # The reader answers damage with anything: zlib.error, MemoryError where a wrong size was believed.
    except Exception as error:
        raise InputError(f"{layout}: cannot read {path.name}: {reason_of(error)}; is it a whole .mat file?") from error
    missing = [key for key in keys if key not in found]
    if missing:
        there = ", ".join(key for key in found if not key.startswith("__")) or "nothing"
        raise InputError(f"{layout}: {path.name} has no array '{missing[0]}'; it holds: {there}")
    return {key: found[key] for key in keys}


def as_strings(values: Any) -> list[list[str]]:
    """Texts of each row: a char matrix (one text a row, padded with blanks) or a cell of texts or of cells of texts."""
    cells = np.asarray(values)
    rows = cells.reshape(-1) if 1 in cells.shape or cells.ndim == 1 else list(cells)
    return [_strings(row) for row in rows]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value.strip()]
    if isinstance(value, np.ndarray):
        return [text for part in value.reshape(-1) for text in _strings(part)]
    return [str(value)]
