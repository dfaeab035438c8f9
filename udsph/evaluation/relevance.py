"""Which database items are relevant for which query, asked for in pieces.

A *grade* is a number from 0: with labels it is the number of labels that the query and the item share (0 or 1 for class
numbers), and a user's own may be a fraction; an item is relevant if its grade is above 0.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming.codes import as_array

MAX_CLASSES = 4096
OTHER_CLASS = -1  # a database class that no query has

GradeFunction = Callable[[slice, slice], Any]
L = TypeVar("L", "MultiHotLabels", "ClassNumbers")


class Relevance(ABC):
    """Grades of ``n_queries`` x ``n_items`` pairs."""

    def __init__(self, n_queries: int, n_items: int) -> None:
        self.n_queries, self.n_items = n_queries, n_items

    @abstractmethod
    def grades(self, queries: slice, items: slice) -> NDArray[Any]:
        """Grades of a piece, (queries, items): int16, or as ``as_grades`` leaves them."""

    @abstractmethod
    def of_queries(self, queries: slice) -> Any:
        """The same for some of the queries."""

    @abstractmethod
    def parted(self) -> tuple[Any, Any]:
        """What is known of the queries, and what of the items by row (None: nothing)."""

    @abstractmethod
    def of_items(self, first: int, n_items: int, rows: Any) -> Any:
        """The first of ``parted`` with the rows of some items, which begin with item ``first``."""


class MultiHotLabels(Relevance):
    """(n, classes) matrices of 0 and 1; the grade is the number of shared labels."""

    def __init__(self, query_labels: NDArray[Any], database_labels: NDArray[Any]) -> None:
        super().__init__(len(query_labels), len(database_labels))
        if query_labels.shape[1] != database_labels.shape[1]:
            raise InputError(
                f"query_labels has {query_labels.shape[1]} classes, database_labels has {database_labels.shape[1]}; "
                "give both the same columns"
            )
        self.classes = query_labels.shape[1]
        if not 1 <= self.classes <= MAX_CLASSES:
            raise InputError(f"labels must have from 1 to {MAX_CLASSES} classes, got {self.classes}")
        self.query = as_zero_one(query_labels, "query_labels", 0)
        self.most = int(self.query.sum(axis=1, dtype=np.int64).max(initial=0))  # labels of a query
        self._database = database_labels
        self._first = 0  # item of the database that is item 0 here

    def items(self, items: slice) -> NDArray[np.uint8]:
        """Labels of a piece of the database, (items, classes) of 0 and 1."""
        return as_zero_one(self._database[items], "database_labels", self._first + items.start)

    def of_queries(self, queries: slice) -> MultiHotLabels:
        return _with_queries(self, self.query[queries])

    def parted(self) -> tuple[MultiHotLabels, Any]:
        return _with_items(self, 0, 0, None), self._database

    def of_items(self, first: int, n_items: int, rows: Any) -> MultiHotLabels:
        return _with_items(self, first, n_items, rows)

    def grades(self, queries: slice, items: slice) -> NDArray[Any]:
        # float32 counts whole numbers exactly up to 2**24 and uses the BLAS
        shared = self.query[queries].astype(np.float32) @ self.items(items).astype(np.float32).T
        return shared.astype(np.int16)


class ClassNumbers(Relevance):
    """(n,) class numbers; the grade is 1 for the same class. Classes are numbered anew, by those of the queries."""

    classes = 0

    def __init__(self, query_labels: NDArray[Any], database_labels: NDArray[Any]) -> None:
        super().__init__(len(query_labels), len(database_labels))
        self._known, query = np.unique(_class_numbers(query_labels, "query_labels", 0), return_inverse=True)
        self.query = query.astype(np.int32)
        self._database = database_labels
        self._first = 0  # item of the database that is item 0 here

    def items(self, items: slice) -> NDArray[np.int32]:
        """Class of each item of a piece as its place among the query classes, or OTHER_CLASS."""
        classes = _class_numbers(self._database[items], "database_labels", self._first + items.start)
        if not len(self._known):
            return np.full(len(classes), OTHER_CLASS, np.int32)
        place = np.minimum(np.searchsorted(self._known, classes), len(self._known) - 1)
        return np.where(self._known[place] == classes, place, OTHER_CLASS).astype(np.int32)

    def of_queries(self, queries: slice) -> ClassNumbers:
        return _with_queries(self, self.query[queries])

    def parted(self) -> tuple[ClassNumbers, Any]:
        return _with_items(self, 0, 0, None), self._database

    def of_items(self, first: int, n_items: int, rows: Any) -> ClassNumbers:
        return _with_items(self, first, n_items, rows)

    def grades(self, queries: slice, items: slice) -> NDArray[Any]:
        return (self.query[queries, None] == self.items(items)[None, :]).astype(np.int16)


class CustomRelevance(Relevance):
    """Grades from the user: a function of two slices, or a (queries, items) matrix, dense or sparse."""

    def __init__(self, source: Any, n_queries: int, n_items: int) -> None:
        super().__init__(n_queries, n_items)
        self._source = source
        self._first = 0  # query of the source that is query 0 here
        self._first_item = 0  # and item
        self._function: GradeFunction | None = source if callable(source) and not hasattr(source, "shape") else None
        self._sparse = hasattr(source, "tocsr")
        if self._function is not None:
            return
        self._source = source.tocsr() if self._sparse else as_array(source, "relevance")
        if self._source.shape != (n_queries, n_items):
            raise InputError(
                f"relevance must have shape (queries, items) = {(n_queries, n_items)}, got {self._source.shape}"
            )

    def of_queries(self, queries: slice) -> CustomRelevance:
        part = copy.copy(self)
        part._first, part.n_queries = self._first + queries.start, queries.stop - queries.start
        return part

    def parted(self) -> tuple[CustomRelevance, Any]:
        return self, None

    def of_items(self, first: int, n_items: int, rows: Any) -> CustomRelevance:
        part = copy.copy(self)
        part._first_item, part.n_items = self._first_item + first, n_items
        return part

    def grades(self, queries: slice, items: slice) -> NDArray[Any]:
        rows = slice(self._first + queries.start, self._first + queries.stop)
        items = slice(self._first_item + items.start, self._first_item + items.stop)
        if self._function is not None:
            piece = as_array(self._function(rows, items), "relevance(queries, items)")
        elif self._sparse:
            piece = self._source[rows, items].toarray()
        else:
            piece = self._source[rows, items]
        wanted = (rows.stop - rows.start, items.stop - items.start)
        if piece.shape != wanted:
            raise InputError(f"relevance returned shape {piece.shape} for a piece of shape {wanted}")
        return as_grades(piece, "relevance")


def as_grades(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Grades as whole numbers of a small dtype, int64 or float64; an error for what is no number from 0."""
    grades = values
    if grades.dtype.kind == "b":
        return grades.view(np.uint8)
    if (
        grades.dtype.kind in "Ouf"
    ):  # NumPy holds integers beyond 2**64 as objects, and int64 does not hold all of uint64
        small = grades.dtype.kind == "u" and grades.dtype.itemsize < 8
        try:
            grades = grades if small else grades.astype(np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{name} must be numbers from 0: {error}") from None
    elif grades.dtype.kind != "i":
        raise InputError(f"{name} must be booleans or numbers from 0, got dtype {grades.dtype}")
    if grades.dtype.kind == "f" and not np.isfinite(grades).all():
        raise InputError(f"{name} must be finite, found {grades[~np.isfinite(grades)][0]}")
    if grades.size and grades.min() < 0:
        raise InputError(f"{name} must not be negative, found {grades.min()}")
    return grades


def relevance_of(
    query_labels: Any, database_labels: Any, relevance: Any, n_queries: int, n_items: int
) -> MultiHotLabels | ClassNumbers | CustomRelevance:
    """Check what the user gave against the number of codes and choose the form."""
    if relevance is not None:
        if query_labels is not None or database_labels is not None:
            raise InputError("give labels or relevance, not both")
        return CustomRelevance(relevance, n_queries, n_items)
    if query_labels is None or database_labels is None:
        raise InputError("give query_labels and database_labels, or relevance=")
    query = _labels(query_labels, "query_labels", n_queries)
    database = _labels(database_labels, "database_labels", n_items)
    for labels, name, codes, count in (
        (query, "query_labels", "query_codes", n_queries),
        (database, "database_labels", "database_codes", n_items),
    ):
        if labels.dtype.kind not in "biu":
            raise InputError(f"{name} must have an integer or bool dtype, got {labels.dtype}")
        if labels.ndim not in (1, 2):
            raise InputError(f"{name} must have shape (n, classes) or (n,), got {labels.shape}")
        if len(labels) != count:
            raise InputError(f"{name} has {len(labels)} rows, {codes} has {count}; give one row of labels per code")
    if query.ndim != database.ndim:
        raise InputError(
            f"query_labels has shape {query.shape}, database_labels {database.shape}; "
            "give both as (n, classes) multi-hot matrices or both as (n,) class numbers"
        )
    return MultiHotLabels(query, database) if query.ndim == 2 else ClassNumbers(query, database)


def _labels(labels: Any, name: str, count: int) -> NDArray[Any]:
    """Labels as an array: of integers where they are whole floats, as MATLAB stores all numbers, and of one dimension
    where they are class numbers in a column or a row, as MATLAB and data frames hold them.
    """
    array = as_array(labels, name)
    if array.dtype.kind == "f" and (np.abs(array) < 2**53).all() and (array == np.rint(array)).all():
        array = array.astype(np.int64)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        return array
    if array.shape[1] == 1:
        return array[:, 0]
    return array[0] if array.shape == (1, count) and count > 1 else array


def _with_queries(labels: L, query: NDArray[Any]) -> L:
    part = copy.copy(labels)
    part.query, part.n_queries = query, len(query)
    return part


def _with_items(labels: L, first: int, n_items: int, rows: Any) -> L:
    part = copy.copy(labels)
    part._first, part.n_items, part._database = labels._first + first, n_items, rows
    return part


def as_zero_one(labels: NDArray[Any], name: str, first_row: int) -> NDArray[np.uint8]:
    """A piece of a label matrix as C-contiguous uint8 of 0 and 1; never the user's array changed in place."""
    if labels.dtype.kind != "b" and labels.size and (labels.max() > 1 or labels.min() < 0):
        row, column = np.argwhere((labels < 0) | (labels > 1))[0]
        raise InputError(
            f"{name} must be 0 or 1, found {labels[row, column]} at row {first_row + row}, column {column} "
            "(class numbers go into a one-dimensional array)"
        )
    return np.ascontiguousarray(labels, dtype=np.uint8)


def _class_numbers(labels: NDArray[Any], name: str, first_row: int) -> NDArray[np.int64]:
    if labels.dtype.kind == "b":
        raise InputError(f"{name} has one dimension, so it must hold class numbers, not booleans")
    if labels.size and (labels.min() < 0 or labels.max() > np.iinfo(np.int64).max):
        row = np.flatnonzero((labels < 0) | (labels > np.iinfo(np.int64).max))[0]
        raise InputError(f"{name} must be class numbers from 0, found {labels[row]} at row {first_row + row}")
    return labels.astype(np.int64)
