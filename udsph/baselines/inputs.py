"""What a method is given: arrays checked with one clear error each, and the linear preparation that all methods
share.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from udsph.checks import check_int
from udsph.errors import InputError

MAXIMUM_DIMS = 1024


class Range(NamedTuple):
    """The values that a numeric setting may have.

    ``whole`` asks for an integer; ``above`` leaves out ``least`` itself.
    """

    least: float
    most: float = np.inf
    whole: bool = False
    above: bool = False

    def check(self, value: Any, name: str) -> None:
        """Raise ``InputError`` or ``TypeError``, which names the setting, if it is not one of them."""
        if self.whole:
            check_int(value, name, int(self.least), None if self.most == np.inf else int(self.most))
            return
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise TypeError(f"{name} must be a number, got {type(value).__name__} ({value!r:.40})")
        if not (self.least < value if self.above else self.least <= value) or value > self.most or value == np.inf:
            wanted = f"{'above' if self.above else 'of at least'} {self.least:g}"
            wanted += "" if self.most == np.inf else f" and at most {self.most:g}"
            raise InputError(f"{name}={value}: expected a number {wanted}")


AT_LEAST_1, NOT_NEGATIVE, POSITIVE = Range(1, whole=True), Range(0), Range(0, above=True)


def check_unmasked(values: Any, name: str) -> None:
    """Refuse masked entries, which an array of the same values would no longer show."""
    if np.ma.is_masked(values):
        raise InputError(f"{name}: has masked entries; fill them or leave those rows out")


def check_view(values: Any, name: str, *, empty: bool = False) -> Any:
    """A view as a float64 array ``(n, dims)`` or a float64 CSR array of that shape.

    Raises
    ------
    InputError
        If it is not a matrix of finite real numbers, or has no columns or (unless ``empty``) no rows.
    """
    if values is None:
        raise InputError(f"{name}: None given; a method needs both views of its training pairs")
    check_unmasked(values, name)
    try:
        matrix = values if sparse.issparse(values) else np.asarray(values)
    except ValueError:
        raise InputError(f"{name}: expected a matrix (n, dims), but the rows are of different lengths") from None
    if matrix.dtype.kind not in "buif":
        raise InputError(f"{name}: expected an array of real numbers, got {matrix.dtype} from {type(values).__name__}")
    if sparse.issparse(matrix):
        matrix = sparse.csr_array(matrix, dtype=np.float64)
        finite = bool(np.isfinite(matrix.data).all())
    else:
        matrix = matrix.astype(np.float64, copy=False)
        finite = bool(np.isfinite(matrix).all())
    if matrix.ndim != 2 or matrix.shape[1] == 0 or (matrix.shape[0] == 0 and not empty):
        raise InputError(
            f"{name}: expected a matrix (n, dims) with at least one row and column, got shape {matrix.shape}"
        )
    if not finite:
        raise InputError(f"{name}: holds NaN or infinite values; remove or fill those rows")
    return matrix


UNKNOWN = -1  # in place of a class number, or all over a row: nothing is known of the labels of that pair


def labelled_rows(labels: Any) -> np.ndarray | None:
    """Which rows of labels are known, ascending: all but those that hold -1; None where there are no labels at all.

    None, labels without columns ``(n, 0)`` and labels of which none is known are no labels.
    """
    if labels is None:
        return None
    check_unmasked(labels, "labels")
    values = np.asarray(labels)
    if values.dtype.kind not in "buif" or values.ndim not in (1, 2):
        return np.arange(len(values)) if values.ndim else None  # check_labels says what is wrong with them
    rows = values[:, None] if values.ndim == 1 else values
    found = np.flatnonzero(~(rows == UNKNOWN).all(axis=1)) if rows.shape[1] else np.zeros(0, np.int64)
    return found if len(found) else None


def given_labels(labels: np.ndarray, usable: np.ndarray) -> np.ndarray | None:
    """Labels as ``fit`` takes them: rows of -1 where training may not use them, None where it may use none."""
    if not usable.any() or not labels.shape[1]:
        return None
    return labels if usable.all() else np.where(usable[:, None], labels.astype(np.int8), np.int8(UNKNOWN))


def check_labels(labels: Any, rows: int) -> np.ndarray:
    """Labels as float64 multi-hot ``(n, classes)``; class numbers ``(n,)`` or ``(n, 1)`` are converted."""
    check_unmasked(labels, "labels")
    values = np.asarray(labels)
    if values.ndim == 2 and values.shape[1] == 1:  # class numbers in a column, as MATLAB keeps them
        values = values[:, 0]
    if values.ndim not in (1, 2) or len(values) != rows:
        raise InputError(f"labels: expected ({rows}, classes) multi-hot or ({rows},) class numbers, got {values.shape}")
    if values.dtype.kind not in "buif" or not np.isfinite(values).all():
        raise InputError("labels: expected finite numbers")
    if (values == values[0]).all():
        raise InputError("labels: the same for every pair; nothing tells them apart")
    if values.ndim == 1:
        return (values[:, None] == np.unique(values)[None]).astype(np.float64)
    if not np.isin(values, (0, 1)).all():
        raise InputError("labels: a multi-hot matrix holds only 0 and 1")
    return values.astype(np.float64)


class View:
    """The preparation of one view: subtract the training mean, divide by one number, reduce very wide data.

    The scale makes the mean squared norm of a training row 1, so that regularisation means the same on any data;
    columns keep their relative size. Views wider than ``MAXIMUM_DIMS`` are projected to that many principal
    directions, found by a randomised range finder that never makes a sparse matrix dense.
    """

    def __init__(self, values: Any, name: str, rng: np.random.Generator) -> None:
        self.name = name
        self.dims = values.shape[1]
        self.mean = np.asarray(values.mean(axis=0)).ravel()
        squares = values.multiply(values).sum() if sparse.issparse(values) else np.square(values).sum()
        variance = squares / len_rows(values) - self.mean @ self.mean
        if variance <= 1e-12 * squares / len_rows(values):
            raise InputError(f"{name}: every row is the same; nothing can be learnt from constant features")
        self.scale = float(np.sqrt(variance))
        self.basis = principal_directions(values, self.mean, MAXIMUM_DIMS, rng) if self.dims > MAXIMUM_DIMS else None

    def __call__(self, values: Any) -> np.ndarray:
        """Rows of this view, prepared: float64 ``(n, min(dims, MAXIMUM_DIMS))``."""
        values = check_view(values, self.name, empty=True)
        if values.shape[1] != self.dims:
            raise InputError(f"{self.name}: {values.shape[1]} columns, but the method was fitted on {self.dims}")
        if self.basis is None:
            dense = values.toarray() if sparse.issparse(values) else values
            return (dense - self.mean) / self.scale
        return (values @ self.basis - self.mean @ self.basis) / self.scale


def len_rows(values: Any) -> int:
    """Number of rows of a dense or sparse matrix."""
    return int(values.shape[0])


def principal_directions(
    values: Any, mean: np.ndarray, count: int, rng: np.random.Generator, passes: int = 4
) -> np.ndarray:
    """The ``count`` leading principal directions ``(dims, count)`` by subspace iteration on the centred matrix.

    N. Halko, P. G. Martinsson, J. A. Tropp, "Finding structure with randomness", SIAM Review 2011, algorithm 4.4.
    """
    count = min(count, *values.shape)
    basis = np.linalg.qr(rng.standard_normal((values.shape[1], count)))[0]
    for _ in range(passes):
        left = np.linalg.qr(values @ basis - mean @ basis)[0]
        basis = np.linalg.qr(values.T @ left - np.outer(mean, left.sum(0)))[0]
    return basis
