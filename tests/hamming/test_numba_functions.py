"""Functions for compiled code of a user's: results of the search itself, native and as compiled by Numba."""

from __future__ import annotations

import numpy as np
import pytest

from udsph import hamming
from udsph.hamming import backend

pytest.importorskip("numba")
from numba.core.errors import TypingError

from udsph.hamming import numba_functions as functions


def check_parity() -> None:
    """Every function over packed rows against the index; ``test_doors`` calls it where there is no native code."""
    rng = np.random.default_rng(0)
    for width, n in ((1, 40), (8, 300), (13, 300), (8, 0)):
        codes, queries = (rng.integers(0, 256, (rows, width), dtype=np.uint8) for rows in (n, 4))
        index = hamming.FlatIndex(8 * width)
        index.add(codes)
        for query in queries:
            out = np.empty(n, np.int32)
            functions.distances(query, codes, out)
            np.testing.assert_array_equal(out, hamming.distances(query[None], codes)[0])
            for k in (0, 1, 7, n + 3):
                near, rows = np.empty(k, np.int32), np.empty(k, np.int64)
                functions.nearest(query, codes, near, rows)
                expected = index.search(query, max(k, 1))
                np.testing.assert_array_equal(near, expected.distances[:k])
                np.testing.assert_array_equal(rows, expected.ids[:k])
            for radius, room in ((0, 3), (3 * width, 5), (3 * width, n), (8 * width, 2)):
                near, rows = np.empty(room, np.int32), np.empty(room, np.int64)
                expected_range = index.range_search(query, radius)
                count = min(room, len(expected_range.ids))
                assert functions.within(query, codes, radius, near, rows) == len(expected_range.ids)
                np.testing.assert_array_equal(rows[:count], expected_range.ids[:count])
                np.testing.assert_array_equal(near[:count], expected_range.distances[:count])


def test_results_are_those_of_the_index() -> None:
    check_parity()


@pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")
def test_an_index_is_searched_through_a_view() -> None:
    rng = np.random.default_rng(0)
    codes, queries = (rng.integers(0, 256, (n, 8), dtype=np.uint8) for n in (600, 5))
    index = hamming.Index(64, kind="multi")
    index.add(codes, ids=np.arange(600)[::-1] * 3)
    index.optimize()
    near, ids = np.empty((5, 4), np.int32), np.empty((5, 4), np.int64)
    view, expected = functions.view(index), index.search(queries, 4)
    index.clear()
    functions.search(view.address, queries, near, ids)
    np.testing.assert_array_equal(ids, expected.ids)
    np.testing.assert_array_equal(near, expected.distances)
    with pytest.raises(ValueError, match="queries must have the width of the index"):
        functions.search(view.address, queries[:, :3], near, ids)
    with pytest.raises(ValueError, match="must be contiguous"):
        functions.search(view.address, queries, np.empty((5, 8), np.int32)[:, ::2], ids)
    with pytest.raises(ValueError, match=r"shape \(nq, k\)"):
        functions.search(view.address, queries, near[:2], ids)


def test_arrays_that_do_not_fit_are_refused_before_memory_is_touched() -> None:
    codes, query = np.zeros((5, 8), np.uint8), np.zeros(8, np.uint8)
    near, rows = np.empty(3, np.int32), np.empty(3, np.int64)
    for call in (
        lambda: functions.distances(query[:3], codes, np.empty(5, np.int32)),
        lambda: functions.distances(query, codes, near),
        lambda: functions.nearest(query, codes, near, rows[:2]),
        lambda: functions.within(query, codes, -1, near, rows),
        lambda: functions.distances(query, codes, np.empty((5, 2), np.int32)[:, 0]),
        lambda: functions.nearest(query, codes, near, np.empty(6, np.int64)[::2]),
        lambda: functions.within(query, codes, 3, near[::-1], rows),
    ):
        with pytest.raises(ValueError, match="must"):
            call()
    with pytest.raises(TypingError):
        functions.distances(query, codes, np.empty(5, np.int64))


def test_rows_and_columns_of_a_larger_array_are_taken_as_they_are() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (40, 16), dtype=np.uint8)
    part, query, out = codes[::2, 4:12], codes[3, ::2], np.empty(20, np.int32)
    functions.distances(query, part, out)
    np.testing.assert_array_equal(out, hamming.distances(query[None], part)[0])
