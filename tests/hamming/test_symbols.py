"""Two-bit symbols, against OpenCV."""

import numpy as np
import pytest

from udsph import hamming


@pytest.mark.parametrize("bitorder", ["little", "big"])
@pytest.mark.parametrize("bits", [2, 8, 30, 256])
def test_distances_are_twice_those_of_symbols(bits, bitorder):
    rng = np.random.default_rng(bits)
    values = rng.integers(0, 2, (40, bits)).astype(np.uint8)
    codes = hamming.symbols_to_codes(np.packbits(values, axis=1, bitorder=bitorder), bits=bits, bitorder=bitorder)
    symbols = values.reshape(40, -1, 2)
    differ = (symbols[:, None] != symbols[None]).any(axis=3).sum(axis=2)
    np.testing.assert_array_equal(hamming.distances(codes, codes, bits=3 * bits // 2), 2 * differ)


def test_neighbours_are_those_of_opencv():
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    there = rng.integers(0, 256, (300, 32), dtype=np.uint8)
    queries = there[:40] ^ (rng.random((40, 32)) < 0.3).astype(np.uint8)
    matches = cv2.BFMatcher(cv2.NORM_HAMMING2).knnMatch(queries, there, k=3)
    index = hamming.FlatIndex(384)
    index.add(hamming.symbols_to_codes(there))
    found = index.search(hamming.symbols_to_codes(queries), 3)
    np.testing.assert_array_equal(found.distances, [[2 * int(match.distance) for match in row] for row in matches])
    np.testing.assert_array_equal(found.ids[:, 0], [row[0].trainIdx for row in matches])


@pytest.mark.parametrize(
    ("symbols", "bits", "message"),
    [
        (np.zeros((1, 1), np.uint8), 7, "even number of bits"),
        (np.zeros((1, 1000), np.uint8), None, "up to 5460, got 8000"),
    ],
)
def test_what_are_no_symbols_is_named(symbols, bits, message):
    with pytest.raises(ValueError, match=message):
        hamming.symbols_to_codes(symbols, bits=bits)
