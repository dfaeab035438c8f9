"""The songs: a small file in the same form, its damage, and the real one where it is at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from udsph import data
from udsph.errors import InputError


def write(path, rhythm, timbre, labels, **more):
    views = np.empty((1, 2), dtype=object)
    views[0, 0], views[0, 1] = rhythm, timbre
    scipy.io.savemat(path, {"view": views, "label": labels, **more})


@pytest.fixture
def tables():
    random = np.random.default_rng(0)
    return random.random((20, 8)), random.random((20, 64)), (random.random((20, 6)) < 0.5).astype(np.int32)


def test_reads_both_views(tmp_path, tables):
    write(tmp_path / "emotions.mat", *tables)
    songs = data.load("emotions", tmp_path)
    np.testing.assert_allclose(songs.image.values, tables[0], rtol=1e-6)
    np.testing.assert_allclose(songs.text.values, tables[1], rtol=1e-6)
    np.testing.assert_array_equal(songs.labels, tables[2])
    assert {name: len(index) for name, index in songs.splits.items()} == {"query": 4, "train": 16, "database": 16}
    assert len(songs.classes) == 6
    same = data.load("emotions", tmp_path / "emotions.mat", seed="0")
    np.testing.assert_array_equal(same.splits["query"], songs.splits["query"])
    other = data.load("emotions", tmp_path, seed=1)
    assert not np.array_equal(other.splits["query"], songs.splits["query"])


def test_bad_files_are_named(tmp_path, tables):
    path = tmp_path / "emotions.mat"
    with pytest.raises(InputError, match=r"emotions: 'emotions.mat' is missing"):
        data.load("emotions", tmp_path)
    path.write_bytes(b"MATLAB 5.0" * 100)
    with pytest.raises(InputError, match=r"emotions: cannot read emotions\.mat"):
        data.load("emotions", tmp_path)
    scipy.io.savemat(path, {"label": tables[2], "views": 1})
    with pytest.raises(InputError, match=r"emotions\.mat has no array 'view'; it holds: label|it holds"):
        data.load("emotions", tmp_path)
    rhythm = tables[0].copy()
    rhythm[3, 2] = np.nan
    write(path, rhythm, *tables[1:])
    with pytest.raises(InputError, match="emotions: view 1 has NaN or infinite values in row 3"):
        data.load("emotions", tmp_path)
    write(path, tables[0][:19], *tables[1:])
    with pytest.raises(InputError, match="emotions: 19 image rows but 20 label rows"):
        data.load("emotions", tmp_path)


def test_the_other_version_of_mat_files_is_named(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py, of the extra train, is not installed")
    with h5py.File(tmp_path / "emotions.mat", "w", userblock_size=512) as file:
        file["label"] = np.zeros((6, 20))
    raw = bytearray((tmp_path / "emotions.mat").read_bytes())
    raw[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "emotions.mat").write_bytes(raw)
    with pytest.raises(InputError, match=r"emotions\.mat is a \.mat file of version 7\.3; save it again"):
        data.load("emotions", tmp_path)


@pytest.mark.skipif("UDSPH_DATA" not in os.environ, reason="UDSPH_DATA, the folder of real data, is not set")
def test_the_real_songs():
    songs = data.load("emotions", Path(os.environ["UDSPH_DATA"]) / "emotions")
    assert {name: len(index) for name, index in songs.splits.items()} == {"train": 474, "database": 474, "query": 119}
    assert songs.image.shape == (8,)
    assert songs.text.shape == (64,)
    # The publication's table of class sizes, in the order of the names.
    assert songs.labels.sum(axis=0).tolist() == [173, 166, 264, 148, 168, 189]


def test_a_row_of_minus_one_is_not_known(tmp_path, tables):
    labels = tables[2].copy()
    labels[3] = -1
    write(tmp_path / "emotions.mat", *tables[:2], labels)
    songs = data.load("emotions", tmp_path)
    assert np.flatnonzero(~songs.known).tolist() == [3] and not songs.labels[3].any()
