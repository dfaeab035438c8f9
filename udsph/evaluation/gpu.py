"""Counting on a GPU: pieces of the database are brought there and counted for every query; the same numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
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
_TABLE_BYTES = 128 << 20  # counts of the queries that are counted together


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
    levels = max(2, grade_levels(checked)) if shared else 2
    step = max(1, _TABLE_BYTES // (8 * checked.bins * levels))
    done, tables = 0, []
    for batch in checked.batches(step):

        def report(items: int, before: int = done, n_queries: int = batch.n_queries) -> None:
            checked.report(before + items * n_queries)

        tables.append(_table(batch, levels, report))
        done += batch.n_queries * batch.n_items
    found = tables[0] if len(tables) == 1 else np.concatenate(tables)
    return Counts(found.sum(axis=2), found[:, :, 1:].sum(axis=2), found if shared else None)


def _table(batch: Problem, levels: int, report: Callable[[int], None]) -> NDArray[np.int64]:
    """Items of a batch of queries by distance and grade; ``report`` is told how many are counted."""
    assert batch.device is not None
    host, lib, shape = OnHost(batch.device), library(), (batch.n_queries, batch.bins, levels)
    table = host.upload(np.zeros(shape, np.int64), "counting")
    queries = host.upload(batch.query, "counting")
    labels, begin = (host.upload(part, "counting") for part in query_labels(batch))
    for items in _pieces(batch):
        codes = host.upload(batch.database[items], "counting")
        slices, classes = _labels_of(batch.relevance, items)
        held = [None if part is None else host.upload(part, "counting") for part in (slices, classes)]
        counting = Counting(
            queries=queries.pointer,
            codes=codes.pointer,
            n_queries=batch.n_queries,
            n=items.stop - items.start,
            bytes=batch.query.shape[1],
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
        report(items.stop)
    return host.download(table, shape, np.int64)


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
