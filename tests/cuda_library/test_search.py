"""Hamming search of the CUDA library gives the bytes of the CPU: every width, k, filter and division.

The kernels' programs run on the host (``hamming.cpp``), and on a GPU where there is one.
"""

import importlib

import numpy as np
import pytest

from udsph.hamming import Bitmap, FlatIndex, load, pack
from udsph.hamming.gpu import library as loaded
from udsph.hamming.gpu import memory
from udsph.hamming.gpu.arrays import OnHost

from .emulated import can_compile, emulate

pytestmark = pytest.mark.skipif(not can_compile, reason="needs a C++ compiler")


@pytest.fixture
def gpu(monkeypatch):
    return emulate(monkeypatch)


def codes_of(n, bits, seed=0, centres=0):
    """Random codes; near one of so many centres, so that many distances are tied, and some codes the same."""
    rng = np.random.default_rng(seed)
    values = rng.random((n, bits)) < 0.5
    if centres:
        values = (rng.random((centres, bits)) < 0.5)[rng.integers(centres, size=n)] ^ (rng.random((n, bits)) < 0.02)
    return pack(values)


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)


def pair(bits, n, seed=0, centres=0):
    index = FlatIndex(bits)
    index.add(codes_of(n, bits, seed, centres))
    return index, index.to("cuda")


@pytest.mark.parametrize("centres", [0, 20])
@pytest.mark.parametrize("bits", [1, 8, 13, 64, 65, 128, 200, 256, 512, 1000, 1024, 2000])
def test_search_and_range_search_of_every_width(gpu, bits, centres):
    index, on_gpu = pair(bits, 2100, centres=centres)
    queries = np.concatenate([codes_of(7, bits, 1), codes_of(2100, bits, 0, centres)[::1000]])
    for k in (1, 10, 300, 2200):
        same(on_gpu.search(queries, k), index.search(queries, k))
    same(on_gpu.search(queries[0], 10), index.search(queries[0], 10))
    for radius in (0, bits // 2 - bits // 16, bits):
        same(on_gpu.range_search(queries[:3], radius), index.range_search(queries[:3], radius))


def test_queries_of_few_and_of_many_ones_and_of_none(gpu):
    index, on_gpu = pair(64, 3000)
    ones = np.array([0, 1, 7, 8, 9, 31, 32, 33, 55, 63, 64])
    queries = pack(np.arange(64) < ones[:, None])
    same(on_gpu.search(queries, 20), index.search(queries, 20))
    same(on_gpu.range_search(queries, 25), index.range_search(queries, 25))


@pytest.mark.parametrize("n", [0, 1, 31, 32, 4095, 4096, 4097])
def test_any_number_of_codes(gpu, n):
    index, on_gpu = pair(32, n)
    queries = codes_of(4, 32, 1)
    same(on_gpu.search(queries, 3), index.search(queries, 3))
    same(on_gpu.range_search(queries, 12), index.range_search(queries, 12))
    same(on_gpu.search(queries[:0], 3), index.search(queries[:0], 3))
    same(on_gpu.range_search(queries[:0], 3), index.range_search(queries[:0], 3))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])
@pytest.mark.parametrize("k", [5, 300])
def test_filters(gpu, share, k):
    index, on_gpu = pair(64, 9000, centres=50)
    queries, mask = codes_of(10, 64, 1), np.random.default_rng(2).random(9000) < share
    for where in (mask, Bitmap.from_mask(mask), np.flatnonzero(mask)):
        same(on_gpu.search(queries, k, where=where), index.search(queries, k, where=where))
    same(on_gpu.range_search(queries, 24, where=mask), index.range_search(queries, 24, where=mask))


def test_a_filter_of_the_last_codes_alone_still_has_stages(gpu):
    """Without regard to the filter the last stage would meet all of them without a limit."""
    index, on_gpu = pair(64, 50_000)
    queries, mask = codes_of(9, 64, 1), np.arange(50_000) >= 20_000
    walks = count_walks(gpu)
    same(on_gpu.search(queries, 10, where=mask), index.search(queries, 10, where=mask))
    assert walks() == 0


def test_codes_that_come_near_at_the_end_are_found_though_there_is_no_room_for_them(gpu):
    """Far more candidates in the last stage than the limit of those before promised: a walk in order finds them."""
    far, near = codes_of(5000, 64), np.zeros((20_000, 8), np.uint8)
    near[:, 0] = np.arange(20_000) % 4
    index = FlatIndex(64)
    index.add(np.concatenate([far, near]))
    queries = np.concatenate([near[:3], codes_of(8, 64, 1)])
    walks = count_walks(gpu)
    for k in (10, 200):
        same(index.to("cuda").search(queries, k), index.search(queries, k))
    assert walks() > 0
    same(index.to("cuda").range_search(queries, 1), index.range_search(queries, 1))


def count_walks(gpu):
    before = gpu.functions.udsph_emulated_walks()
    return lambda: gpu.functions.udsph_emulated_walks() - before


def test_candidates_are_few_in_codes_without_order(gpu):
    index, on_gpu = pair(64, 60_000)
    walks = count_walks(gpu)
    for k in (1, 10, 100):
        same(on_gpu.search(codes_of(20, 64, 1), k), index.search(codes_of(20, 64, 1), k))
    assert walks() == 0


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_any_number_of_threads_of_a_block(gpu, threads):
    """They meet at a real barrier."""
    index, on_gpu = pair(40, 1300, centres=30)
    queries, mask = codes_of(4, 40, 1), np.arange(1300) % 3 > 0
    gpu.threads = threads
    same(on_gpu.search(queries, 20, where=mask), index.search(queries, 20, where=mask))
    same(on_gpu.range_search(queries, 12), index.range_search(queries, 12))


def test_several_threads_that_walk_in_order(gpu):
    near = FlatIndex(40)
    near.add(pack(np.random.default_rng(0).random((2100, 40)) < 0.02))
    queries = np.zeros((9, 5), np.uint8)
    gpu.threads = 2
    walks = count_walks(gpu)
    same(near.to("cuda").range_search(queries, 9), near.range_search(queries, 9))
    assert walks() == 9


@pytest.mark.parametrize("bits", [64, 600])
def test_a_gpu_with_little_shared_memory_reads_codes_where_they_are(gpu, bits):
    index, on_gpu = pair(bits, 4500)
    queries = codes_of(10, bits, 1)
    expected = index.search(queries, 30)
    same(on_gpu.search(queries, 30), expected)
    gpu.set(shared=64 << 10)
    same(on_gpu.search(queries, 30), expected)


def test_little_scratch_means_more_batches(gpu):
    index, on_gpu = pair(64, 3000)
    queries = codes_of(30, 64, 1)
    expected = index.search(queries, 7)
    codes, host = on_gpu._snapshot.segments[0].codes, OnHost(0)
    least = gpu.size("least_scratch", 3000, 64, 30, 7)
    for size in (least, 4 * least):
        scratch, rows = host.empty((size,), np.uint8), host.upload(queries)
        near, positions = host.empty((30, 7), np.int32), host.empty((30, 7), np.int64)
        given = loaded.Queries(rows.pointer, 30, None, scratch.pointer, size)
        gpu.launch("search", codes._struct(), loaded.ctypes.byref(given), 7, near.pointer, positions.pointer, 0)
        same((host.download(near, (30, 7), np.int32), host.download(positions, (30, 7), np.int64)), expected)


@pytest.mark.parametrize("n", [10**4, 10**7, 10**9])
@pytest.mark.parametrize("bits", [64, 1024, 8192])
@pytest.mark.parametrize("k", [1, 1000, 10**6, 10**8])
def test_scratch_is_at_most_256_mib_where_that_holds_a_query(gpu, n, bits, k):
    for queries in (1, 100, 10**5):
        needed, least = (gpu.size(name, n, bits, queries, k) for name in ("scratch", "least_scratch"))
        assert least <= needed <= 256 << 20


def test_memory_beside_the_index_is_bounded_however_much_is_found(gpu, monkeypatch):
    """Queries and results come and go in steps; only what one query has found is in one piece."""
    step = 400_000
    monkeypatch.setattr(importlib.import_module("udsph.hamming.gpu.segment"), "_BYTES_PER_STEP", step)
    index, there = pair(64, 3000)
    queries = codes_of(200, 64, 1)
    held = gpu.use()[0]
    same(there.search(queries, 900), index.search(queries, 900))
    least = gpu.size("scratch", 3000, 64, 200, 900)
    assert gpu.use()[1] <= held + least + step
    for radius in (30, 64):  # the latter finds all: 7 MB, for which candidates have no room
        same(there.range_search(queries, radius), index.range_search(queries, radius))
        assert gpu.use()[1] <= held + gpu.size("scratch", 3000, 64, 200, 1) + step
    ids = np.arange(3000)
    assert np.array_equal(there.reconstruct(ids), index.reconstruct(ids))
    assert gpu.use()[1] <= held + step
    more = index.to("cuda")
    assert gpu.use()[1] <= 2 * held + step
    same(there.search(queries[:2], 4000), index.search(queries[:2], 4000))
    del more


def test_codes_added_in_pieces_and_removed(gpu):
    rows = codes_of(9000, 48, centres=100)
    index, on_gpu = FlatIndex(48), FlatIndex(48, device="cuda")
    for first, last in ((0, 5), (5, 40), (40, 41), (41, 5000), (5000, 9000)):
        for each in (index, on_gpu):
            each.add(rows[first:last])
        same(on_gpu.search(rows[:9], 5), index.search(rows[:9], 5))
    for each in (index, on_gpu):
        each.remove(np.arange(0, 9000, 3))
    mask = np.arange(len(index)) % 2 == 0
    same(on_gpu.search(rows[:9], 50), index.search(rows[:9], 50))
    same(on_gpu.search(rows[:9], 50, where=mask), index.search(rows[:9], 50, where=mask))
    same(on_gpu.range_search(rows[:9], 3), index.range_search(rows[:9], 3))
    assert np.array_equal(on_gpu.reconstruct(index.ids), index.reconstruct(index.ids))
    gone = index.ids[: len(index) // 2 + 1]  # positions close up
    for each in (index, on_gpu):
        each.remove(gone)
    same(on_gpu.search(rows[:9], 50), index.search(rows[:9], 50))


def test_room_for_all_codes_is_taken_at_once(gpu, monkeypatch):
    """An index that fits is not copied while it is filled."""
    segment = importlib.import_module("udsph.hamming.gpu.segment")
    codes = importlib.import_module("udsph.hamming.gpu.codes")
    taken: list[str] = []
    monkeypatch.setattr(segment, "_BYTES_PER_STEP", 2 * 512 * 16)  # 512 codes
    monkeypatch.setattr(codes, "Buffer", lambda *given: taken.append(given[-1]) or memory.Buffer(*given))
    index, there = pair(64, 5000)
    other = FlatIndex(64, device="cuda")
    other.add(codes_of(4096 + 300, 64))
    assert taken == ["an index of 5511 codes of 64 bits", "an index of 4607 codes of 64 bits"]
    same(there.search(codes_of(9, 64, 1), 5), index.search(codes_of(9, 64, 1), 5))


def test_an_older_state_is_as_it_was_after_codes_were_added_in_its_memory(gpu):
    rows = codes_of(3000, 64)
    on_gpu = FlatIndex(64, device="cuda")
    on_gpu.add(rows[:1000])
    older, other = on_gpu.copy(), on_gpu.copy()
    expected = older.search(rows[:9], 5)
    on_gpu.add(rows[1000:2000])
    other.add(rows[2000:])
    same(older.search(rows[:9], 5), expected)
    for index, more in ((on_gpu, rows[1000:2000]), (other, rows[2000:])):
        on_cpu = FlatIndex(64)
        on_cpu.add(np.concatenate([rows[:1000], more]))
        same(index.search(rows[::300], 9), on_cpu.search(rows[::300], 9))


@pytest.mark.parametrize("ids", [np.arange(500)[::-1] * 7, np.array([f"item {i}" for i in range(500)])])
def test_ids_go_along_and_come_back(gpu, tmp_path, ids):
    index = FlatIndex(64)
    index.add(codes_of(500, 64), ids)
    on_gpu = index.to("cuda")
    expected = index.search(codes_of(9, 64, 1), 5)
    for each in (on_gpu, on_gpu.to("cpu"), on_gpu.copy()):
        found = each.search(codes_of(9, 64, 1), 5)
        assert found.ids.tolist() == expected.ids.tolist()
    on_gpu.save(tmp_path / "index")
    assert load(tmp_path / "index").search(codes_of(9, 64, 1), 5).ids.tolist() == expected.ids.tolist()
    assert FlatIndex.from_bytes(on_gpu.to_bytes()).ids.tolist() == index.ids.tolist()
