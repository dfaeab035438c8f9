"""Counting on a GPU: pieces of the database are brought there and counted for every query; the same numbers."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.evaluation.counts import Counts
from udsph.evaluation.native import grade_levels, query_labels
from udsph.evaluation.problem import Problem
from udsph.evaluation.relevance import ClassNumbers, CustomRelevance, MultiHotLabels
from udsph.hamming.gpu.arrays import OnHost
from udsph.hamming.gpu.library import Counting, library

_PIECE_BYTES = 64 << 20  # codes and labels of a piece


def usable(device: int, relevance: Any) -> int:
    """The GPU, if it can count for this relevance.

    Raises
    ------
    InputError
        It cannot: with the reason.
    """
    if isinstance(relevance, CustomRelevance):
        raise InputError("relevance= is asked for on the CPU: give labels, or leave device= out")
    library().serves(device)
    return device


def count(checked: Problem, shared: bool) -> Counts:
    """Joint counts of a problem whose relevance is by labels."""
    assert checked.device is not None
    levels, host, lib = max(2, grade_levels(checked)) if shared else 2, OnHost(checked.device), library()
    shape = (checked.n_queries, checked.bins, levels)
    table = host.upload(np.zeros(shape, np.int64), "counting")
    queries = host.upload(checked.query, "counting")
    labels, begin = (host.upload(part, "counting") for part in query_labels(checked))
    width = checked.query.shape[1]
    for items in _pieces(checked):
        codes = host.upload(checked.database[items], "counting")
        slices, classes = _labels_of(checked.relevance, items)
        held = [None if part is None else host.upload(part, "counting") for part in (slices, classes)]
        counting = Counting(
            queries=queries.pointer,
            codes=codes.pointer,
            n_queries=checked.n_queries,
            n=items.stop - items.start,
            bytes=width,
            labels=labels.pointer,
            label_begin=begin.pointer,
            label_slices=held[0] and held[0].pointer,
            classes=held[1] and held[1].pointer,
            levels=levels,
            table=table.pointer,
        )
        with lib.on(host.device):
            lib.launch("count", ctypes.byref(counting), host.stream)
            lib.check(lib.functions.udsph_cuda_wait(host.stream))
        checked.report(items.stop * checked.n_queries)
    found = host.download(table, shape, np.int64)
    return Counts(found.sum(axis=2), found[:, :, 1:].sum(axis=2), found if shared else None)


def _pieces(checked: Problem) -> list[slice]:
    """Pieces of the database, in order."""
    row = checked.database.shape[1] + max(8, checked.relevance.classes // 8)  # type: ignore[union-attr]
    step = _PIECE_BYTES // row // 32 * 32
    return [slice(first, min(first + step, checked.n_items)) for first in range(0, checked.n_items, step)]


def _labels_of(labels: Any, items: slice) -> tuple[NDArray[np.uint32] | None, NDArray[np.int32] | None]:
    """Labels of a piece in slices, (classes, ceil(items / 32)) words; or class numbers."""
    if isinstance(labels, ClassNumbers):
        return None, labels.items(items)
    assert isinstance(labels, MultiHotLabels)
    bits = np.packbits(labels.items(items), axis=0, bitorder="little").T
    words = np.zeros((bits.shape[0], -(-bits.shape[1] // 4) * 4), np.uint8)
    words[:, : bits.shape[1]] = bits
    return words.view(np.uint32), None
