import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udsph import hamming
from udsph.hamming import backend, reference
from udsph.hamming.ids import Ids
from udsph.hamming.segments import Snapshot

every_engine = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)


def random_codes(rng, n, bits, flips=0.5):
    """Codes of any width, unused bits 0; few flips make many equal codes."""
    return np.packbits(rng.random((n, bits)) < flips, axis=1, bitorder="little")


def brute_force(queries, codes, bits, k, allowed=None):
    """By definition, from unpacked bits and sorted tuples: nothing of the package."""
    unpack = lambda rows: np.unpackbits(rows, axis=1, count=bits, bitorder="little")  # noqa: E731
    matrix = (unpack(queries)[:, None, :] != unpack(codes)[None, :, :]).sum(-1)
    distances = np.full((len(queries), k), 2**31 - 1)
    ids = np.full((len(queries), k), -1)
    for row, near, found in zip(matrix, distances, ids, strict=True):
        order = sorted((row[i], i) for i in range(len(codes)) if allowed is None or allowed[i])[:k]
        near[: len(order)] = [distance for distance, _ in order]
        found[: len(order)] = [i for _, i in order]
    return matrix, distances, ids


@st.composite
def problems(draw):
    """Queries and codes of any width, with as many ties as one likes, and a filter or none."""
    bits = draw(st.one_of(st.integers(1, 70), st.integers(71, 700)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    flips = draw(st.sampled_from([0.0, 0.05, 0.5]))
    nq, n = draw(st.sampled_from([0, 1, 3, 25])), draw(st.integers(0, 600))
    allowed = draw(st.sampled_from([None, 0.0, 0.01, 0.5]))
    mask = None if allowed is None else rng.random(n) < allowed
    k = draw(st.sampled_from([1, 2, 10, 64, 700]))
    return bits, random_codes(rng, nq, bits, flips), random_codes(rng, n, bits, flips), mask, k


@every_engine
@given(problems())
def test_search_follows_the_definition(engine, problem):
    bits, queries, codes, mask, k = problem
    matrix, distances, ids = brute_force(queries, codes, bits, k, mask)
    index = hamming.FlatIndex(bits)
    index.add(codes)
    found = index.search(queries, k, where=mask)
    np.testing.assert_array_equal(found.distances, distances)
    np.testing.assert_array_equal(found.ids, ids)
    assert (found.distances.dtype, found.ids.dtype) == (np.int32, np.int64)
    np.testing.assert_array_equal(hamming.distances(queries, codes), matrix)


@every_engine
@given(problems(), st.integers(0, 400))
def test_range_search_follows_the_definition(engine, problem, radius):
    bits, queries, codes, mask, _ = problem
    matrix, _, _ = brute_force(queries, codes, bits, 1)
    index = hamming.FlatIndex(bits)
    index.add(codes)
    offsets, distances, ids = index.range_search(queries, radius, where=mask)
    assert [offsets.dtype, distances.dtype, ids.dtype] == [np.int64, np.int32, np.int64]
    assert offsets[0] == 0 and offsets[-1] == len(ids) == len(distances) and len(offsets) == len(queries) + 1
    for q, row in enumerate(matrix):
        inside = [(row[i], i) for i in range(len(codes)) if row[i] <= radius and (mask is None or mask[i])]
        part = slice(offsets[q], offsets[q + 1])
        assert list(zip(distances[part].tolist(), ids[part].tolist(), strict=True)) == sorted(inside)


@pytest.mark.parametrize(
    "bits", [1, 3, 16, 17, 32, 33, 48, 63, 64, 65, 96, 100, 128, 129, 160, 256, 257, 512, 1000, 1024]
)
def test_larger_problems_match_the_reference(engine, bits):
    rng = np.random.default_rng(bits)
    codes = random_codes(rng, 3000, bits)
    queries = codes[:30] ^ random_codes(rng, 30, bits, 0.1)
    index = hamming.FlatIndex(bits)
    for part in np.split(codes, [1, 512, 700, 1000]):
        index.add(part)
    assert len(index) == 3000
    for k, nq in ((1, 30), (10, 3), (10, 9), (2000, 2), (4000, 1)):
        found, truth = index.search(queries[:nq], k), reference.search(queries[:nq], codes, k)
        np.testing.assert_array_equal(found.distances, truth[0])
        np.testing.assert_array_equal(found.ids, truth[1])


@pytest.mark.parametrize("bits", [2048, 4096, 8191, 8192])
def test_very_wide_codes(engine, bits):
    rng = np.random.default_rng(bits)
    codes = random_codes(rng, 700, bits)
    codes[5], codes[6] = 0, codes[7]
    queries = np.concatenate([codes[5:27], ~codes[5:6] if bits % 8 == 0 else codes[5:6]])
    index = hamming.FlatIndex(bits)
    index.add(codes)
    for nq in (2, len(queries)):
        found, truth = index.search(queries[:nq], 20), reference.search(queries[:nq], codes, 20)
        np.testing.assert_array_equal(found.distances, truth[0])
        np.testing.assert_array_equal(found.ids, truth[1])


@pytest.mark.parametrize("bits", [64, 200])
def test_complements_and_equal_codes(engine, bits):
    """The largest distance there is, and nothing but ties."""
    rng = np.random.default_rng(1)
    query = random_codes(rng, 40, bits)
    index = hamming.FlatIndex(bits)
    index.add(np.repeat(query[:1], 600, axis=0))
    opposite = query[:1] ^ hamming.pack(np.ones((1, bits)))
    index.add(np.repeat(opposite, 600, axis=0))
    for nq in (1, 40):
        found = index.search(np.repeat(query[:1], nq, axis=0), 700)
        np.testing.assert_array_equal(found.ids, np.tile(np.arange(700), (nq, 1)))
        assert (found.distances[:, :600] == 0).all() and (found.distances[:, 600:] == bits).all()
        offsets, distances, _ = index.range_search(np.repeat(query[:1], nq, axis=0), bits)
        assert (np.diff(offsets) == 1200).all() and distances.max() == bits


@pytest.mark.parametrize(("nq", "n"), [(300, 20_000), (2, 700_000), (1, 1_200_000)])
def test_range_searches_with_very_many_results(nq, n):
    """More than are kept in one scan, with queries parted among threads, with blocks, and within one query."""
    rng = np.random.default_rng(n)
    codes, queries = rng.integers(0, 256, (n, 2), np.uint8), rng.integers(0, 256, (nq, 2), np.uint8)
    index = hamming.FlatIndex(16)
    index.add(codes)
    found = index.range_search(queries, 10, threads=2)
    for q in range(nq):
        distance = np.unpackbits(codes ^ queries[q], axis=1).sum(axis=1, dtype=np.int32)
        expected = np.argsort(distance, kind="stable")[: np.count_nonzero(distance <= 10)]
        row = slice(found.offsets[q], found.offsets[q + 1])
        np.testing.assert_array_equal(found.ids[row], expected)
        np.testing.assert_array_equal(found.distances[row], distance[expected])
    assert len(found.ids) > 2**20 and found.offsets[-1] == len(found.ids)


def test_a_range_search_of_everything_keeps_the_order(engine):
    """More results than distances, from several blocks and threads: sorted by distance, then by position."""
    rng = np.random.default_rng(5)
    codes, queries = random_codes(rng, 5000, 24), random_codes(rng, 3, 24)
    index = hamming.FlatIndex(24)
    index.add(codes)
    truth = reference.range_search(queries, codes, 24)
    for threads in (1, 3):
        for ours, other in zip(index.range_search(queries, 24, threads=threads), truth, strict=True):
            np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize("k", [20, 300])
@pytest.mark.parametrize("kind", ["uniform", "sorted", "equal", "misleading", "few allowed"])
def test_limits_guessed_from_a_sample_never_lose_a_neighbour(engine, kind, k):
    """Enough codes and neighbours that limits are guessed; and codes whose evenly spaced sample is unlike the rest."""
    rng = np.random.default_rng(k)
    codes, queries = random_codes(rng, 40_000, 32), random_codes(rng, 9, 32)
    if kind == "sorted":
        codes = codes[np.argsort(reference.distances(queries[:1], codes)[0], kind="stable")]
    if kind == "equal":
        codes[512 * 3 :] = codes[0]
    if kind == "misleading":  # only every other block, those of the sample, is near: limits are guessed too low
        queries = queries[:1] ^ random_codes(rng, 9, 32, 0.05)
        codes[np.arange(40_000) // 512 % 2 == 1] = ~queries[0]
    mask = rng.random(40_000) < 0.01 if kind == "few allowed" else None
    index = hamming.FlatIndex(32)
    index.add(codes)
    truth = reference.search(queries, codes, k, mask)
    for threads in (1, 2):
        found = index.search(queries, k, where=mask, threads=threads)
        np.testing.assert_array_equal(found.ids, truth[1])
        np.testing.assert_array_equal(found.distances, truth[0])


def test_every_level_thread_count_and_batch_gives_the_same():
    rng = np.random.default_rng(3)
    centres = random_codes(rng, 50, 96)
    codes = centres[rng.integers(0, 50, 20_000)] ^ random_codes(rng, 20_000, 96, 0.03)
    index = hamming.FlatIndex(96)
    index.add(codes)
    queries = codes[:300]
    truth, ranges = index.search(queries, 50, threads=1), index.range_search(queries, 9, threads=1)
    for threads in (2, 3, 7):
        for step in (1, 7, 8, 19, 300):
            parts = [index.search(queries[i : i + step], 50, threads=threads) for i in range(0, 300, step)]
            np.testing.assert_array_equal(np.concatenate([part.ids for part in parts]), truth.ids)
            np.testing.assert_array_equal(np.concatenate([part.distances for part in parts]), truth.distances)
        for ours, other in zip(index.range_search(queries, 9, threads=threads), ranges, strict=True):
            np.testing.assert_array_equal(ours, other)


def test_an_empty_index_pads_and_an_empty_batch_is_empty(engine):
    index = hamming.FlatIndex(12)
    found = index.search(np.zeros((2, 2), np.uint8), 3)
    assert (found.ids == -1).all() and (found.distances == 2**31 - 1).all()
    assert index.range_search(np.zeros((2, 2), np.uint8), 3).offsets.tolist() == [0, 0, 0]
    index.add(np.zeros((0, 2), np.uint8))
    assert len(index) == 0
    index.add(np.zeros((4, 2), np.uint8))
    assert index.search(np.zeros((0, 2), np.uint8), 3).ids.shape == (0, 3)
    assert index.range_search(np.zeros((0, 2), np.uint8), 3).offsets.tolist() == [0]


@pytest.mark.parametrize("k", [0, -1, 2**48, 2**70, 1.0, "3", True, None])
def test_k_must_be_a_positive_int(k):
    with pytest.raises((TypeError, ValueError), match="k must be"):
        hamming.search(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), k)


def test_radius_must_be_an_int_of_zero_or_more():
    index = hamming.FlatIndex(8)
    with pytest.raises(ValueError, match="radius must be at least 0, got -1"):
        index.range_search(np.zeros((1, 1), np.uint8), -1)
    with pytest.raises(TypeError, match="radius must be an int"):
        index.range_search(np.zeros((1, 1), np.uint8), 1.5)


def test_wrong_widths_are_named():
    with pytest.raises(ValueError, match="queries of 16 bits must have 2 bytes in a row, got 1"):
        hamming.distances(np.zeros((1, 1), np.uint8), np.zeros((1, 2), np.uint8))
    with pytest.raises(ValueError, match="codes of 12 bits must have 2 bytes"):
        hamming.FlatIndex(12).add(np.zeros((1, 3), np.uint8))
    with pytest.raises(ValueError, match="beyond its width of 12"):
        hamming.FlatIndex(12).add(np.full((1, 2), 255, np.uint8))
    with pytest.raises(ValueError, match="bits must be from 1 to 8192, got 100000"):
        hamming.FlatIndex(100000)
    with pytest.raises(ValueError, match="bitorder must be"):
        hamming.FlatIndex(8, bitorder="native")


def test_memory_is_that_of_the_codes(engine):
    codes = random_codes(np.random.default_rng(0), 100_000, 64)
    index = hamming.FlatIndex(64)
    for part in np.array_split(codes, 50):
        index.add(part)
    assert codes.nbytes <= index.nbytes <= 1.1 * codes.nbytes
    assert len(index) == 100_000
    np.testing.assert_array_equal(index.reconstruct(np.arange(0, 100_000, 997)), codes[::997])


@pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")
def test_positions_beyond_32_bits():
    """4,294,968,296 codes of one bit in 512 MiB of untouched zeros: where the ones are must not overflow."""
    n, ones = 2**32 + 1000, np.array([3, 2**32 - 1, 2**32, 2**32 + 900])
    blocks = -(-n // 512)
    memory = np.zeros(8 * blocks + 8, np.uint64)
    first = -memory.ctypes.data // 8 % 8
    words = memory[first : first + 8 * blocks]
    words[ones // 64] |= np.uint64(1) << (ones % 64).astype(np.uint64)
    index = hamming.FlatIndex(1)
    index._snapshot = Snapshot(index._snapshot.empty, (backend.map_segment(1, n, words),), Ids(n))
    assert len(index) == n
    query = np.ones((1, 1), np.uint8)
    found = index.search(query, 5, threads=2)
    assert found.ids[0].tolist() == [*ones.tolist(), 0]
    assert found.distances[0].tolist() == [0, 0, 0, 0, 1]
    assert index.range_search(query, 0).ids.tolist() == ones.tolist()
    np.testing.assert_array_equal(index.reconstruct([2**32 + 899, 2**32 + 900]), [[0], [1]])
