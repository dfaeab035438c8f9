"""Checks on arrays that a user gave: converted where the meaning is clear, refused by name and row where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np

from udsph.data.mapped import Float32Rows
from udsph.data.supervision import UNKNOWN
from udsph.errors import InputError

_BYTES_AT_ONCE = 1 << 26
MOST_CLASSES = 4096  # a class number beyond this is an identifier


def as_float32(values: Any, what: str, first: int = 0) -> Any:
    """Numbers as float32, all of them finite; dense or CSR. An error names ``what`` and counts rows from ``first``.

    A memory map stays one; rows of another type are converted when they are read.
    """
    if values.dtype.kind not in "fiub":
        raise InputError(f"{what} holds {values.dtype}, not real numbers")
    with np.errstate(over="ignore"):
        if isinstance(values, np.memmap):
            converted = values if values.dtype == np.float32 else Float32Rows(values)
        else:
            converted = values.astype(np.float32)
    row = _first_infinite_row(converted)
    if row is not None:
        raise InputError(
            f"{what} has NaN or infinite values in row {first + row} (rows count from 0); remove or replace them"
        )
    return converted


def _first_infinite_row(values: Any) -> int | None:
    """The first row that holds a NaN or an infinity, of a dense or CSR array."""
    if hasattr(values, "indptr"):
        stored = np.flatnonzero(~np.isfinite(values.data))
        return int(np.searchsorted(values.indptr, stored[0], side="right")) - 1 if len(stored) else None
    rows = max(1, _BYTES_AT_ONCE // max(1, 4 * int(np.prod(values.shape[1:]))))
    for start in range(0, len(values), rows):
        block = values[start : start + rows]
        bad = np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(axis=1))
        if len(bad):
            return start + int(bad[0])
    return None


def as_integers(values: Any, what: str) -> np.ndarray:
    """Whole numbers as int64 ``(n,)``, from any shape; MATLAB stores them as doubles in one row or column."""
    if not isinstance(values, np.ndarray):
        values = values.toarray()
    if values.dtype.kind not in "fiub":
        raise InputError(f"{what} holds {values.dtype}, not whole numbers")
    flat = values.reshape(-1)
    # Beyond 2**53 a double no longer tells neighbouring numbers apart; NaN fails the comparison.
    odd = np.flatnonzero(~(np.abs(flat.astype(np.float64)) < 2.0**53) | (flat != np.rint(flat)))
    if len(odd):
        row = odd[0] // values.shape[1] if values.ndim == 2 and min(values.shape) > 1 else odd[0]
        raise InputError(f"{what} holds {flat[odd[0]]} in row {row}, which is no whole number")
    return flat.astype(np.int64)


def as_class_labels(values: np.ndarray, what: str) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Class numbers ``(n,)`` or multi-hot ``(n, classes)`` as uint8 multi-hot, the names of the classes, and which
    items' labels are known.

    Class numbers count from 1 if none of them is 0. The names are the numbers. Where nothing is known there is -1: as
    the class number, or all over the row, which is then 0 in what is returned.
    """
    if values.ndim not in (1, 2):
        raise InputError(f"{what} has {values.ndim} dimensions; expected class numbers (n,) or multi-hot (n, classes)")
    small = values.ndim == 2 and values.dtype.kind in "biu"  # half a million rows need no int64 copy
    numbers: np.ndarray = values if small else as_integers(values, what).reshape(values.shape)
    signed = numbers.dtype.kind == "i"
    unknown = numbers == UNKNOWN if signed else np.zeros(numbers.shape, bool)
    known = ~np.asarray(unknown.all(axis=1) if numbers.ndim == 2 else unknown)
    if numbers.size and not known.any():
        raise InputError(f"{what} is -1 throughout, so no label is known; labels=none is for pairs without labels")
    if numbers.ndim == 2:
        numbers = numbers if known.all() else np.where(known[:, None], numbers, 0)
        odd = np.argwhere((numbers != 0) & (numbers != 1))
        if len(odd):
            row, column = odd[0]
            raise InputError(
                f"{what} holds {numbers[row, column]} in row {row}; multi-hot labels are 0 or 1, "
                f"or -1 all over the row of an item without labels"
            )
        return numbers.astype(np.uint8), tuple(str(column) for column in range(numbers.shape[1])), known
    numbers, rows = numbers[known], np.flatnonzero(known)
    if numbers.min() < 0:
        raise InputError(
            f"{what} holds the class number {numbers.min()} in row {rows[numbers.argmin()]}; class numbers start at 0 "
            f"or 1, and an item without labels has -1"
        )
    if numbers.max() > MOST_CLASSES:
        raise InputError(
            f"{what} holds the class number {numbers.max()} in row {rows[numbers.argmax()]}, more than {MOST_CLASSES}; "
            f"number the classes through: numpy.unique(labels, return_inverse=True)[1]"
        )
    start = 0 if numbers.min() == 0 else 1
    names = tuple(str(number) for number in range(start, int(numbers.max()) + 1))
    multi_hot = np.zeros((len(known), len(names)), dtype=np.uint8)
    multi_hot[rows, numbers - start] = 1
    return multi_hot, names, known
