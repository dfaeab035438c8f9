"""The contract of a segment, which every kind passes, and of a snapshot made of any number of them."""

import os
import subprocess
import sys

import numpy as np
import pytest

from udsph import hamming
from udsph.hamming import backend, reference, results
from udsph.hamming.filters import Alive, words_of_mask
from udsph.hamming.ids import Ids
from udsph.hamming.segments import Snapshot, extended


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def random_codes(rng, n, bits, flips=0.5):
    return np.packbits(rng.random((n, bits)) < flips, axis=1, bitorder="little")


def check(segment, codes, rng):
    """The segment holds these codes and answers like the reference."""
    bits, n = segment.bits, len(codes)
    assert len(segment) == n
    assert segment.nbytes >= n * bits // 8
    places = rng.permutation(n)[:50]
    np.testing.assert_array_equal(segment.read(places), codes[places])
    np.testing.assert_array_equal(
        segment.words(0, -(-n // 512)).reshape(-1, 8 * bits), reference.slice_codes(codes, bits)
    )
    queries = random_codes(rng, 3, bits, 0.3)
    mask = rng.random(n) < 0.3
    for allowed, words in ((None, None), (mask, words_of_mask(mask))):
        for k in (1, n + 2):
            for found, truth in zip(
                segment.search(queries, k, words, 2), reference.search(queries, codes, k, allowed), strict=True
            ):
                np.testing.assert_array_equal(found, truth)
        for found, truth in zip(
            segment.range_search(queries, bits // 2, words, 2),
            reference.range_search(queries, codes, bits // 2, allowed),
            strict=True,
        ):
            np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("bits", [1, 13, 64, 300])
def test_a_segment_answers_like_the_reference_and_an_extension_leaves_it_as_it_is(engine, bits, rng):
    segment = backend.empty_segment(bits)
    codes = random_codes(rng, 0, bits)
    kept = [(segment, codes)]
    for n in (3, 0, 508, 1, 1, 700, 1300, 5):
        more = random_codes(rng, n, bits)
        segment, codes = segment.extended(more), np.concatenate([codes, more])
        kept.append((segment, codes))
    branch = random_codes(rng, 600, bits)  # a second future of the same past
    kept.append((kept[4][0].extended(branch), np.concatenate([kept[4][1], branch])))
    for segment, codes in kept:
        check(segment, codes, rng)


def test_a_mapped_segment_is_extended_beside_its_memory(engine, rng):
    codes, more = random_codes(rng, 700, 24), random_codes(rng, 400, 24)
    memory = np.zeros(2 * 24 * 8 + 8, np.uint64)
    first = -memory.ctypes.data // 8 % 8
    words = memory[first : first + 2 * 24 * 8]
    words[:] = reference.slice_codes(codes, 24).ravel()
    before = words.copy()
    mapped = backend.map_segment(24, 700, words)
    check(mapped, codes, rng)
    check(mapped.extended(more), np.concatenate([codes, more]), rng)
    np.testing.assert_array_equal(words, before)


def test_a_wrong_filter_or_position_is_refused(engine, rng):
    segment = backend.empty_segment(16).extended(random_codes(rng, 600, 16))
    query = np.zeros((1, 2), np.uint8)
    for words in (8, 24):
        with pytest.raises(ValueError, match=f"allowed has {words} words, the segment needs 16"):
            segment.search(query, 1, np.zeros(words, np.uint64), 1)
        with pytest.raises(ValueError, match=f"allowed has {words} words, the segment needs 16"):
            segment.range_search(query, 1, np.zeros(words, np.uint64), 1)
    for position in (-1, 600):
        with pytest.raises(IndexError):
            segment.read(np.array([position]))


def test_segments_grow_until_they_are_full_and_only_the_last_ends_within_a_block(engine, rng):
    empty, segments, codes = backend.empty_segment(2048), (), random_codes(rng, 70_000, 2048)
    for begin, end in ((0, 700), (700, 66_000), (66_000, 66_001), (66_001, 69_999), (69_999, 70_000)):
        segments = extended(segments, empty, codes[begin:end])
        assert all(len(segment) % 512 == 0 for segment in segments[:-1])
        assert sum(map(len, segments)) == end
    assert len(segments) > 1
    snapshot = Snapshot(empty, segments, Ids(70_000))
    np.testing.assert_array_equal(snapshot.read([0, 65_999, 66_000, 69_999]), codes[[0, 65_999, 66_000, 69_999]])
    found = snapshot.search(codes[[69_999, 1]], 1, None, 2)
    np.testing.assert_array_equal(found.ids, [[69_999], [1]])


@pytest.mark.parametrize("joins", [True, False])
@pytest.mark.parametrize("cuts", [[], [512], [512, 1024, 1536], [1024, 1024]])
def test_any_number_of_segments_answers_like_one(engine, cuts, joins, rng, monkeypatch):
    """Ties lie across the borders: codes of 6 bits, and a third of them removed."""
    codes, queries = random_codes(rng, 2000, 6), random_codes(rng, 5, 6)
    empty = backend.empty_segment(6)
    parts = [empty.extended(part) for part in np.split(codes, cuts)]
    dead = rng.permutation(2000)[:650]
    snapshot = Snapshot(empty, tuple(parts), Ids(2000), Alive.without(None, 2000, dead))
    if not joins:
        monkeypatch.setattr(type(snapshot), "searched", lambda self: _apart(parts))
    alive = np.ones(2000, bool)
    alive[dead] = False
    mask = rng.random(alive.sum()) < 0.5
    both = alive.copy()
    both[alive] = mask
    for where, allowed in ((None, alive), (mask, both), (hamming.Bitmap.from_mask(mask), both)):
        for k in (1, 40, 2000):
            truth = reference.search(queries, codes, k, allowed)
            for ours, other in zip(snapshot.search(queries, k, where, 2), truth, strict=True):
                np.testing.assert_array_equal(ours, other)
        truth = reference.range_search(queries, codes, 2, allowed)
        for ours, other in zip(snapshot.range_search(queries, 2, where, 2), truth, strict=True):
            np.testing.assert_array_equal(ours, other)
    assert len(snapshot) == 1350


def _apart(parts):
    bases = np.cumsum([0, *map(len, parts[:-1])]).tolist()
    return tuple(zip(parts, bases, strict=True))


@pytest.mark.parametrize("single", [False, True])
def test_merging_is_sorting_by_distance_and_position(engine, single, rng):
    """Parts of any sizes, with ties, missing results and queries without any."""
    for _ in range(20):
        nq, k, bases = 1 if single else int(rng.integers(0, 9)), int(rng.integers(1, 9)), [3, 600, 5000]
        pairs = [
            [sorted({(int(d), int(p)) for d, p in rng.integers(0, 12, (rng.integers(0, 9), 2))}) for _ in range(nq)]
            for _ in bases
        ]
        expected = [
            sorted((d, p + base) for part, base in zip(pairs, bases, strict=True) for d, p in part[q])
            for q in range(nq)
        ]
        near = np.full((3, nq, k), results.NO_DISTANCE, np.int32)
        places = np.full((3, nq, k), results.NO_ID, np.int64)
        for part, q in np.ndindex(3, nq):
            for i, (distance, place) in enumerate(pairs[part][q][:k]):
                near[part, q, i], places[part, q, i] = distance, place
        shape = (k,) if single else (nq, k)
        parts = [(near[i].reshape(shape), places[i].reshape(shape)) for i in range(3)]
        merged = results.merge_search(parts, bases)
        padded = [(row + [(results.NO_DISTANCE, -1)] * k)[:k] for row in expected]
        np.testing.assert_array_equal(merged[0], np.array([[d for d, _ in row] for row in padded]).reshape(shape))
        np.testing.assert_array_equal(merged[1], np.array([[p for _, p in row] for row in padded]).reshape(shape))
        flat = [[pair for row in part for pair in row] for part in pairs]
        ranges = [
            (
                np.cumsum([0, *map(len, part)]),
                np.array([d for d, _ in all_], np.int32),
                np.array([p for _, p in all_], np.int64),
            )
            for part, all_ in zip(pairs, flat, strict=True)
        ]
        offsets, distances, positions = results.merge_range(ranges, bases)
        assert offsets.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
        assert list(zip(distances.tolist(), positions.tolist(), strict=True)) == [p for row in expected for p in row]


def test_merging_pads_where_all_parts_together_have_too_few():
    near = np.array([[3, results.NO_DISTANCE]], np.int32)
    merged = results.merge_search([(near, np.array([[0, -1]])), (near - (near == 3), np.array([[1, -1]]))], [0, 512])
    np.testing.assert_array_equal(merged[0], [[2, 3]])
    np.testing.assert_array_equal(merged[1], [[513, 0]])


@pytest.mark.parametrize("custom", [False, True])
def test_removing_closes_up_when_few_are_left(engine, custom, rng):
    codes = random_codes(rng, 3000, 40)
    names = rng.permutation(10_000)[:3000] if custom else np.arange(3000)
    index = hamming.FlatIndex(40)
    index.add(codes, ids=names if custom else None)
    left = np.arange(3000)
    for count in (10, 1000, 800, 900):
        gone = rng.permutation(len(left))[:count]
        index.remove(names[left[gone]])
        left = np.delete(left, gone)
        assert len(index) == len(left)
        found = index.range_search(codes[:1], 40)
        np.testing.assert_array_equal(np.sort(found.ids), np.sort(names[left]))
        np.testing.assert_array_equal(index.reconstruct(names[left]), codes[left])
        with pytest.raises(ValueError, match="is not in the index"):
            index.reconstruct([names[np.setdiff1d(np.arange(3000), left)[0]]])
    assert index._snapshot.n == len(index)  # positions of removed codes are not kept for ever
    index.remove(names[left])
    assert len(index) == 0
    index.add(codes[:2], ids=[5, 6] if custom else None)
    assert index.search(codes[:1], 1).ids[0, 0] == (5 if custom else 3000)


OUT_OF_MEMORY = """
import resource, sys
import numpy as np
import udsph.hamming as hamming
index = hamming.FlatIndex(4096)
index.add(np.zeros((1000, 512), np.uint8), ids=np.arange(1000))
many = np.zeros((800_000, 512), np.uint8)  # 400 MB that nobody touches
ids = np.arange(1000, 801_000)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
for _ in range(2):
    try:
        index.add(many, ids=ids)
        sys.exit("it fitted")
    except MemoryError:
        assert len(index) == 1000
        assert index.range_search(many[:1], 0).ids.tolist() == list(range(1000))
index.add(many[:3], ids=ids[:3])
assert index.reconstruct([1002]).shape == (1, 512)
print("sound")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is limited by way of Linux")
def test_an_addition_without_memory_changes_nothing_and_can_be_repeated():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True, env=environment)
    assert done.stdout == "sound\n", done.stderr


def test_an_addition_that_is_refused_can_be_repeated(engine):
    index = hamming.FlatIndex(8)
    index.add(np.zeros((2, 1), np.uint8), ids=[1, 2])
    with pytest.raises(ValueError, match="given twice"):
        index.add(np.zeros((2, 1), np.uint8), ids=[3, 2])
    index.add(np.zeros((2, 1), np.uint8), ids=[3, 4])
    assert index.search(np.zeros((1, 1), np.uint8), 5).ids[0].tolist() == [1, 2, 3, 4, -1]


def test_a_copy_goes_its_own_way(engine):
    index = hamming.FlatIndex(8)
    for i in range(4):
        index.add(np.full((1, 1), i, np.uint8), ids=[10 * i])
    other = index.copy()
    other.add(np.full((1, 1), 7, np.uint8), ids=[70])
    index.add(np.full((1, 1), 5, np.uint8), ids=[50])
    other.remove([0])
    query = np.zeros((1, 1), np.uint8)
    assert sorted(index.range_search(query, 8).ids) == [0, 10, 20, 30, 50]
    assert sorted(other.range_search(query, 8).ids) == [10, 20, 30, 70]
    assert index.reconstruct([50]).tolist() == [[5]]
    with pytest.raises(ValueError, match="id 50 is not"):
        other.reconstruct([50])


@pytest.mark.parametrize("bits", [7, 33, 64, 100, 200, 1000, 1500])
def test_a_scan_for_one_query_misses_nothing_where_it_stops_within_codes(engine, bits, rng):
    codes = random_codes(rng, 3000, bits)
    query = random_codes(rng, 1, bits)[0]
    for place, flipped in zip(rng.permutation(3000)[:8], [9, 5, 5, 2, 1, 1, 0, 0], strict=True):
        values = np.unpackbits(query, bitorder="little")
        values[rng.permutation(bits)[: min(flipped, bits)]] ^= 1
        codes[place] = np.packbits(values, bitorder="little")
    segment = backend.empty_segment(bits).extended(codes)
    allowed = rng.random(3000) < 0.9
    for k in (1, 2, 3, 4, 6, 8, 40):
        for mask in (None, allowed):
            found = segment.search(query, k, None if mask is None else words_of_mask(mask), 1)
            for ours, truth in zip(found, reference.search(query[None], codes, k, mask), strict=True):
                np.testing.assert_array_equal(ours, truth[0])
