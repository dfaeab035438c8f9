"""One query, a row of bytes by itself: the results of a batch of one, with one dimension less."""

import numpy as np
import pytest

from udsph import hamming


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def make(bits, n, rng, cls=hamming.FlatIndex, **options):
    index = cls(bits, **options)
    codes = rng.integers(0, 256, (n, (bits + 7) // 8), dtype=np.uint8)
    if bits % 8:
        codes[:, -1] &= (1 << bits % 8) - 1
    for part in np.array_split(codes, [600, 601]):  # several segments without native code
        index.add(part)
    return index, codes


def agree(index, query, k=7, radius=9, **options):
    one, batch = index.search(query, k, **options), index.search(query[None], k, **options)
    assert type(one) is hamming.SearchResult
    for ours, truth in zip(one, batch, strict=True):
        assert ours.shape == (k,) and ours.dtype == truth.dtype
        np.testing.assert_array_equal(ours, truth[0])
    one, batch = index.range_search(query, radius, **options), index.range_search(query[None], radius, **options)
    assert type(one) is hamming.RangeResult
    for ours, truth in zip(one, batch, strict=True):
        assert ours.dtype == truth.dtype
        np.testing.assert_array_equal(ours, truth)


@pytest.mark.parametrize("bits", [8, 13, 64, 100, 256])
def test_one_query_gives_the_results_of_a_batch_of_one(engine, bits, rng):
    index, codes = make(bits, 1500, rng)
    mask = rng.random(1500) < 0.3
    for where in (None, mask, hamming.Bitmap.from_mask(mask), [3, 700, 5]):
        agree(index, codes[5], where=where)
    agree(index, codes[5], k=1600, threads=2)
    index.remove(np.arange(4, 900))
    agree(index, codes[5])
    agree(hamming.FlatIndex(bits), codes[5])


def test_one_query_of_an_index_with_tables_and_a_tail(engine, rng):
    index, codes = make(64, 3000, rng, hamming.Index, kind="multi")
    index.optimize()
    index.add(codes[:700] ^ np.uint8(1))
    for query in (codes[3], codes[2999], ~codes[8]):
        agree(index, query)
        agree(index, query, where=np.arange(3700) % 2 == 0)


def test_other_forms_of_one_query(rng):
    index, codes = make(64, 900, rng)
    mirrored = hamming.FlatIndex(64, bitorder="big")
    mirrored.add(np.packbits(np.unpackbits(codes, axis=1, bitorder="little"), axis=1))
    truth = index.search(codes[4], 3)
    wide = np.zeros(16, np.uint8)
    wide[::2] = codes[4]
    big = np.packbits(np.unpackbits(codes[4], bitorder="little"))
    for found in (
        index.search(codes[4].view(np.int8) ^ np.int8(-128), 3),
        index.search(wide[::2], 3),
        mirrored.search(big, 3),
    ):
        np.testing.assert_array_equal(found.ids, truth.ids)
    assert index.search(codes.view("<u8")[:5, 0], 3).ids.shape == (5, 3)  # a column of words is one code each
    torch = pytest.importorskip("torch")
    assert index.search(torch.from_numpy(codes[4]), 3).ids.shape == (3,)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (np.zeros(3, np.uint8), "queries of 13 bits must have 2 bytes in a row, got 3"),
        (np.full(2, 255, np.uint8), "queries has bits set beyond its width of 13"),
        (np.zeros((1, 1, 2), np.uint8), r"queries must have shape \(n, bytes\)"),
        (np.uint8(3), r"queries must have shape \(n, bytes\)"),
    ],
)
def test_wrong_single_queries_are_named(query, message, rng):
    index, _ = make(13, 700, rng)
    with pytest.raises(ValueError, match=message):
        index.search(query, 1)
    with pytest.raises(ValueError, match=message):
        index.range_search(query, 1)


def test_wrong_arguments_beside_one_query_are_named(rng):
    index, codes = make(64, 700, rng)
    for k in (0, True, 2.0, None, 2**48):
        with pytest.raises((TypeError, ValueError), match="k must be"):
            index.search(codes[0], k)
    assert index.search(codes[0], np.int64(2)).ids.shape == (2,)
    for threads in (0, True, "2"):
        with pytest.raises((TypeError, ValueError), match="threads must be"):
            index.search(codes[0], 1, threads=threads)
