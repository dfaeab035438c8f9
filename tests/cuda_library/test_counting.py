"""Joint counts on a GPU are those of the CPU, and so is every metric."""

import numpy as np
import pytest

from udsph.errors import InputError
from udsph.evaluation import count, evaluate, mean_average_precision
from udsph.evaluation import gpu as counting

from .emulated import can_compile, emulate
from .test_search import codes_of

pytestmark = pytest.mark.skipif(not can_compile, reason="needs a C++ compiler")


@pytest.fixture
def gpu(monkeypatch):
    lib = emulate(monkeypatch)
    monkeypatch.setattr(counting, "library", lambda: lib)
    return lib


def labels_of(n, classes, seed=0):
    return (np.random.default_rng(seed).random((n, classes)) < 0.3).astype(np.uint8)


def same_counts(found, expected):
    for name in ("items", "relevant", "shared"):
        a, b = getattr(found, name), getattr(expected, name)
        assert (a is None) == (b is None)
        assert a is None or (a.dtype == b.dtype and np.array_equal(a, b)), name


@pytest.mark.parametrize("bits", [8, 64, 104, 256, 1024, 1032])
@pytest.mark.parametrize("shared", [False, True])
def test_counts_of_labels(gpu, bits, shared):
    given = codes_of(5, bits, 1), codes_of(700, bits), labels_of(5, 24, 1), labels_of(700, 24)
    same_counts(count(*given, shared=shared, device="cuda"), count(*given, shared=shared))


@pytest.mark.parametrize("n", [0, 1, 31, 33, 256, 257])
def test_counts_of_any_number_of_items_and_of_class_numbers(gpu, n):
    rng = np.random.default_rng(0)
    given = codes_of(3, 32, 1), codes_of(n, 32), rng.integers(0, 5, 3), rng.integers(0, 9, n)
    for shared in (False, True):
        same_counts(count(*given, shared=shared, device="cuda"), count(*given, shared=shared))


def test_pieces_groups_of_queries_and_little_shared_memory(gpu, monkeypatch):
    monkeypatch.setattr(counting, "_PIECE_BYTES", 4000)
    given = codes_of(70, 64, 1), codes_of(600, 64), labels_of(70, 40, 1), labels_of(600, 40)
    expected = count(*given, shared=True)
    for room in (227 << 10, 30_000, 4000, 1000):  # the last: counts in the memory of the device
        gpu.set(shared=room)
        same_counts(count(*given, shared=True, device="cuda"), expected)


@pytest.mark.parametrize("shared", [False, True])
def test_queries_are_counted_in_batches_whose_counts_have_room(gpu, monkeypatch, shared):
    given = codes_of(70, 64, 1), codes_of(600, 64), labels_of(70, 40, 1), labels_of(600, 40)
    given[2][:50] = 0  # a batch of queries without a label still has as many grades as all
    room, told, on_cpu = 30_000, [], []
    monkeypatch.setattr(counting, "_TABLE_BYTES", room)
    held = gpu.use()[0]
    found = count(*given, shared=shared, device="cuda", progress=lambda *pairs: told.append(pairs))
    assert gpu.use()[1] <= held + max(room, 65 * 41 * 8) + 20_000
    same_counts(found, count(*given, shared=shared, progress=lambda *pairs: on_cpu.append(pairs)))
    assert told[-1] == on_cpu[-1] == (70 * 600, 70 * 600)
    assert len(told) > 1 and told == sorted(told)


@pytest.mark.parametrize("threads", [2, 5])
def test_any_number_of_threads_of_a_block(gpu, threads):
    given = codes_of(6, 64, 1), codes_of(300, 64), labels_of(6, 9, 1), labels_of(300, 9)
    gpu.threads = threads
    same_counts(count(*given, shared=True, device="cuda"), count(*given, shared=True))


@pytest.mark.parametrize("ties", ["expected", "insertion"])
def test_every_metric_is_that_of_the_cpu(gpu, ties):
    given = codes_of(9, 16, 1), codes_of(400, 16), labels_of(9, 6, 1), labels_of(400, 6)
    found, expected = (evaluate(*given, cutoffs=(5, 50), ties=ties, device=device) for device in ("cuda", None))
    assert found.values == expected.values
    assert mean_average_precision(*given, ties=ties, device="cuda") == expected["map"]


def test_relevance_of_the_users_own_is_refused(gpu):
    with pytest.raises(InputError, match="relevance= is asked for on the CPU: give labels, or leave device= out"):
        count(codes_of(2, 8), codes_of(3, 8), relevance=np.ones((2, 3)), device="cuda")
