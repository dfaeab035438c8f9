import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from udsph import hamming


@given(arrays.arrays(np.int8, st.tuples(st.integers(0, 20), st.integers(1, 140)), elements=st.integers(-1, 1)))
def test_pack_takes_signs_and_unpack_reverses(values):
    codes = hamming.pack(values)
    assert codes.dtype == np.uint8
    assert codes.shape == (len(values), (values.shape[1] + 7) // 8)
    np.testing.assert_array_equal(hamming.unpack(codes, values.shape[1]), values > 0)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_pack_of_every_kind_of_number(dtype):
    assert hamming.pack(np.array([[1, 0, 1, 1, 0, 0, 0, 0, 1]], dtype)).tolist() == [[0b1101, 1]]


def test_pack_of_views_and_many_steps():
    values = np.random.default_rng(0).normal(size=(300, 1000))
    expected = np.packbits(values > 0, axis=1, bitorder="little")
    values.flags.writeable = False
    np.testing.assert_array_equal(hamming.pack(values), expected)
    np.testing.assert_array_equal(hamming.pack(np.asfortranarray(values)), expected)
    np.testing.assert_array_equal(hamming.pack(values[::-2]), expected[::-2])


def test_pack_takes_infinity_and_refuses_nan():
    assert hamming.pack(np.array([[np.inf, -np.inf]])).tolist() == [[1]]
    with pytest.raises(ValueError, match="NaN at row 1, column 2"):
        hamming.pack(np.array([[0.0, 1.0, 2.0], [0.0, 1.0, np.nan]]))


def test_pack_reads_torch_without_copying_it_by_hand():
    torch = pytest.importorskip("torch")
    assert hamming.pack(torch.tensor([[1.0, -1.0], [-1.0, 1.0]])).tolist() == [[1], [2]]


class OnDevice:
    """What a CUDA array looks like to DLPack."""

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **_):
        raise AssertionError("must not be read")


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.array([["a"]]), TypeError, "dtype <U1"),
        (np.array([[1j]]), TypeError, "complex"),
        ([[1, 2], [3]], TypeError, "cannot be read as an array"),
        (np.zeros(8), ValueError, r"shape \(n, bits\)"),
        (np.zeros((2, 0)), ValueError, "bits must be from 1 to 8192, got 0"),
        (np.zeros((1, 8193)), ValueError, "got 8193"),
        (OnDevice(), TypeError, "bring it to the host"),
    ],
)
def test_pack_names_what_is_wrong(values, error, message):
    with pytest.raises(error, match=message):
        hamming.pack(values)


@pytest.mark.parametrize(
    ("codes", "bits", "error", "message"),
    [
        (np.zeros((1, 1), np.int16), 8, TypeError, "uint8"),
        (np.zeros((1, 2), np.uint8), 8, ValueError, "must have 1 bytes in a row, got 2"),
        (np.zeros((1, 1), np.uint8), 0, ValueError, "from 1 to 8192"),
        (np.zeros((1, 1), np.uint8), 8.0, TypeError, "must be an int"),
        (np.zeros((1, 1), np.uint8), True, TypeError, "must be an int"),
        (np.array([[7], [8]], np.uint8), 3, ValueError, "beyond its width of 3 in row 1"),
    ],
)
def test_unpack_names_what_is_wrong(codes, bits, error, message):
    with pytest.raises(error, match=message):
        hamming.unpack(codes, bits)
