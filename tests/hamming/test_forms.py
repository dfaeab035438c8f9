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


def test_integers_columns_hexadecimal_and_bytes_are_codes_too():
    codes = np.packbits(values(64), axis=1, bitorder="little")
    index = hamming.FlatIndex(64)
    index.add(codes)
    truth = nearest(index, codes)
    words = codes.view("<u8")
    forms = {
        "a column of unsigned words": words[:, 0],
        "a column of SQL's bigint": words[:, 0].view(np.int64),
        "words of the other byte order": words.astype(">u8"),
        "Python integers": words[:, 0].tolist(),
        "signed Python integers": words[:, 0].view(np.int64).tolist(),
        "hexadecimal": [row.tobytes().hex() for row in codes],
        "hexadecimal in an array": np.array([row.tobytes().hex().upper() for row in codes]),
        "bytes": [row.tobytes() for row in codes],
        "a list of NumPy's integers": [
            *words[:3, 0],
            *words[3:, 0].view(np.int64),
        ],
        "integers of both kinds": [*words[:3, 0], *words[3:, 0].tolist()],
        "a column of objects": np.array(words[:, 0].tolist(), object),
        "a column of texts": np.array([row.tobytes().hex() for row in codes], object),
    }
    for name, form in forms.items():
        np.testing.assert_array_equal(nearest(index, form).ids, truth.ids, err_msg=name)
        np.testing.assert_array_equal(hamming.distances(form, form, bits=64), hamming.distances(codes, codes), name)
        np.testing.assert_array_equal(hamming.unpack(form, 64), hamming.unpack(codes, 64), name)
    mirrored = hamming.FlatIndex(64, bitorder="big")
    mirrored.add([row.tobytes() for row in np.packbits(values(64), axis=1)])
    np.testing.assert_array_equal(nearest(mirrored, words).ids, truth.ids)  # words have no order of bits in bytes


def test_wide_integers_are_codes():
    codes = np.packbits(values(100), axis=1, bitorder="little")
    index = hamming.FlatIndex(100)
    index.add([int.from_bytes(row.tobytes(), "little") for row in codes])
    np.testing.assert_array_equal(index.reconstruct(np.arange(50)), codes)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([3, 1 << 13], "item 1 is 0x2000"),
        ([-1], "item 0 is -0x1"),
        (["00ff", "0ff"], "not in hexadecimal at item 1: '0ff'"),
        (["00"], "2 bytes each, item 0 has 1"),
        ([b"abc"], "2 bytes each, item 0 has 3"),
        (np.ma.masked_array(np.zeros((2, 2), np.uint8), [[0, 1], [0, 0]]), "codes has masked entries"),
    ],
)
def test_wrong_single_codes_are_named(codes, message):
    with pytest.raises(ValueError, match=message):
        hamming.FlatIndex(13).add(codes)


@pytest.mark.parametrize("bitorder", ["little", "big"])
def test_packing_and_unpacking_in_either_order(bitorder):
    bools = values(13)
    codes = hamming.pack(bools, bitorder=bitorder)
    np.testing.assert_array_equal(codes, np.packbits(bools, axis=1, bitorder=bitorder))
    np.testing.assert_array_equal(hamming.unpack(codes, 13, bitorder=bitorder), bools)
    index = hamming.FlatIndex(13, bitorder=bitorder)
    index.add(codes)
    np.testing.assert_array_equal(hamming.unpack(index.reconstruct(np.arange(50)), 13, bitorder=bitorder), bools)
    for call in (lambda: hamming.pack(bools, bitorder="left"), lambda: hamming.unpack(codes, 13, bitorder="left")):
        with pytest.raises(ValueError, match="bitorder must be 'little' or 'big'"):
            call()


@pytest.mark.parametrize("form", ["int8", "uint64", "big"])
def test_one_call_takes_the_forms_of_an_index(form):
    bools = values(128)
    little, big = (np.packbits(bools, axis=1, bitorder=order) for order in ("little", "big"))
    codes, options = {
        "int8": (little.view(np.int8) ^ np.int8(-128), {}),
        "uint64": (little.view("<u8"), {}),
        "big": (big, {"bitorder": "big"}),
    }[form]
    for ours, truth in (
        (hamming.search(codes[:9], codes, 4, **options), hamming.search(little[:9], little, 4)),
        ([hamming.distances(codes[:9], codes, **options)], [hamming.distances(little[:9], little)]),
    ):
        for a, b in zip(ours, truth, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_masked_array_without_masked_entries_is_an_array_and_one_with_them_is_refused():
    floats = np.random.default_rng(0).normal(size=(4, 16))
    np.testing.assert_array_equal(hamming.pack(np.ma.masked_array(floats)), hamming.pack(floats))
    with pytest.raises(ValueError, match="values has masked entries"):
        hamming.pack(np.ma.masked_array(floats, floats > 1))


def test_half_precision_of_sixteen_bits_is_packed():
    torch = pytest.importorskip("torch")
    floats = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    np.testing.assert_array_equal(hamming.pack(torch.from_numpy(floats).to(torch.bfloat16)), hamming.pack(floats))
    with pytest.raises(TypeError, match="DLPack"):
        hamming.pack(torch.from_numpy(floats).requires_grad_())


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


@pytest.mark.parametrize(
    ("codes", "kinds"),
    [
        (["ab", 12], "int and str"),
        (["ab", b"c"], "bytes and str"),
        ([5, True], "bool and int"),
        ([5, 1.0], "float and int"),
        (["ab", None], "NoneType and str"),
        ([np.uint8(1), 2], "int and uint8"),
        (np.array(["ab", 12], object), "int and str"),
    ],
)
def test_a_list_of_several_forms_is_refused(codes, kinds):
    """NumPy would read the number 12 beside a text as the text "12"."""
    with pytest.raises(TypeError, match=f"codes holds {kinds}; give codes in one form"):
        hamming.FlatIndex(8).add(codes)


@pytest.mark.parametrize("nothing", [[], (), np.array([]), np.array([], object), np.array([], np.uint8)])
def test_no_codes_at_all_are_no_codes(nothing):
    index = hamming.FlatIndex(13)
    index.add(nothing)
    index.add(codes=[1])
    index.add(nothing)
    assert len(index) == 1
    assert index.search(nothing, 3).ids.shape == (0, 3)
    assert hamming.distances(nothing, [1, 2], bits=13).shape == (0, 2)
    assert hamming.unpack(nothing, 13).shape == (0, 13)


def test_hexadecimal_and_bytes_tell_their_width():
    codes = np.packbits(values(64), axis=1, bitorder="little")
    texts, raw = [row.tobytes().hex() for row in codes], [row.tobytes() for row in codes]
    truth, near = hamming.distances(codes, codes), hamming.search(codes, codes, 3)
    for form in (texts, raw, tuple(texts), np.array(texts), np.array(texts, object)):
        np.testing.assert_array_equal(hamming.distances(form, form), truth)
        np.testing.assert_array_equal(hamming.search(form, form, 3).ids, near.ids)
        found, wanted = (list(hamming.pairs(each, 25)) for each in (form, codes))
        np.testing.assert_array_equal(found[0].left, wanted[0].left)
    with pytest.raises(ValueError, match="8 bytes each, item 1 has 7"):
        hamming.distances(texts, [texts[0], texts[1][2:]])
    for form in ([1, 2], []):
        with pytest.raises(TypeError, match="other forms need bits="):
            hamming.distances(form, form)
