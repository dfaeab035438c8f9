"""Native counts at every instruction-set level against the NumPy counts."""

import signal
import threading

import numpy as np
import pytest

from udsph.evaluation import count, evaluate, native
from udsph.evaluation.counting import count_in_numpy
from udsph.evaluation.problem import problem
from udsph.hamming import backend, simd_level, simd_levels

from .cases import random_case

pytestmark = pytest.mark.skipif(
    native._native is None or backend.name() != "native", reason="the native kernels are not built or not chosen"
)


@pytest.fixture(params=["scalar", "avx2", "avx512", "neon"])
def level(request):
    if request.param not in simd_levels():
        pytest.skip(f"this CPU has no {request.param}")
    before = simd_level()
    backend.module().set_level(request.param)
    yield request.param
    backend.module().set_level(before)


def assert_equal(counts, truth):
    for name in ("items", "relevant"):
        np.testing.assert_array_equal(getattr(counts, name), getattr(truth, name))
    if truth.shared is not None:
        levels = truth.shared.shape[2]
        np.testing.assert_array_equal(counts.shared[:, :, :levels], truth.shared)
        assert not counts.shared[:, :, levels:].any()


# Bytes of a code on both sides of every change of kernel: one column, 8, 10 and 14 planes.
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 32, 127, 128, 1024])
@pytest.mark.parametrize("shared", [False, True])
def test_every_level_and_width(level, width, shared):
    rng = np.random.default_rng(width)
    for classes, density in ((0, 0), (5, 0.4), (40, 0.1)):
        case = random_case(rng, 4, 1100, width, classes, density)
        case.database_codes[:20] = case.query_codes[0]  # distance 0, and the greatest
        case.database_codes[20:25] = 255 - case.query_codes[0]
        checked = problem(*case)
        assert native.serves(checked, native.grade_levels(checked))
        assert_equal(count(*case, shared=shared), count_in_numpy(checked, shared))


@pytest.mark.parametrize("n_items", [1, 63, 64, 65, 511, 512, 513])
def test_every_remainder_of_a_block(level, n_items):
    case = random_case(np.random.default_rng(n_items), 3, n_items, 8, 9, 0.3)
    for shared in (False, True):
        assert_equal(count(*case, shared=shared), count_in_numpy(problem(*case), shared))


def test_all_items_at_one_distance_fill_no_counter(level):
    """More equal codes than a piece holds: every lane counts up to the most it may."""
    n = 2 * native._native.ITEMS_PER_PIECE + 7
    codes, labels = np.zeros((n, 1), np.uint8), np.ones((n, 1), np.uint8)
    for shared in (False, True):
        counts = count(codes[:1], codes, labels[:1], labels, shared=shared)
        assert counts.items[0].tolist() == counts.relevant[0].tolist() == [n, *[0] * 8]


def test_many_labels(level):
    """Every number of shared labels, up to 4096 classes."""
    rng = np.random.default_rng(1)
    for classes in (8, 255, 4096):
        query_labels = np.ones((2, classes), np.uint8)
        database_labels = (np.arange(classes) < rng.integers(0, classes + 1, (700, 1))).astype(np.uint8)
        codes = rng.integers(0, 256, (702, 1), dtype=np.uint8)
        case = (codes[:2], codes[2:], query_labels, database_labels)
        assert_equal(count(*case, shared=True), count_in_numpy(problem(*case), True))


def test_more_class_numbers_than_a_byte_holds(level):
    rng = np.random.default_rng(2)
    case = random_case(rng, 300, 900, 2, 0)
    case = case._replace(query_labels=rng.permutation(5000)[:300], database_labels=rng.integers(0, 5000, 900))
    assert_equal(count(*case), count_in_numpy(problem(*case), False))


def test_threads_change_nothing(level):
    case = random_case(np.random.default_rng(3), 300, 3000, 8, 24, 0.1)
    for shared in (False, True):
        one = count(*case, shared=shared, threads=1)
        for threads in (2, 3, 7):
            assert_equal(count(*case, shared=shared, threads=threads), one)


def test_an_interrupt_stops_the_count(level):
    # A suite that was started in the background would ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupt_a_count()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_a_count():
    case = random_case(np.random.default_rng(4), 2000, 130_000, 64, 4, 0.3)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        while True:
            count(*case, threads=2)
    timer.join()


@pytest.mark.parametrize("denominator", ["retrieved", "first"])
def test_ranks_in_insertion_order(level, denominator, monkeypatch):
    """The same hits and ranks as in NumPy, and the very same sums at every level and number of threads."""
    rng = np.random.default_rng(5)
    metrics = ["map", "precision", "r_precision", "mrr", "ndcg", "ndcg_linear"]
    for width, classes in ((1, 3), (8, 24), (40, 0), (2, 300)):
        case = random_case(rng, 20, 3000, width, classes, 0.15)
        options = {"metrics": metrics, "ties": "insertion", "cutoffs": (1, 10, 600), "denominator": denominator}
        results = [evaluate(*case, **options, threads=threads).per_query for threads in (1, 3)]
        backend.module().set_level("scalar")
        results.append(evaluate(*case, **options).per_query)
        backend.module().set_level(level)
        with monkeypatch.context() as patch:
            patch.setattr(native, "serves", lambda *arguments: False)
            truth = evaluate(*case, **options).per_query
        for key, value in truth.items():
            np.testing.assert_allclose(results[0][key], value, rtol=1e-13)
            for other in results[1:]:
                np.testing.assert_array_equal(results[0][key], other[key])


@pytest.mark.parametrize("relevant", ["none", "all", "some"])
@pytest.mark.parametrize(("width", "flips"), [(1, 0.0), (2, 0.1), (8, 0.02), (8, 0.5), (16, 0.5), (130, 0.5)])
def test_ranks_of_clustered_and_scattered_codes(level, relevant, width, flips, monkeypatch):
    """From all items at one distance to nearly all at distances of their own; stops and wanted numbers anywhere."""
    rng = np.random.default_rng(width)
    case = random_case(rng, 5, 1700, width, 6, {"none": 0.0, "all": 1.0, "some": 0.2}[relevant])
    noise = np.packbits(rng.random((1700, 8 * width)) < flips, axis=1)
    case = case._replace(database_codes=case.query_codes[:1] ^ noise)
    cutoffs = (*range(1, 30), 64, 100, 511, 512, 513, 1699, 1700, 9000)
    for denominator in ("min", "first"):
        metrics = ["map", "precision", "mrr", "r_precision", "ndcg"]
        options = {"metrics": metrics, "cutoffs": cutoffs, "ties": "insertion"}
        value = evaluate(*case, **options, denominator=denominator).per_query
        with monkeypatch.context() as patch:
            patch.setattr(native, "serves", lambda *arguments: False)
            truth = evaluate(*case, **options, denominator=denominator).per_query
        for key in truth:
            np.testing.assert_allclose(value[key], truth[key], rtol=1e-13, err_msg=key)
