"""The Numba functions inside a user's own compiled code."""

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from udsph.hamming import jit, reference  # noqa: E402


def test_functions_are_called_from_compiled_code():
    @numba.njit
    def closest_and_near(query, codes, radius):
        best = 0
        for i in range(1, len(codes)):
            if jit.distance(query, codes[i]) < jit.distance(query, codes[best]):
                best = i
        distances, positions = np.empty(3, np.int32), np.empty(3, np.int64)
        jit.search_one(query, codes, np.empty(0, np.bool_), distances, positions)
        near, _ = jit.range_search_one(query, codes, radius, np.ones(len(codes), np.bool_))
        return best, positions, len(near)

    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (500, 11), dtype=np.uint8)
    query = rng.integers(0, 256, 11, dtype=np.uint8)
    best, positions, near = closest_and_near(query, codes, 36)
    row = reference.distances(query[None], codes)[0]
    assert best == positions[0] == np.argmin(row)
    np.testing.assert_array_equal(positions, reference.search(query[None], codes, 3)[1][0])
    assert near == (row <= 36).sum()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.uint64])
def test_popcount_of_every_unsigned_type(dtype):
    count = numba.njit(lambda x: jit.popcount(x))
    top = np.iinfo(dtype).max
    assert [count(dtype(x)) for x in (0, 1, top, top - 1)] == [0, 1, np.iinfo(dtype).bits, np.iinfo(dtype).bits - 1]
