"""A folder of .npy files: read as memory maps, converted row by row, and never more than asked for."""

from __future__ import annotations

import numpy as np
import pytest

from udsph import data
from udsph.data.mapped import Float32Rows
from udsph.errors import InputError

N = 40


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    np.save(tmp_path / "image.npy", random.normal(size=(N, 6)).astype(np.float32))
    np.save(tmp_path / "text.npy", random.normal(size=(N, 3, 5)))
    np.save(tmp_path / "text_lengths.npy", random.integers(1, 4, N))
    np.save(tmp_path / "labels.npy", (random.random((N, 4)) < 0.6).astype(np.uint8))
    np.save(tmp_path / "query.npy", np.arange(10))
    return tmp_path


def test_a_folder_without_description(folder):
    found = data.load("features", root=folder)
    assert isinstance(found.image.values, np.memmap) and isinstance(found.text.values, Float32Rows)
    rows = found.text.values[np.array([3, 1])]
    assert rows.dtype == np.float32 and found.text.kind == "regions"
    np.testing.assert_array_equal(rows, np.load(folder / "text.npy")[[3, 1]].astype(np.float32))
    np.testing.assert_array_equal(np.asarray(found.text.values), np.load(folder / "text.npy").astype(np.float32))
    np.testing.assert_array_equal(found.splits["train"], np.arange(10, N))
    np.testing.assert_array_equal(found.text.take(np.array([7])).lengths, np.load(folder / "text_lengths.npy")[[7]])


def test_uint8_images_are_pixels(folder):
    np.save(folder / "image.npy", np.zeros((N, 8, 8, 3), np.uint8))
    found = data.load("features", root=folder)
    assert found.image.kind == "pixels" and found.image.shape == (8, 8, 3)


def test_nan_is_named_by_row(folder):
    for name, shape in (("image", (N, 6)), ("text", (N, 3, 5))):
        values = np.zeros(shape)
        values[17] = np.nan
        whole = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}.npy", values)
        with pytest.raises(InputError, match=f"'{name}' has NaN or infinite values in row 17"):
            data.load("features", root=folder)
        np.save(folder / f"{name}.npy", whole)


def test_what_is_no_folder_of_arrays_is_refused(folder, tmp_path_factory):
    with pytest.raises(InputError, match=r"holds no \.npy files"):
        data.load("features", root=tmp_path_factory.mktemp("empty"))
    with pytest.raises(InputError, match="no array 'sound'"):
        data.load("features", root=folder, image="sound")
    whole = (folder / "image.npy").read_bytes()
    for length in (0, 50, 200, len(whole) - 8):
        (folder / "image.npy").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cannot read image\.npy"):
            data.load("features", root=folder)
    np.save(folder / "image.npy", np.array([{}] * N), allow_pickle=True)
    with pytest.raises(InputError, match=r"cannot read image\.npy"):
        data.load("features", root=folder)
    (folder / "features.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        data.load("features", root=folder)
