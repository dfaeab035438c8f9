"""A filter and a radius for each query: the results of one query at a time."""

import numpy as np
import pytest

from udsph import hamming
from udsph.errors import InputError


def make(cls=hamming.FlatIndex, n=1400, ids=None, **options):
    index = cls(64, **options)
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 256, (n, 8), dtype=np.uint8)
    codes[:, 2:] = codes[:1, 2:]  # near one another
    index.add(codes, ids)
    index.remove(index.ids[40:90])
    return index, np.delete(codes, np.arange(40, 90), axis=0)


def one_by_one(index, queries, k, wheres):
    found = [index.search(query, k, where=where) for query, where in zip(queries, wheres, strict=True)]
    return np.stack([f.distances for f in found]), np.stack([f.ids for f in found])


def check_range(found, index, queries, radii, wheres):
    assert found.offsets.dtype == np.int64 and len(found.offsets) == len(queries) + 1
    for i, (query, radius, where) in enumerate(zip(queries, radii, wheres, strict=True)):
        truth = index.range_search(query, int(radius), where=where)
        part = slice(found.offsets[i], found.offsets[i + 1])
        np.testing.assert_array_equal(found.distances[part], truth.distances)
        np.testing.assert_array_equal(found.ids[part], truth.ids)


@pytest.mark.parametrize("strings", [False, True])
def test_every_query_has_its_own_filter(engine, strings):
    index, codes = make(ids=[f"é{i}" for i in range(1400)] if strings else None)
    rng = np.random.default_rng(1)
    red, blue = rng.random(1350) < 0.3, hamming.Bitmap.from_mask(rng.random(1350) < 0.6)
    some = index.ids[[3, 700, 1349]].tolist()
    wheres = [red, None, blue, red, some, [], index.ids[100:1000], blue]
    queries = codes[: len(wheres)]
    distances, ids = one_by_one(index, queries, 5, wheres)
    for form in (wheres, tuple(wheres)):
        found = index.search(queries, 5, where=form)
        assert type(found) is hamming.SearchResult
        np.testing.assert_array_equal(found.distances, distances)
        np.testing.assert_array_equal(found.ids, ids)
    check_range(index.range_search(queries, 9, where=wheres), index, queries, [9] * len(wheres), wheres)
    np.testing.assert_array_equal(index.search(codes[0], 5, where=[red]).ids, ids[0])
    masks = rng.random((4, 1350)) < 0.2
    truth = one_by_one(index, queries[:4], 3, masks)
    np.testing.assert_array_equal(index.search(queries[:4], 3, where=masks).ids, truth[1])


def test_filters_and_radii_in_an_index_with_tables(engine):
    index, codes = make(hamming.Index, kind="multi")
    index.optimize()
    index.add(codes[:300] ^ np.uint8(1))
    mask = np.arange(len(index)) % 3 == 0
    wheres, radii = [mask, None, mask, None, [5, 9]], np.array([3, 0, 9, 64, 12], np.uint8)
    check_range(index.range_search(codes[:5], radii, where=wheres), index, codes[:5], radii, wheres)


@pytest.mark.parametrize("form", [np.array, list, tuple])
def test_every_query_has_its_own_radius(engine, form):
    index, codes = make()
    radii = [0, 3, 8, 3, 1000, 5, 2, 0]
    check_range(index.range_search(codes[:8], form(radii)), index, codes[:8], radii, [None] * 8)
    found = index.range_search(codes[:0], form([]) if form is not np.array else np.array([], int))
    assert found.offsets.tolist() == [0] and found.ids.dtype == np.int64


@pytest.mark.parametrize("strings", [False, True])
def test_no_results_at_all_keep_their_types(strings):
    index, codes = make(ids=[f"{i}" for i in range(1400)] if strings else None)
    found = index.range_search(~codes[:2], [0, 1])
    assert found.offsets.tolist() == [0, 0, 0]
    assert found.ids.dtype == index.ids.dtype and found.distances.dtype == np.int32


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"where": [None, None]}, InputError, "where has 2 filters, there are 3 queries"),
        ({"where": np.zeros((2, 1350), bool)}, InputError, r"shape \(1350,\) or \(3, 1350\), got \(2, 1350\)"),
        ({"where": [None, [1, 2], np.ones(7, bool)]}, ValueError, r"where must have shape \(1350,\)"),
        ({"where": [None, [1, 1], None]}, ValueError, "the id 1 twice"),
        ({"where": [None, [1, 99999], None]}, ValueError, "id 99999 is not in the index"),
        ({"where": [None, 5, None]}, TypeError, "where holds int among filters"),
        ({"radius": [1, 2]}, InputError, r"radius must be one int, or have shape \(3,\), got \(2,\)"),
        ({"radius": [1, -2, 3]}, InputError, "radius must be at least 0, got -2"),
        ({"radius": [1.0, 2.0, 3.0]}, TypeError, "radius must be integers, got dtype float64"),
        ({"radius": np.array([True, False, True])}, TypeError, "radius must be integers, got dtype bool"),
    ],
)
def test_wrong_filters_and_radii_are_named(options, error, message):
    index, codes = make()
    with pytest.raises(error, match=message):
        index.range_search(codes[:3], **{"radius": 3, **options})
    if "where" in options:
        with pytest.raises(error, match=message):
            index.search(codes[:3], 2, **options)


def test_one_query_has_one_radius():
    index, codes = make()
    with pytest.raises(InputError, match=r"radius must be one int for one query, got shape \(1,\)"):
        index.range_search(codes[0], [3])
    assert index.range_search(codes[0], np.int64(3)).offsets.shape == (2,)
