"""The forms in which codes arrive, and what is refused."""

import numpy as np
import pytest

from udsph import hamming


def values(bits, n=50):
    return np.random.default_rng(bits).normal(size=(n, bits)) > 0


def nearest(index, codes):
    return index.search(codes, 5)


@pytest.mark.parametrize("bits", [8, 13, 64, 100, 384])
def test_every_form_gives_the_same_neighbours(bits):
    bools = values(bits)
    little = np.packbits(bools, axis=1, bitorder="little")
    big = np.packbits(bools, axis=1)
    plain, mirrored = hamming.FlatIndex(bits), hamming.FlatIndex(bits, bitorder="big")
    plain.add(little)
    mirrored.add(big)
    truth = nearest(plain, little)
    for found in (nearest(mirrored, big), nearest(mirrored, (big.astype(int) - 128).astype(np.int8))):
        np.testing.assert_array_equal(found.ids, truth.ids)
        np.testing.assert_array_equal(found.distances, truth.distances)
    words = np.zeros((len(little), 8 * -(-bits // 64)), np.uint8)
    words[:, : little.shape[1]] = little
    np.testing.assert_array_equal(nearest(plain, words.view("<u8")).ids, truth.ids)
    np.testing.assert_array_equal(plain.reconstruct([3, 1]), little[[3, 1]])
    np.testing.assert_array_equal(mirrored.reconstruct([3, 1]), big[[3, 1]])


def test_views_and_read_only_arrays():
    codes = np.packbits(values(64), axis=1, bitorder="little")
    wide = np.zeros((100, 16), np.uint8)
    wide[::2, ::2] = codes
    view = wide[::2, ::2]
    view.flags.writeable = False
    index = hamming.FlatIndex(64)
    index.add(view)
    np.testing.assert_array_equal(index.search(np.asfortranarray(codes), 1).ids[:, 0], np.arange(50))


def test_torch_arrays_are_read_where_they_are():
    torch = pytest.importorskip("torch")
    codes = np.packbits(values(64), axis=1, bitorder="little")
    index = hamming.FlatIndex(64)
    index.add(torch.from_numpy(codes))
    assert index.search(torch.from_numpy(codes), 1).ids[:, 0].tolist() == list(range(50))
    with pytest.raises(TypeError, match="bring it to the host"):
        index.add(torch.zeros((1, 8), dtype=torch.uint8, device="meta"))


class OnDevice:
    """What a CUDA array looks like to DLPack."""

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **_):
        raise AssertionError("must not be read")


@pytest.mark.parametrize(
    ("codes", "error", "message"),
    [
        (OnDevice(), TypeError, r"codes is on a device .* bring it to the host .*codes.cpu\(\)"),
        (np.zeros((1, 2)), TypeError, "uint8, int8 or 64-bit words, got float64"),
        (np.zeros((1, 2), np.int64), ValueError, "packed bytes have dtype uint8"),
        (np.zeros((1, 2), np.int32), TypeError, "got int32"),
        (np.zeros((1, 13), bool), TypeError, "got bool"),
        (np.zeros(2, np.uint8), ValueError, r"shape \(n, bytes\), got \(2,\)"),
        (np.zeros((1, 3), np.uint8), ValueError, "13 bits must have 2 bytes in a row, got 3"),
        (np.zeros((1, 2), np.uint64), ValueError, r"must have shape \(n, 1\)"),
        (np.full((1, 1), 1 << 13, np.uint64), ValueError, "beyond its width of 13"),
        (np.full((1, 2), 255, np.uint8), ValueError, "beyond its width of 13"),
        (object(), TypeError, "got object"),
    ],
)
def test_wrong_codes_are_named(codes, error, message):
    with pytest.raises(error, match=message):
        hamming.FlatIndex(13).add(codes)


def test_unused_bits_of_big_order_are_the_low_ones():
    index = hamming.FlatIndex(13, bitorder="big")
    index.add(np.array([[255, 0b11111000]], np.uint8))
    with pytest.raises(ValueError, match="beyond its width of 13"):
        index.add(np.array([[255, 0b00000100]], np.uint8))
