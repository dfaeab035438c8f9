"""Checks on arrays that a user gave: converted where the meaning is clear, refused by name and row where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np

from udsph.errors import InputError

_ROWS_AT_ONCE = 16384
_MOST_CLASSES = 65536  # a class number beyond this is an identifier, not a class


def as_float32(values: Any, what: str) -> Any:
    """Numbers as float32, all of them finite; dense or CSR. ``what`` names the array in an error."""
    if values.dtype.kind not in "fiub":
        raise InputError(f"{what} holds {values.dtype}, not real numbers")
    with np.errstate(over="ignore"):
        converted = values.astype(np.float32)
    if isinstance(converted, np.ndarray):
        blocks = range(0, len(converted), _ROWS_AT_ONCE)
        finite = [
            np.isfinite(converted[k : k + _ROWS_AT_ONCE].reshape(len(converted[k : k + _ROWS_AT_ONCE]), -1)).all(1)
            for k in blocks
        ]
        bad = np.flatnonzero(~np.concatenate(finite)) if finite else []
    else:
        stored = np.flatnonzero(~np.isfinite(converted.data))
        bad = np.searchsorted(converted.indptr, stored, side="right") - 1
    if len(bad):
        raise InputError(f"{what} has NaN or infinite values in row {bad[0]}; remove or replace them")
    return converted
