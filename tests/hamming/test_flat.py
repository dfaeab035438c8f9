import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udsph import hamming
from udsph.hamming import reference

every_engine = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)


def brute_force(queries, codes, k):
    """By definition, from unpacked bits: nothing of the package."""
    bits_q, bits_c = np.unpackbits(queries, axis=1), np.unpackbits(codes, axis=1)
    matrix = (bits_q[:, None, :] != bits_c[None, :, :]).sum(-1)
    distances = np.full((len(queries), k), 2**31 - 1)
    ids = np.full((len(queries), k), -1)
    for row, near, found in zip(matrix, distances, ids, strict=True):
        order = sorted(range(len(codes)), key=lambda i: (row[i], i))[:k]
        near[: len(order)], found[: len(order)] = row[order], order
    return matrix, distances, ids


@st.composite
def problems(draw):
    """Queries and codes of any width, with as many ties as one likes."""
    bytes_ = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 16, 256]))  # few values per byte: many equal distances
    nq, n = draw(st.integers(0, 6)), draw(st.integers(0, 90))
    make = lambda rows: rng.integers(0, levels, (rows, bytes_), dtype=np.uint8)  # noqa: E731
    return make(nq), make(n), draw(st.integers(1, 100))


@every_engine
@given(problems())
def test_search_and_distances_follow_the_definition(engine, problem):
    queries, codes, k = problem
    matrix, distances, ids = brute_force(queries, codes, k)
    np.testing.assert_array_equal(hamming.distances(queries, codes), matrix)
    found = hamming.search(queries, codes, k)
    np.testing.assert_array_equal(found.distances, distances)
    np.testing.assert_array_equal(found.ids, ids)
    assert (found.distances.dtype, found.ids.dtype) == (np.int32, np.int64)


@pytest.mark.parametrize("bits", [8, 64, 128, 200, 256, 512, 1024])
def test_larger_problems_match_the_reference(engine, bits):
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, 256, (6000, bits // 8), dtype=np.uint8)
    queries = codes[:5] ^ (rng.random((5, bits // 8)) < 0.1)
    index = hamming.FlatIndex(bits)
    index.add(codes[:1000])
    index.add(codes[1000:])
    assert len(index) == 6000
    for k in (1, 10, 3000):
        found, truth = index.search(queries, k), reference.top_k(queries, codes, k)
        np.testing.assert_array_equal(found.distances, truth[0])
        np.testing.assert_array_equal(found.ids, truth[1])


def test_an_empty_index_pads_and_an_empty_batch_is_empty(engine):
    index = hamming.FlatIndex(12)
    found = index.search(np.zeros((2, 2), np.uint8), 3)
    assert (found.ids == -1).all() and (found.distances == 2**31 - 1).all()
    index.add(np.zeros((0, 2), np.uint8))
    assert len(index) == 0
    index.add(np.zeros((4, 2), np.uint8))
    assert index.search(np.zeros((0, 2), np.uint8), 3).ids.shape == (0, 3)


@pytest.mark.parametrize("k", [0, -1, 1.0, "3", True])
def test_k_must_be_a_positive_int(k):
    with pytest.raises((TypeError, ValueError), match="k must be"):
        hamming.search(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), k)


def test_wrong_widths_are_named():
    with pytest.raises(ValueError, match="queries of 16 bits must have 2 bytes in a row, got 1"):
        hamming.distances(np.zeros((1, 1), np.uint8), np.zeros((1, 2), np.uint8))
    with pytest.raises(ValueError, match="codes of 12 bits must have 2 bytes"):
        hamming.FlatIndex(12).add(np.zeros((1, 3), np.uint8))
    with pytest.raises(ValueError, match="beyond its width of 12"):
        hamming.FlatIndex(12).add(np.full((1, 2), 255, np.uint8))
    with pytest.raises(ValueError, match="bits must be from 1 to 8192, got 100000"):
        hamming.FlatIndex(100000)
