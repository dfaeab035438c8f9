"""On a GPU: the kernels as they run, and what no emulation has: streams, graphs, torch's tensors, other processes."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import udsph.hamming as hamming
from udsph.errors import InputError
from udsph.evaluation import count
from udsph.hamming import FlatIndex
from udsph.hamming.gpu.codes import _Room
from udsph.hamming.gpu.library import library

from .test_counting import labels_of, same_counts
from .test_search import codes_of, same


@pytest.fixture(scope="module", autouse=True)
def gpu():
    try:
        library().serves(0)
    except InputError as error:
        if "was not built" in str(error) or "no GPU can be used" in str(error):
            pytest.skip(str(error))
        raise  # a library that does not load is not a reason to go without tests
    return library()


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch sees no GPU")
    return torch


def pair(bits, n, centres=0):
    index = FlatIndex(bits)
    index.add(codes_of(n, bits, 0, centres))
    return index, index.to("cuda")


@pytest.mark.parametrize("bits", [13, 64, 200, 1024])
def test_smallest_searches(bits):
    """What the sanitizers go through."""
    index, there = pair(bits, 2500, 20)
    queries, mask = codes_of(9, bits, 1), np.arange(2500) % 2 == 0
    for k, where in ((1, None), (300, mask)):
        same(there.search(queries, k, where=where), index.search(queries, k, where=where))
        same(there.search(queries[:1], k, where=where), index.search(queries[:1], k, where=where))
    for radius in (bits // 3, bits):  # the latter: more than there is room for
        same(there.range_search(queries, radius), index.range_search(queries, radius))
    same([there.reconstruct([0, 7, 2499])], [index.reconstruct([0, 7, 2499])])


def test_smallest_counts():
    given = codes_of(5, 64, 1), codes_of(700, 64), labels_of(5, 24, 1), labels_of(700, 24)
    for shared in (False, True):
        same_counts(count(*given, shared=shared, device="cuda"), count(*given, shared=shared))


@pytest.mark.parametrize("bits", [1, 8, 64, 128, 256, 512, 1024, 2000, 8192])
@pytest.mark.parametrize("centres", [0, 50])
def test_every_width_and_any_number_of_neighbours(bits, centres):
    n = 60_000 if bits <= 256 else 9000
    index, there = pair(bits, n, centres)
    queries = codes_of(150, bits, 1)
    for k in (1, 10, 1000):
        same(there.search(queries, k), index.search(queries, k))
    same(there.search(queries[:2], n + 1), index.search(queries[:2], n + 1))
    same(there.range_search(queries, bits // 3), index.range_search(queries, bits // 3))


@pytest.mark.parametrize("queries", [1, 2, 3, 100, 3000])
def test_many_codes(queries):
    index, there = pair(64, 1_000_000)
    rows = codes_of(queries, 64, 1)
    for k in (10, 500):
        same(there.search(rows, k), index.search(rows, k))


def test_codes_that_come_near_at_the_end():
    near = np.zeros((200_000, 8), np.uint8)
    near[:, 0] = np.arange(200_000) % 4
    index = FlatIndex(64)
    index.add(np.concatenate([codes_of(50_000, 64), near]))
    queries = np.concatenate([near[:4], codes_of(30, 64, 1)])
    same(index.to("cuda").search(queries, 100), index.search(queries, 100))


def test_counts_of_many_items():
    given = codes_of(200, 64, 1), codes_of(300_000, 64), labels_of(200, 24, 1), labels_of(300_000, 24)
    same_counts(count(*given, device="cuda"), count(*given))
    given = codes_of(20, 2048, 1), codes_of(9000, 2048), labels_of(20, 81, 1), labels_of(9000, 81)
    same_counts(count(*given, shared=True, device="cuda"), count(*given, shared=True))


def test_tensors_of_torch(torch):
    index, there = pair(64, 20_000)
    queries, mask = codes_of(50, 64, 1), np.arange(20_000) % 3 > 0
    on_gpu = torch.from_numpy(queries).cuda()
    for form in (on_gpu, (on_gpu ^ 128).view(torch.int8), on_gpu.view(torch.int64)):
        found = there.search(form, 7, where=torch.from_numpy(mask).cuda())
        assert all(array.is_cuda for array in found)
        same([array.cpu().numpy() for array in found], index.search(queries, 7, where=mask))
    found = there.range_search(on_gpu, 16)
    same([array.cpu().numpy() for array in found], index.range_search(queries, 16))
    codes = torch.from_numpy(codes_of(20_000, 64)).cuda()
    same([array.cpu().numpy() for array in hamming.search(on_gpu, codes, 7)], index.search(queries, 7))
    same([hamming.distances(on_gpu, codes).cpu().numpy()], [hamming.distances(queries, codes.cpu().numpy())])


def test_arrays_of_cupy():
    cupy = pytest.importorskip("cupy")
    index, there = pair(64, 20_000)
    queries = codes_of(50, 64, 1)
    found = there.search(cupy.asarray(queries), 7)
    same([array.get() for array in found], index.search(queries, 7))


def test_a_search_waits_for_nothing_and_follows_its_stream(torch):
    """A graph cannot be captured of calls that wait, and replays what was on the stream."""
    index, there = pair(64, 100_000)
    first, second = (codes_of(64, 64, seed) for seed in (1, 2))
    queries = torch.from_numpy(first).cuda()
    there.search(queries, 10)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = there.search(queries, 10)
    for rows in (second, first):
        queries.copy_(torch.from_numpy(rows))
        graph.replay()
        same([array.cpu().numpy() for array in found], index.search(rows, 10))


def test_another_stream(torch):
    index, there = pair(64, 100_000)
    rows = codes_of(64, 64, 1)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)  # what comes before on the stream is waited for by the stream
        queries = torch.from_numpy(rows).pin_memory().cuda(non_blocking=True)
        found = there.search(queries, 10)
    stream.synchronize()
    same([array.cpu().numpy() for array in found], index.search(rows, 10))


def test_a_search_in_a_graph_names_ids_and_leaves_out_removed_codes(torch):
    """They are on the GPU since the first search; a mask there is one of the codes that are left."""
    index = FlatIndex(64)
    index.add(codes_of(50_000, 64), 3 * np.arange(50_000)[::-1])
    there, rows = index.to("cuda"), codes_of(64, 64, 1)
    gone = index.ids[::7]
    for each in (index, there):
        each.remove(gone)
    mask = np.arange(len(index)) % 3 > 0
    queries, where = torch.from_numpy(rows).cuda(), torch.from_numpy(mask).cuda()
    there.search(queries, 10, where=where)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = there.search(queries, 10, where=where)
    graph.replay()
    same([array.cpu().numpy() for array in found], index.search(rows, 10, where=mask))


def test_threads_with_indexes_that_take_different_shared_memory():
    """200 and 256 bits have one kernel: how much shared memory it may have is the same for all who launch it."""
    pairs = [pair(bits, 20_000) for bits in (200, 224, 256)]
    expected = [index.search(codes_of(50, index.bits, 1), 10) for index, _ in pairs]

    def search(which):
        _, there = pairs[which]
        for _ in range(100):
            same(there.search(codes_of(50, there.bits, 1), 10), expected[which])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(search, range(3)))


def test_too_little_memory_loses_nothing():
    index, there = pair(64, 1000)
    with pytest.raises(MemoryError, match=r"an index of 10000000000 codes of 8192 bits needs \d+ GB of the memory of"):
        _Room(8192, 0, 10**10)
    same(there.search(codes_of(3, 64, 1), 5), index.search(codes_of(3, 64, 1), 5))


def test_there_is_no_gpu_of_a_large_number():
    with pytest.raises(InputError, match="there is no GPU of that number"):
        FlatIndex(64, device="cuda:63")


def search_there(queue):
    index = FlatIndex(64, device="cuda")
    index.add(codes_of(5000, 64))
    queue.put(index.search(codes_of(9, 64, 1), 5))


def test_two_processes_use_the_gpu_at_once():
    _, there = pair(64, 5000)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=search_there, args=(queue,))
    child.start()
    for _ in range(50):
        found = there.search(codes_of(9, 64, 1), 5)
    same(queue.get(timeout=120), found)
    child.join(60)
    assert child.exitcode == 0
