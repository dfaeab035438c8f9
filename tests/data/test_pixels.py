"""One picture as pixels: depths, transparency, orientation and arrays, held against OpenCV."""

import warnings

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from udsph.data.images import Images
from udsph.data.pixels import DamagedImage, decode, pixels_of
from udsph.data.tables import read_pixels
from udsph.errors import InputError

SIDE = 16
RAMP = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * 257 // 3).astype(np.uint16)  # most of the range of 16 bits


def seen_by_opencv(path):
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("suffix", ["png", "tif", "ppm"])
def test_grey_of_16_bits_is_what_opencv_shows(tmp_path, suffix):
    path = tmp_path / f"grey.{suffix}"
    if suffix == "ppm":
        path.write_bytes(b"P5 16 16 65535\n" + RAMP.astype(">u2").tobytes())
    else:
        Image.fromarray(RAMP).save(path)
    found = decode(tmp_path, path.name, SIDE)
    np.testing.assert_array_equal(found, seen_by_opencv(path))
    assert found.std() > 20


def test_colours_of_16_bits_are_what_opencv_shows(tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), np.stack([RAMP, RAMP // 2, RAMP[::-1]], -1))
    np.testing.assert_array_equal(decode(tmp_path, "x.png", SIDE), seen_by_opencv(tmp_path / "x.png"))


def test_floats_from_0_to_1_run_from_black_to_white(tmp_path):
    values = (RAMP / RAMP.max()).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "x.tif")
    expected = cv2.cvtColor(cv2.convertScaleAbs(values, alpha=255), cv2.COLOR_GRAY2RGB)
    np.testing.assert_array_equal(decode(tmp_path, "x.tif", SIDE), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (RAMP.astype(np.float32), r"x\.tif holds numbers from 0 to 2184\d, not from 0 to 1"),
        (np.full((4, 4), np.nan, np.float32), "holds numbers from nan to nan"),
        (RAMP.astype(np.int32), "whole numbers of 32 bits, of no known range; save it with 8 or 16 bits"),
    ],
)
def test_numbers_of_no_known_range_are_refused_not_guessed(tmp_path, values, message):
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(DamagedImage, match=message):
        decode(tmp_path, "x.tif", SIDE)


def on_white(rgba):
    """What OpenCV computes for a layer on white."""
    share = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(cv2.multiply(rgba[..., :3].astype(np.float32), np.repeat(share, 3, -1)) + 255 * (1 - share))


def test_a_drawing_on_a_transparent_ground_stands_on_white(tmp_path):
    layer = np.zeros((SIDE, SIDE, 4), np.uint8)
    layer[4:9, 2:12] = (0, 0, 0, 255)
    layer[10:14, 2:12] = (200, 40, 0, 100)
    Image.fromarray(layer).save(tmp_path / "x.png")
    Image.fromarray(layer).save(tmp_path / "x.webp", lossless=True, exact=True)
    for name in ("x.png", "x.webp"):
        found = decode(tmp_path, name, SIDE)
        np.testing.assert_allclose(found, on_white(layer), atol=1)
        assert found[0, 0].tolist() == [255, 255, 255] and found[5, 5].tolist() == [0, 0, 0]


@pytest.mark.parametrize("mode", ["LA", "P", "L"])
def test_other_ways_of_being_transparent(tmp_path, mode):
    if mode == "LA":
        Image.fromarray(np.dstack([np.zeros((SIDE, SIDE)), np.eye(SIDE) * 255]).astype(np.uint8), "LA").save(
            tmp_path / "x.png"
        )
    else:  # index 0, or grey level 0, is transparent
        plain = Image.fromarray((np.eye(SIDE) * 9).astype(np.uint8))
        if mode == "P":
            plain = plain.convert("P")
            plain.putpalette([0, 0, 0] * 256)
        plain.save(tmp_path / "x.png", transparency=0)
    found = decode(tmp_path, "x.png", SIDE)
    assert (found[~np.eye(SIDE, dtype=bool)] == 255).all()
    assert (found[np.eye(SIDE, dtype=bool)] < 10).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_pictures_stand_as_opencv_shows_them(tmp_path, orientation, suffix):
    wide = np.zeros((24, 48, 3), np.uint8)
    wide[:12, :24], wide[:12, 24:], wide[12:, :24] = 250, 160, 80
    note = Image.Exif()
    note[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(wide).save(path, exif=note, **({"quality": 100} if suffix == "jpg" else {}))
    if suffix == "jpg":
        shown = seen_by_opencv(path)
    else:
        jpeg = tmp_path / "same.jpg"
        Image.fromarray(wide).save(jpeg, exif=note, quality=100)
        shown = seen_by_opencv(jpeg)
    assert shown.shape == ((48, 24, 3) if orientation > 4 else (24, 48, 3))
    expected = cv2.resize(shown, (8, 8), interpolation=cv2.INTER_AREA)
    corners = np.ix_([0, 1, 6, 7], [0, 1, 6, 7])  # between them the two filters differ
    np.testing.assert_allclose(pixels_of(path, 8)[corners], expected[corners], atol=3)
    np.testing.assert_array_equal(pixels_of(Image.open(path), 8), pixels_of(str(path), 8))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "F", "1"])
def test_pictures_of_every_mode_are_turned(tmp_path, mode):
    note = Image.Exif()
    note[0x0112] = 6
    halves = np.zeros((8, 16), np.uint8)
    halves[:, :8] = 255
    wider = {"I;16": halves.astype(np.uint16) * 257, "F": halves / np.float32(255)}
    image = Image.fromarray(wider[mode]) if mode in wider else Image.fromarray(halves).convert(mode)
    image.save(tmp_path / "x.tif", exif=note)
    found = decode(tmp_path, "x.tif", 8)
    assert (found[:3] == 255).all() and (found[5:] == 0).all()


def test_a_damaged_orientation_beside_a_whole_picture_is_no_fault(tmp_path):
    Image.new("RGB", (20, 10), (200, 0, 0)).save(tmp_path / "x.jpg", exif=b"Exif\x00\x00nonsense", quality=95)
    assert abs(int(decode(tmp_path, "x.jpg", 8)[0, 0, 0]) - 200) < 4


def test_files_pictures_and_arrays_give_the_same_pixels(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path = tmp_path / "x.png"
    Image.fromarray(array).save(path)
    expected = Images(tmp_path, ["x.png"], 24)[np.array([0])][0]
    for item in (path, str(path), Image.open(path), array, array.astype(np.int64)):
        np.testing.assert_array_equal(pixels_of(item, 24), expected)
    assert pixels_of(array, (30, 50)).shape == (30, 50, 3)
    np.testing.assert_array_equal(pixels_of(array, (40, 60)), array)
    grey = array[..., 0]
    np.testing.assert_array_equal(pixels_of(grey, (40, 60)), np.repeat(grey[..., None], 3, -1))
    np.testing.assert_array_equal(pixels_of(grey[..., None], (40, 60)), pixels_of(grey, (40, 60)))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 4, 3), 256, np.uint16), r"item 3 has values from 256 to 256; pixels are 0 to 255; of 16 bits: "),
        (np.full((4, 4, 3), -1), "item 3 has values from -1 to -1; pixels are 0 to 255$"),
        (np.zeros((4, 4, 3)), r"item 3 has float64 values; pixels are whole numbers 0 to 255 \(uint8\); of 0 to 1: "),
        (np.zeros((4, 4), bool), r"item 3 has bool values; pixels are whole numbers"),
        (np.zeros((3, 4, 5), np.uint8), "item 3 is 3 x 4 x 5; expected height x width x 3"),
        (np.zeros((2, 4, 4, 3), np.uint8), "item 3 is 2 x 4 x 4 x 3; expected"),
        (np.zeros((0, 4, 3), np.uint8), "item 3 is 0 x 4 x 3; expected"),
    ],
)
def test_what_is_no_picture_is_refused(array, message):
    with pytest.raises(InputError, match=message):
        pixels_of(array, 8, "item 3")


def test_other_things_are_a_type_error(tmp_path):
    with pytest.raises(TypeError, match="image is int; expected a path, a PIL image, or an array of pixels"):
        pixels_of(3, 8)
    with pytest.raises(DamagedImage, match=r"none\.png does not exist"):
        pixels_of(tmp_path / "none.png", 8)


def test_stored_arrays_beyond_a_byte_are_refused(tmp_path):
    """They were cut to their low byte without a word."""
    values = np.full((2, 8, 8, 3), 256 * 7, np.uint16)
    scipy.io.savemat(tmp_path / "a.mat", {"images": values})
    with pytest.raises(InputError, match=r"mine: a\.mat: 'images', item 0 has values from 1792 to 1792"):
        read_pixels(tmp_path / "a.mat", "images", "mine", size=8, workers=1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = values
    with pytest.raises(InputError, match=r"a\.h5: 'images', item 1 has values from 1792 to 1792"):
        read_pixels(tmp_path / "a.h5", "images", "mine", size=8, workers=1)[np.array([1])]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(["jpg", "png", "tif", "gif", "bmp", "webp"]), place=st.floats(0, 1, exclude_max=True),
    byte=st.integers(0, 255), cut=st.booleans(),
)  # fmt: skip
def test_a_changed_or_cut_picture_never_shows_a_foreign_error(tmp_path, form, place, byte, cut):
    path = tmp_path / f"x.{form}"
    note = Image.Exif()
    note[0x0112] = 6
    Image.fromarray((RAMP // 256).astype(np.uint8)).save(path, exif=note)
    content = bytearray(path.read_bytes())
    where = int(place * len(content))
    if cut:
        del content[where:]
    else:
        content[where] = byte
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, on what it mends
        try:
            assert pixels_of(path, 8).shape == (8, 8, 3)
        except DamagedImage as error:
            assert "\n" not in str(error)
