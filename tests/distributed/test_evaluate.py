"""An evaluation in pieces is that of one process, to the last bit."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from udsph import evaluation
from udsph.distributed import evaluate
from udsph.distributed import evaluation as room
from udsph.hamming import backend

from . import here

OPTIONS = [
    {},
    {"ties": "insertion"},
    {"ties": "insertion", "denominator": "first", "metrics": ["map", "mrr"]},
    {"ties": "optimistic", "metrics": ["map", "precision", "success"], "cutoffs": (1, 7)},
    {"convention": "dcmh", "empty": "skip"},
]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch, request):
    """Tasks in this process, and pieces of 512 items; those of a walk in NumPy are then as large."""
    if "cluster" in request.keywords:
        return
    here.use(monkeypatch)
    monkeypatch.setattr(room, "_STEP", 512)


def case(kind: str, n: int = 3000) -> tuple:
    rng = np.random.default_rng(5)
    codes = [np.packbits(rng.random((m, 24)) < 0.4, axis=1, bitorder="little") for m in (7, n)]
    if kind == "classes":
        return *codes, rng.integers(0, 5, 7), rng.integers(0, 7, n)
    return *codes, rng.random((7, 6)) < 0.3, (rng.random((n, 6)) < 0.2).astype(np.int8)


def equal(ours, theirs) -> None:
    assert ours.values.keys() == theirs.values.keys()
    for key, value in theirs.per_query.items():
        np.testing.assert_array_equal(ours.per_query[key], value, err_msg=key)
    for name in ("ranks", "precision_by_rank", "recall_by_rank"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_array_equal(ours.counts.items, theirs.counts.items)
    assert (ours.n_items, repr(ours)) == (theirs.n_items, repr(theirs))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", ["labels", "classes"])
def test_pieces_leave_no_trace(kind, options):
    given = case(kind)
    truth = evaluation.evaluate(*given, **options)
    for chunks in (1, 2, 5, 16):
        equal(evaluate(*given, **options, chunks=chunks), truth)


@pytest.mark.parametrize("ties", ["expected", "insertion"])
def test_relevance_of_the_users_own_is_read_in_pieces(ties, monkeypatch):
    monkeypatch.setattr(room, "_STEP", 1 << 16)  # where a walk in one process has its pieces too
    query, database, _, _ = case("labels", 150_000)
    grades = np.random.default_rng(1).integers(0, 4, (7, 150_000)) / 2 * (np.arange(150_000) % 3 == 0)
    truth = evaluation.evaluate(query, database, relevance=grades, ties=ties)
    equal(evaluate(query, database, relevance=grades, ties=ties, chunks=3), truth)


@pytest.mark.parametrize("ties", ["expected", "insertion"])
def test_without_native_code_it_is_the_same(ties, monkeypatch):
    given = case("labels", 140_000)
    monkeypatch.setattr(room, "_STEP", 1 << 16)
    backend.use("numpy")
    try:
        truth = evaluation.evaluate(*given, ties=ties, metrics=["map", "precision"])
        equal(evaluate(*given, ties=ties, metrics=["map", "precision"], chunks=3), truth)
    finally:
        backend.use(None)


def test_memory_maps_are_mapped_again_and_views_of_them_are_sent(tmp_path):
    query, database, few, labels = case("labels")
    np.save(tmp_path / "codes.npy", database)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    assert isinstance(room._sendable(mapped, slice(0, 5)), room._Mapped)
    np.testing.assert_array_equal(here.copied(room._sendable(mapped, slice(9, 50))).rows(), database[9:50])
    np.testing.assert_array_equal(room._sendable(mapped[100:], slice(0, 5)), database[100:105])
    truth = evaluation.evaluate(query, database, few, labels)
    equal(evaluate(query, mapped, few, labels, chunks=3), truth)
    equal(
        evaluate(query, mapped[:2000], few, labels[:2000]),
        evaluation.evaluate(query, database[:2000], few, labels[:2000]),
    )


def test_a_label_that_is_none_is_named_by_its_row_of_the_whole():
    query, database, few, labels = case("labels")
    labels[2100, 3] = 2
    for function in (evaluation.evaluate, evaluate):
        with pytest.raises(ValueError, match="database_labels must be 0 or 1, found 2 at row 2100, column 3"):
            function(query, database, few, labels)


def test_progress_counts_all_pairs():
    told = []
    evaluate(*case("labels"), ties="insertion", metrics=["map"], progress=lambda *pair: told.append(pair), chunks=3)
    assert told[-1] == (2 * 7 * 3000, 2 * 7 * 3000) and told == sorted(told) and len(told) == 6


def test_the_arguments_are_those_of_one_process():
    ours, theirs = (inspect.signature(function).parameters for function in (evaluate, evaluation.evaluate))
    wanted = {name: p.default for name, p in theirs.items() if name != "device"}  # tasks count on processors
    assert {name: p.default for name, p in ours.items() if name in theirs} == wanted
    assert set(ours) - set(theirs) == {"chunks", "address"}


@pytest.mark.cluster
def test_tasks_of_a_cluster_count_the_same(cluster, tmp_path):
    given = case("labels", 200_000)
    for options in ({"metrics": ["map", "recall"]}, {"ties": "insertion", "metrics": ["map", "ndcg"]}):
        equal(evaluate(*given, **options, chunks=3), evaluation.evaluate(*given, **options))
    labels = given[3].copy()
    labels[150_000, 3] = 2
    with pytest.raises(ValueError, match="database_labels must be 0 or 1, found 2 at row 150000, column 3"):
        evaluate(*given[:3], labels, chunks=3)
