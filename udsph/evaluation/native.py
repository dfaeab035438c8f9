"""Counting with the native kernels: pieces of the database are sliced once and counted for every query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.evaluation.counts import Counts
from udsph.evaluation.problem import Problem
from udsph.evaluation.relevance import ClassNumbers, MultiHotLabels
from udsph.hamming import backend, simd_level
from udsph.hamming.threads import thread_count

try:
    from udsph.evaluation import _native  # type: ignore[attr-defined]
except ImportError:
    _native = None

# Sliced codes and labels of a piece; more than this of scratch for one query is counted in NumPy instead.
_PIECE_BYTES = 4 << 20
_QUERY_BYTES = 4 << 20


def serves(checked: Problem, levels: int = 0) -> bool:
    """Whether the native kernels count this: they are built, chosen, and the relevance is by labels."""
    if _native is None or backend.name() != "native":
        return False
    if not isinstance(checked.relevance, (MultiHotLabels, ClassNumbers)):
        return False
    return 32 * (8 * checked.query.shape[1] + 8) * max(levels, 2) <= _QUERY_BYTES


def grade_levels(checked: Problem) -> int:
    """One more than the most labels that a query can share with an item."""
    labels = checked.relevance
    if isinstance(labels, MultiHotLabels):
        return int(labels.query.sum(axis=1, dtype=np.int64).max(initial=0)) + 1
    return 2


def count(checked: Problem, shared: bool) -> Counts:
    """Joint counts of a problem that ``serves`` accepts."""
    bins = 8 * checked.query.shape[1] + 1
    level, threads, labels = simd_level(), thread_count(checked.threads), query_labels(checked)
    if shared:
        table = np.zeros((checked.n_queries, bins, grade_levels(checked)), np.int64)
        for piece in pieces(checked, level):
            _native.count_shared(level, piece, checked.query, *labels, threads, table)
        return Counts(table.sum(axis=2), table[:, :, 1:].sum(axis=2), table)
    items, relevant = np.zeros((2, checked.n_queries, bins), np.int64)
    for piece in pieces(checked, level):
        _native.count_relevant(level, piece, checked.query, *labels, threads, items, relevant)
    return Counts(items, relevant)


def pieces(checked: Problem, level: str) -> Iterator[Any]:
    """Sliced pieces of the database, in order."""
    labels = checked.relevance
    assert isinstance(labels, (MultiHotLabels, ClassNumbers))
    class_bits = int(labels.query.max(initial=0) + 1).bit_length() if labels.classes == 0 else 0
    row = checked.database.shape[1] + (labels.classes or 8)  # bytes of an item while its piece is made
    step = min(_native.ITEMS_PER_PIECE, max(512, _PIECE_BYTES // row // 512 * 512))
    for begin in range(0, checked.n_items, step):
        items = slice(begin, min(begin + step, checked.n_items))
        codes = checked.database[items]
        if isinstance(labels, MultiHotLabels):
            yield _native.Piece.of_labels(level, codes, labels.items(items))
        else:
            yield _native.Piece.of_classes(level, codes, labels.items(items), class_bits)
        checked.report(items.stop * checked.n_queries, checked.n_items * checked.n_queries)


def query_labels(checked: Problem) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """Labels of all queries one after the other, and where those of each query begin."""
    labels = checked.relevance
    if isinstance(labels, MultiHotLabels):
        query, label = np.nonzero(labels.query)
        begin = np.concatenate(([0], np.cumsum(np.bincount(query, minlength=checked.n_queries))))
        return label.astype(np.uint32), begin.astype(np.uint64)
    assert isinstance(labels, ClassNumbers)
    return labels.query.astype(np.uint32), np.arange(checked.n_queries + 1, dtype=np.uint64)
