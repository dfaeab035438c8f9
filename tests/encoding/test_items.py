"""What encode_image and encode_text take: pictures of any size, texts, arrays; and what they say of anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_array

from tests.training.conftest import QUICK, make_dataset
from udsph.data import Dataset, Modality
from udsph.encoding import Hasher, encode_file
from udsph.errors import InputError
from udsph.training import UDSPH


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    """Pictures of another size and shape than the model was trained on."""
    coarse = np.random.default_rng(0).integers(0, 256, (9, 5, 7, 3), dtype=np.uint8)
    return coarse.repeat(40, axis=1).repeat(30, axis=2)


@pytest.fixture(scope="module")
def wanted(model: UDSPH, large: np.ndarray) -> np.ndarray:
    """Their codes, resized by Pillow itself."""
    small = [Image.fromarray(row).resize((64, 64), Image.Resampling.BILINEAR) for row in large]
    return model.encode_image(np.stack([np.asarray(picture) for picture in small]))


@pytest.mark.parametrize("door", ["array", "arrays", "PIL", "paths", "names", "column", "modality", ".npy", "folder"])
def test_pictures_of_any_size_have_the_codes_of_the_resized_ones(
    model: UDSPH, large: np.ndarray, wanted: np.ndarray, tmp_path: Path, door: str
) -> None:
    paths = [tmp_path / "in" / f"{row}.png" for row in range(len(large))]
    paths[0].parent.mkdir()
    for path, picture in zip(paths, large, strict=True):
        Image.fromarray(picture).save(path)
    given: dict[str, Any] = {
        **{"array": large.astype(np.int64), "arrays": list(large), "PIL": [Image.fromarray(row) for row in large]},
        **{"paths": paths, "names": [str(path) for path in paths], "modality": Modality("pixels", large)},
        "column": np.array([str(path) for path in paths], dtype=object),
    }
    if door in given:
        codes = model.encode_image(given[door], batch_size=4)
    else:
        np.save(tmp_path / "in.npy", large)
        source = tmp_path / ("in" if door == "folder" else "in.npy")
        encode_file(model, source, tmp_path / "codes.npy", modality="image")
        codes = np.load(tmp_path / "codes.npy")
    np.testing.assert_array_equal(codes, wanted)


def test_pictures_may_be_mixed_and_grey_or_transparent(model: UDSPH, large: np.ndarray, wanted: np.ndarray) -> None:
    white = np.zeros((20, 20, 4), np.uint8)  # all transparent: a white ground
    grey = np.full((30, 10), 255, np.uint8)
    codes = model.encode_image([large[0], Image.fromarray(large[1]), white, grey, torch.from_numpy(large[2].copy())])
    np.testing.assert_array_equal(codes[[0, 1, 4]], wanted[:3])
    blank = model.encode_image(np.full((1, 64, 64, 3), 255, np.uint8))
    np.testing.assert_array_equal(codes[2:4], blank.repeat(2, axis=0))


def test_texts_are_encoded_by_the_stored_vocabulary(model: UDSPH, scenes: Dataset, tmp_path: Path) -> None:
    assert scenes.captions is not None
    wanted = model.encode_text(scenes.text)
    model.save(tmp_path / "run")
    loaded = Hasher.load(tmp_path / "run")
    for given in (list(scenes.captions), tuple(scenes.captions), np.array(scenes.captions), iter(scenes.captions)):
        np.testing.assert_array_equal(loaded.encode_text(given), wanted)


def test_texts_of_which_words_are_not_read_are_remarked_on(
    model: UDSPH, scenes: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    word = scenes.text.vocabulary[1]
    model.encode_text(["zzz", "qqq", " ".join([word] * (model.inputs.longest + 1)), word])
    assert [record.getMessage() for record in caplog.records] == [
        f"texts with more than {model.inputs.longest} known words: 1; the first ones are read",
        "texts without a word of the vocabulary: 2; they share one code",
    ]
    assert {record.name.partition(".")[0] for record in caplog.records} == {"udsph"}


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_pixels_beyond_a_byte_are_refused(model: UDSPH, scenes: Dataset, dtype: type, tmp_path: Path) -> None:
    values = scenes.image.values[:4].astype(dtype) * 256
    with pytest.raises(InputError, match=r"images\[?.*pixels are 0 to 255"):
        model.encode_image(values)
    np.save(tmp_path / "in.npy", values)
    with pytest.raises(InputError, match="pixels are 0 to 255"):
        encode_file(model, tmp_path / "in.npy", tmp_path / "codes.npy", modality="image")
    assert not (tmp_path / "codes.npy").exists()


PICTURES = "the model takes paths, PIL images or arrays of pixels .* resized to 64 x 64"
TEXTS = "the model takes texts, or arrays of token numbers below"


@pytest.mark.parametrize(
    ("modality", "given", "message"),
    [
        ("image", "photo.png", f"images: a single str given, {PICTURES}; give a list"),
        ("image", Path("photo.png"), f"a single .*Path given, {PICTURES}; give a list"),
        ("image", Image.new("RGB", (8, 8)), f"a single Image given, {PICTURES}; give a list"),
        ("image", np.zeros((8, 8, 3), np.uint8), f"an array of 8 x 8 x 3 given, {PICTURES}; give a list"),
        ("image", np.zeros((2, 3, 8, 8), np.uint8), f"an array of 2 x 3 x 8 x 8 given, {PICTURES}"),
        ("image", np.zeros((2, 8, 8, 3)), "images has float64 values; pixels are whole numbers"),
        ("image", np.zeros((2, 8, 8, 3), bool), "images has bool values"),
        ("image", [np.zeros((8, 8, 3)), 5], rf"images\[1\]: int given, {PICTURES}"),
        ("image", [b"bytes"], rf"images\[0\]: bytes given, {PICTURES}"),
        ("image", {"a": 1}, f"images: dict given, {PICTURES}"),
        ("image", 7, f"images: int given, {PICTURES}"),
        ("image", np.float32(7), "images: a single value given"),
        ("image", ["missing.png"], "missing.png does not exist"),
        ("image", Modality("vectors", np.zeros((2, 5))), rf"vectors of shape \(5,\) given, {PICTURES}"),
        ("text", "a red circle", f"texts: a single str given, {TEXTS}.*; give a list"),
        ("text", ["a red circle", None], rf"texts\[1\]: NoneType given, {TEXTS}"),
        ("text", [["a", "red"]], "texts: values of type <U3 given"),
        ("text", [[1, 2], [3]], f"texts: rows of different length given, {TEXTS}"),
        ("text", np.array([[1, 9999]]), f"tokens from 1 to 9999 given, {TEXTS}"),
        ("text", np.zeros((2, 5), np.float32), f"texts: values of type float32 given, {TEXTS}"),
        ("text", {"a", "b"}, f"texts: set given, {TEXTS}"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else type(value).__name__,
)
def test_anything_else_is_named_with_what_the_model_takes(
    model: UDSPH, modality: str, given: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        getattr(model, f"encode_{modality}")(given)


def test_tokens_of_another_vocabulary_are_refused(model: UDSPH, scenes: Dataset) -> None:
    words = scenes.text.vocabulary
    assert words is not None
    turned = Modality("tokens", scenes.text.values, scenes.text.lengths, (words[0], *words[:0:-1]))
    fewer = Modality("tokens", scenes.text.values % 3, scenes.text.lengths, words[:3])
    for other in (turned, fewer):
        with pytest.raises(InputError, match=rf"tokens of another vocabulary \({len(other.vocabulary)} words\) given"):
            model.encode_text(other)
    bare = Modality("tokens", scenes.text.values, scenes.text.lengths)
    np.testing.assert_array_equal(model.encode_text(bare), model.encode_text(scenes.text))
    with pytest.raises(InputError, match="tokens from 0 to 999 given"):
        model.encode_text(Modality("tokens", np.array([[0, 999]])))


def test_a_run_of_an_earlier_version_has_no_vocabulary(model: UDSPH, scenes: Dataset, tmp_path: Path) -> None:
    model.save(tmp_path / "run")
    (tmp_path / "run" / "inputs.json").unlink()
    old = Hasher.load(tmp_path / "run")
    with pytest.raises(InputError, match=r"text given, the model takes arrays of token numbers .* without its vocab"):
        old.encode_text(["a red circle"])
    np.testing.assert_array_equal(old.encode_text(scenes.text), model.encode_text(scenes.text))
    np.testing.assert_array_equal(old.encode_image(list(scenes.image.values)), model.encode_image(scenes.image))


def test_numbers_that_are_none_have_no_code() -> None:
    model = UDSPH(**QUICK | {"epochs": 1}).fit(make_dataset(), progress=False)
    values = np.zeros((9, 12), np.float32)
    values[5, 3] = np.nan
    with pytest.raises(InputError, match=r"images: the network's answer to an item \(row 5 of its batch\) is NaN"):
        model.encode_image(Modality("vectors", values))


def test_a_model_of_features_takes_arrays_alone() -> None:
    model = UDSPH(**QUICK | {"epochs": 1}).fit(make_dataset(("regions", "vectors")), progress=False)
    regions, vectors = r"arrays of regions \(n x parts x 4\)", r"arrays of feature vectors \(n x 12\)"
    for encode, takes in ((model.encode_image, regions), (model.encode_text, vectors)):
        for given in (["a.png"], np.array(["a.png"]), [Image.new("RGB", (8, 8))], np.zeros((2, 7))):
            with pytest.raises(InputError, match=f"given, the model takes {takes}"):
                encode(given)
        with pytest.raises(InputError, match="NaN or infinite values in row 1"):
            encode(np.array([np.zeros(12), np.full(12, np.nan)]))
    values = np.random.default_rng(0).standard_normal((6, 12))
    wanted = model.encode_text(values.astype(np.float32))
    for given in (values, values.tolist(), csr_array(values), torch.from_numpy(values)):
        np.testing.assert_array_equal(model.encode_text(given), wanted)


@pytest.mark.parametrize("given", [[], (), np.empty((0, 64, 64, 3), np.uint8), iter([])], ids=type)
def test_no_items_have_no_codes(model: UDSPH, given: Any) -> None:
    assert model.encode_image(given).shape == (0, 2)
    assert model.encode_text([]).shape == (0, 2)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True])
def test_a_wrong_batch_size_is_named(model: UDSPH, scenes: Dataset, batch_size: Any) -> None:
    with pytest.raises(InputError, match=f"batch_size={batch_size}"):
        model.encode_image(scenes.image, batch_size)


def test_a_model_says_what_it_is(model: UDSPH, scenes: Dataset) -> None:
    assert repr(UDSPH(bits=8)) == "UDSPH(8 bits, not trained)"
    lines = repr(model).splitlines()
    assert lines[0] == f"UDSPH(16 bits, {len(scenes.classes)} classes)"
    assert "resized to 64 x 64" in lines[1] and "texts" in lines[2] and lines[3].strip() == "trained on: scenes"


def test_masked_pictures_are_refused(model: UDSPH, scenes: Dataset) -> None:
    pixels = scenes.image.values[:2]
    with pytest.raises(ValueError, match="images has masked entries"):
        model.encode_image(np.ma.array(pixels, mask=pixels > 100))
