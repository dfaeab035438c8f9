"""Runs and judgements (qrels), as trec_eval's users hold them, brought to one form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation.relevance import as_grades
from udsph.hamming.codes import as_array
from udsph.hamming.results import NO_ID


class Results:
    """Documents of one query in rank order, best first, and the scores that they have, if any.

    Documents with the same score stand by their names from the greatest down, as in trec_eval, or as they were given.
    """

    def __init__(self, given: Any, name: str, by_name: bool) -> None:
        if isinstance(given, Mapping):
            self.scores: NDArray[Any] | None = _scores(list(given.values()), name)
            documents = list(given)
            if by_name:
                # trec_eval holds scores in 32 bits: what is equal there is tied
                with np.errstate(over="ignore"):
                    self.scores = self.scores.astype(np.float32)
                order = sorted(range(len(documents)), key=lambda i: str(documents[i]), reverse=True)
                documents, self.scores = [documents[i] for i in order], self.scores[order]
            order = np.argsort(-self.scores.astype(np.float64), kind="stable").tolist()
            self.documents: list[Any] = [documents[i] for i in order]
            self.scores = self.scores[order]
            return
        self.scores = None
        self.documents = _ids(given, name)
        if len(set(self.documents)) < len(self.documents):
            twice = next(document for document in self.documents if self.documents.count(document) > 1)
            raise InputError(f"{name} holds {twice!r} twice; a document has one rank")


def judged(given: Any, name: str) -> dict[Any, Any]:
    """Grades above 0 by document; a collection of documents has all of them relevant, and below 0 is not relevant."""
    if isinstance(given, Mapping):
        grades = as_grades(np.maximum(_numbers(list(given.values()), name), 0), name)
        return {document: float(grade) for document, grade in zip(given, grades, strict=True) if grade > 0}
    if isinstance(given, (set, frozenset)):
        return dict.fromkeys(given, 1.0)
    return dict.fromkeys(_ids(given, name), 1.0)


def by_query(given: Any, name: str) -> dict[Any, Any]:
    """Queries by name; those of a list or of an array (queries, k) are called 0, 1, 2, ..."""
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, str) or not (isinstance(given, Sequence) or hasattr(given, "shape")):
        raise TypeError(f"{name} must be a mapping by query, a list or an array, got {type(given).__name__}")
    return dict(enumerate(given if isinstance(given, Sequence) else as_array(given, name)))


def _ids(given: Any, name: str) -> list[Any]:
    if isinstance(given, str) or not (isinstance(given, Collection) or hasattr(given, "shape")):
        raise TypeError(f"{name} must be a mapping, a list of documents or an array of ids, got {type(given).__name__}")
    if isinstance(given, (list, tuple)):
        return [document for document in given if document != NO_ID]
    ids = as_array(given, name)
    if ids.ndim != 1 or ids.dtype.kind not in "iuUSO":
        raise InputError(f"{name} must be a list of ids, got {ids.dtype} of shape {ids.shape}")
    return ids[ids != NO_ID].tolist() if ids.dtype.kind == "i" else ids.tolist()


def _scores(values: list[Any], name: str) -> NDArray[np.float64]:
    scores = _numbers(values, name)
    if np.isnan(scores).any():
        raise InputError(f"{name} has a score that is NaN")
    return scores


def _numbers(values: list[Any], name: str) -> NDArray[np.float64]:
    array = np.array(values)
    try:
        if array.ndim != 1 or array.dtype.kind not in "biufO":
            raise TypeError(f"got {array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must hold a number for each document: {error}") from None
