"""Checks on arrays that a user gave: converted where the meaning is clear, refused by name and row where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np

from udsph.errors import InputError

_ROWS_AT_ONCE = 16384


def as_float32(values: Any, what: str) -> Any:
    """Numbers as float32, all of them finite; dense or CSR. ``what`` names the array in an error."""
    if values.dtype.kind not in "fiub":
        raise InputError(f"{what} holds {values.dtype}, not real numbers")
    with np.errstate(over="ignore"):
        converted = values.astype(np.float32)
    row = _first_infinite_row(converted)
    if row is not None:
        raise InputError(f"{what} has NaN or infinite values in row {row} (rows count from 0); remove or replace them")
    return converted


def _first_infinite_row(values: Any) -> int | None:
    """The first row that holds a NaN or an infinity, of a dense or CSR array."""
    if not isinstance(values, np.ndarray):
        stored = np.flatnonzero(~np.isfinite(values.data))
        return int(np.searchsorted(values.indptr, stored[0], side="right")) - 1 if len(stored) else None
    for start in range(0, len(values), _ROWS_AT_ONCE):
        block = values[start : start + _ROWS_AT_ONCE]
        bad = np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(axis=1))
        if len(bad):
            return start + int(bad[0])
    return None
