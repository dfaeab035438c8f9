"""The Wikipedia features: a small folder in the same layout, its damage, and the real one where it is at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from udsph import data
from udsph.errors import InputError

TRAIN, TEST = 12, 6


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    arrays = {}
    for suffix, n in (("tr", TRAIN), ("te", TEST)):
        arrays |= {f"I_{suffix}": random.random((n, 8)), f"T_{suffix}": random.random((n, 3))}
        arrays[f"T_tfidf_{suffix}"] = random.random((n, 5))
    scipy.io.savemat(tmp_path / "raw_features.mat", arrays)
    (tmp_path / "categories.list").write_text("art\nmusic\nsport\n")
    for split, n in (("train", TRAIN), ("test", TEST)):
        lines = [f"text-{item}\timage-{item}\t{item % 3 + 1}\n" for item in range(n)]
        (tmp_path / f"{split}set_txt_img_cat.list").write_text("".join(lines))
    return tmp_path


def test_reads_the_layout(folder):
    wiki = data.load("wiki", folder)
    raw = scipy.io.loadmat(folder / "raw_features.mat")
    assert wiki.classes == ("art", "music", "sport")
    assert wiki.image.kind == wiki.text.kind == "vectors"
    train, query = wiki.splits["train"], wiki.splits["query"]
    np.testing.assert_array_equal(wiki.splits["database"], train)
    np.testing.assert_allclose(wiki.image.values[train], raw["I_tr"], rtol=1e-6)
    np.testing.assert_allclose(wiki.text.values[query], np.hstack([raw["T_te"], raw["T_tfidf_te"]]), rtol=1e-6)
    np.testing.assert_array_equal(wiki.labels[query].argmax(axis=1), np.arange(TEST) % 3)
    np.testing.assert_array_equal(wiki.labels.sum(axis=1), 1)
    assert wiki.settings == {"text": "lda+tfidf"}


def test_names_of_classes_may_have_blanks(folder):
    """They were parted at blanks, so that the numbers meant other classes."""
    (folder / "categories.list").write_text("fine art\nnew music\nsport\n\n", encoding="utf-16")
    assert data.load("wiki", folder).classes == ("fine art", "new music", "sport")
    (folder / "categories.list").write_text("\nmusic\nsport\n")
    with pytest.raises(InputError, match=r"wiki: categories\.list, line 1, is empty, so the numbers .* are unclear"):
        data.load("wiki", folder)


def test_topics_alone(folder):
    wiki = data.load("wiki", folder, text="lda")
    np.testing.assert_allclose(
        wiki.text.values[wiki.splits["train"]], scipy.io.loadmat(folder / "raw_features.mat")["T_tr"], rtol=1e-6
    )
    with pytest.raises(InputError, match=r"text='tfidf' must be one of: lda\+tfidf, lda"):
        data.load("wiki", folder, text="tfidf")


@pytest.mark.parametrize("name", ["raw_features.mat", "categories.list", "testset_txt_img_cat.list"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"wiki: '{name}' is missing"):
        data.load("wiki", folder)


@pytest.mark.parametrize("line", ["t\ti\t4", "t\ti\t0", "t\ti\tart", "t\ti", ""])
def test_a_bad_line_is_named(folder, line):
    path = folder / "trainset_txt_img_cat.list"
    lines = path.read_text().splitlines()
    lines[4] = line
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"line 5 of trainset_txt_img_cat\.list .* expected .* from 1 to 3"):
        data.load("wiki", folder)


def test_features_and_lists_must_agree(folder):
    path = folder / "testset_txt_img_cat.list"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=r"'I_te' is 6 x 8 but testset_txt_img_cat\.list has 5 lines"):
        data.load("wiki", folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"T_te": None}, "no array 'T_te'"),
        ({"T_te": np.full((TEST, 3), np.nan)}, "'T_te' has NaN or infinite values in row 0"),
        ({"T_te": np.zeros((TEST, 4))}, "'T_tr' has 3 columns but 'T_te' 4"),
    ],
)
def test_bad_features_are_named(folder, change, message):
    raw = scipy.io.loadmat(folder / "raw_features.mat")
    arrays = {key: value for key, value in {**raw, **change}.items() if value is not None and key[0] != "_"}
    scipy.io.savemat(folder / "raw_features.mat", arrays)
    with pytest.raises(InputError, match=message):
        data.load("wiki", folder)


@pytest.mark.skipif("UDSPH_DATA" not in os.environ, reason="UDSPH_DATA, the folder of real data, is not set")
def test_the_real_features():
    wiki = data.load("wiki", Path(os.environ["UDSPH_DATA"]) / "wiki")
    assert {name: len(index) for name, index in wiki.splits.items()} == {"train": 2173, "database": 2173, "query": 693}
    assert wiki.image.shape == (128,)
    assert wiki.text.shape == (1010,)
    assert len(wiki.classes) == 10
    assert wiki.classes[0] == "art"
    np.testing.assert_allclose(wiki.image.values.sum(axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(wiki.text.values[:, :10].sum(axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(wiki.text.values[:, 10:], axis=1), 1, atol=1e-4)
    counts = wiki.labels[wiki.splits["train"]].sum(axis=0), wiki.labels[wiki.splits["query"]].sum(axis=0)
    assert [int(count.sum()) for count in counts] == [2173, 693]
    assert min(int(count.min()) for count in counts) > 10


def test_the_class_minus_one_is_not_known(folder):
    path = folder / "trainset_txt_img_cat.list"
    lines = path.read_text().splitlines()
    lines[2], lines[4] = "text-2\timage-2\t-1", "text-4\timage-4\t-1"
    path.write_text("\n".join(lines))
    wiki = data.load("wiki", folder)
    assert np.flatnonzero(~wiki.known).tolist() == [2, 4]
    assert not wiki.labels[[2, 4]].any() and wiki.labels.sum() == TRAIN + TEST - 2
    path.write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match="has 11 lines; they must be the same items, and one without a class keeps"):
        data.load("wiki", folder)
