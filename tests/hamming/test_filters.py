import numpy as np
import pytest

from udsph import hamming


@pytest.fixture
def index():
    index = hamming.FlatIndex(64)
    index.add(np.random.default_rng(0).integers(0, 256, (1300, 8), dtype=np.uint8))
    return index


def test_mask_bitmap_and_ids_say_the_same(engine, index):
    mask = np.random.default_rng(1).random(1300) < 0.3
    queries = index.reconstruct(np.arange(30))
    by_mask = index.search(queries, 20, where=mask)
    assert mask[by_mask.ids].all()
    bitmap = hamming.Bitmap(np.packbits(mask, bitorder="little"), 1300)
    assert len(bitmap) == 1300
    for where in (bitmap, hamming.Bitmap.from_mask(mask), np.flatnonzero(mask), np.flatnonzero(mask).tolist()):
        found = index.search(queries, 20, where=where)
        np.testing.assert_array_equal(found.ids, by_mask.ids)
        inside, truth = (index.range_search(queries, 20, where=allowed) for allowed in (where, mask))
        np.testing.assert_array_equal(inside.ids, truth.ids)


def test_bits_beyond_the_codes_do_not_count(engine):
    index = hamming.FlatIndex(8)
    index.add(np.zeros((5, 1), np.uint8))
    where = hamming.Bitmap(np.array([255], np.uint8), 5)
    assert index.search(np.zeros((1, 1), np.uint8), 8, where=where).ids.tolist() == [[0, 1, 2, 3, 4, -1, -1, -1]]


def test_a_bitmap_stays_what_it_was(engine, index):
    data = np.zeros(163, np.uint8)
    data[0] = 4
    bitmap, query = hamming.Bitmap(data, 1300), np.zeros((1, 8), np.uint8)
    for _ in range(2):
        assert index.search(query, 2, where=bitmap).ids.tolist() == [[2, -1]]
        data[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        bitmap.data[0] = 1


def test_few_ids_in_many_codes_keep_the_order_of_insertion(engine):
    index = hamming.FlatIndex(8)
    index.add(np.zeros((2000, 1), np.uint8))
    for query in (np.zeros((1, 1), np.uint8), np.zeros(1, np.uint8)):
        assert index.search(query, 4, where=[1500, 3, 700]).ids.reshape(-1).tolist() == [3, 700, 1500, -1]
        assert index.range_search(query, 0, where=[1500, 3, 700]).ids.tolist() == [3, 700, 1500]


def test_where_by_ids_of_ones_own():
    index = hamming.FlatIndex(8)
    index.add(np.zeros((3, 1), np.uint8), [30, 20, 10])
    assert index.search(np.zeros((1, 1), np.uint8), 3, where=[10, 30]).ids.tolist() == [[30, 10, -1]]
    assert index.search(np.zeros((1, 1), np.uint8), 3, where=[]).ids.tolist() == [[-1, -1, -1]]
    with pytest.raises(ValueError, match="id 11 is not in the index"):
        index.search(np.zeros((1, 1), np.uint8), 3, where=[11])


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (np.ones(1299, bool), ValueError, r"shape \(1300,\)"),
        (np.ones((1300, 1), bool), ValueError, r"shape \(1300,\)"),
        (hamming.Bitmap(np.zeros(1, np.uint8), 8), ValueError, "it has 8, the index 1300"),
        (np.ones(3), TypeError, "mask, a Bitmap or an array of ids"),
        ("all", TypeError, "mask, a Bitmap or an array of ids"),
        (np.arange(1300, dtype=np.uint8) % 2, ValueError, "the id 0 twice; give each id once, and a mask as booleans"),
        ([5, 6, 5], ValueError, "the id 5 twice"),
        (np.ma.masked_array(np.ones(1300, bool), np.arange(1300) == 3), ValueError, "where has masked entries"),
    ],
)
def test_wrong_filters_are_named(index, where, error, message):
    with pytest.raises(error, match=message):
        index.search(np.zeros((1, 8), np.uint8), 1, where=where)


@pytest.mark.parametrize(
    ("data", "n", "error"),
    [
        (np.zeros(2, np.uint8), 17, ValueError),
        (np.zeros(2, np.int8), 16, TypeError),
        (np.zeros((1, 2), np.uint8), 16, ValueError),
    ],
)
def test_wrong_bitmaps_are_named(data, n, error):
    with pytest.raises(error, match="data of a Bitmap"):
        hamming.Bitmap(data, n)
    with pytest.raises(TypeError, match="boolean"):
        hamming.Bitmap.from_mask([0, 1])


def test_masks_of_arrow_and_empty_arrays(engine, index):
    pyarrow = pytest.importorskip("pyarrow")
    mask = np.arange(1300) % 3 == 0
    query = np.zeros((1, 8), np.uint8)
    truth = index.search(query, 5, where=mask)
    np.testing.assert_array_equal(index.search(query, 5, where=pyarrow.array(mask)).ids, truth.ids)
    with pytest.raises(TypeError, match=r"where holds NoneType and bool; .* a mask that says True or False"):
        index.search(query, 5, where=pyarrow.array([*mask[:-1].tolist(), None]))
    assert index.search(query, 2, where=np.array([])).ids.tolist() == [[-1, -1]]


def test_masks_count_the_codes_that_are_left(engine, index):
    query = np.zeros((1, 8), np.uint8)
    index.remove(np.arange(3, 200))
    mask = np.zeros(1103, bool)
    mask[[0, 3, 1102]] = True
    for where in (mask, hamming.Bitmap.from_mask(mask), [0, 200, 1299]):
        assert sorted(index.search(query, 4, where=where).ids[0]) == [-1, 0, 200, 1299]
    with pytest.raises(ValueError, match="id 3 is not in the index"):
        index.search(query, 4, where=[3])


@pytest.mark.parametrize("n", [8.0, 1.5, True, "8"])
def test_the_length_of_a_bitmap_is_a_whole_number(n):
    with pytest.raises(TypeError, match="n must be an int"):
        hamming.Bitmap(np.zeros(1, np.uint8), n)


def test_a_mask_with_something_else_in_it_is_no_list_of_ids():
    index = hamming.FlatIndex(64)
    index.add(np.arange(40, dtype=np.uint8).reshape(5, 8))
    for where in ([False, 1, True, True, True], [1, False, 2], (True, "a")):
        with pytest.raises(TypeError, match="where holds booleans and other values"):
            index.search(np.zeros((1, 8), np.uint8), 2, where=where)
