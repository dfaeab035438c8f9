"""What goes wrong on a GPU has one error each, by name, and loses nothing."""

import multiprocessing
import os

import numpy as np
import pytest

import udsph.cuda
from udsph.errors import InputError
from udsph.evaluation import evaluate
from udsph.hamming import Collection, FlatIndex, Index, SimilarityIndex
from udsph.hamming.gpu import library as loaded

from .emulated import can_compile, emulate
from .test_search import codes_of, pair, same

emulated = pytest.mark.skipif(not can_compile, reason="needs a C++ compiler")


@pytest.fixture
def gpu(monkeypatch):
    return emulate(monkeypatch)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (35, InputError, r"the driver serves CUDA 11.4, udsph was built with CUDA 13.0: install a newer driver"),
        (
            209,
            InputError,
            r"holds no code for Some GPU \(compute capability 7.5\): reinstall udsph with UDSPH_CUDA_ARCHS=75",
        ),
        (3, InputError, "CUDA was used before this process was forked"),
        (700, RuntimeError, r"udsph on Some GPU: as the driver describes it \(cudaErrorUnknown\)"),
    ],
)
@emulated
def test_every_code_of_cuda_is_an_error(gpu, code, error, message):
    index, there = pair(64, 100)
    gpu.set(failure=code)
    with pytest.raises(error, match=message):
        FlatIndex(64, device="cuda").add(codes_of(3, 64))
    with pytest.raises(error, match=message):
        there.search(codes_of(3, 64), 1)
    gpu.set()
    same(there.search(codes_of(3, 64), 1), index.search(codes_of(3, 64), 1))


@emulated
def test_too_little_memory_says_what_is_needed_and_loses_nothing(gpu):
    index, there = pair(8, 100)
    gpu.set(room=60_000)
    with pytest.raises(
        MemoryError, match=r"an index of 42432 codes of 8 bits needs 90.1 kB of the memory of Some GPU, 60"
    ):
        there.add(codes_of(40_000, 8))
    same(there.search(codes_of(3, 8), 10), index.search(codes_of(3, 8), 10))  # one query after the other
    same(there.range_search(codes_of(3, 8), 2), index.range_search(codes_of(3, 8), 2))
    gpu.set(room=10_000)
    with pytest.raises(MemoryError, match=r"a search needs 2\d.\d kB of the memory of Some GPU, 10.0 kB are free"):
        there.search(codes_of(3, 8), 10)
    gpu.set()
    same(there.search(codes_of(3, 8), 10), index.search(codes_of(3, 8), 10))


@emulated
def test_there_is_no_such_gpu(gpu):
    with pytest.raises(InputError, match=r"there is no GPU of that number \(cudaErrorInvalidDevice\)"):
        FlatIndex(64, device="cuda:1")
    for device in ("gpu", "cuda:x", "cpu:1", 0):
        with pytest.raises(InputError, match=r"device must be 'cpu', 'cuda' or 'cuda:NUMBER', got "):
            FlatIndex(64, device=device)
    same(FlatIndex(64, device="cpu").search(codes_of(3, 64), 1), FlatIndex(64).search(codes_of(3, 64), 1))


@emulated
def test_which_indexes_have_a_form_on_a_gpu(gpu, tmp_path):
    rows = codes_of(300, 64)
    index = Index(64)
    index.add(rows)
    with Collection.create(tmp_path / "codes", bits=64) as collection:
        collection.add(rows)
        for each in (index, collection):
            moved = each.to("cuda")
            assert type(moved) is FlatIndex
            same(moved.search(rows[:5], 9), index.search(rows[:5], 9))
    for each in (Index, SimilarityIndex):
        with pytest.raises(TypeError, match="unexpected keyword argument 'device'"):
            each(64, device="cuda")
    sets = SimilarityIndex(64)
    sets.add(rows)
    with pytest.raises(InputError, match="a SimilarityIndex is searched on the CPU: make a FlatIndex of its codes"):
        sets.to("cuda")


@pytest.mark.skipif(udsph.cuda.LIBRARY.exists(), reason="the CUDA library was built")
def test_without_the_library_device_says_so():
    loaded.library.cache_clear()
    with pytest.raises(InputError, match="device='cuda' cannot be used: the library was not built"):
        FlatIndex(64, device="cuda")
    with pytest.raises(InputError, match="device='cuda' cannot be used: the library was not built"):
        evaluate(codes_of(2, 8), codes_of(2, 8), np.arange(2), np.arange(2), device="cuda")


def test_a_library_of_an_earlier_version_is_a_reason(monkeypatch):
    def older():
        raise AttributeError("undefined symbol: udsph_hamming_search")

    loaded.library.cache_clear()
    monkeypatch.setattr(udsph.cuda, "state", lambda: "available")
    monkeypatch.setattr(loaded, "Library", older)
    with pytest.raises(
        InputError, match="device='cuda' cannot be used: the library cannot be loaded: undefined symbol"
    ):
        FlatIndex(64, device="cuda")
    loaded.library.cache_clear()


def in_child(index, queue):
    try:
        index.search(codes_of(3, 64), 1)
        queue.put("searched")
    except InputError as error:
        queue.put(str(error))


@emulated
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_of_a_process_that_used_the_gpu_is_told_so(gpu):
    index, there = pair(64, 100)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(there, queue))
    child.start()
    assert "start processes by multiprocessing.get_context('spawn')" in queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    same(there.search(codes_of(3, 64), 1), index.search(codes_of(3, 64), 1))  # the parent still can


def test_importing_asks_no_driver():
    """A process that forks later must not have used CUDA."""
    assert loaded.library.cache_info().currsize == 0
