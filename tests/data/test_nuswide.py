"""NUS-WIDE in its official lists, written here; the real labels and lists where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from udsph import data
from udsph.data.items import most_frequent
from udsph.data.layouts import nuswide
from udsph.data.problems import Problems
from udsph.data.protocols import listed_splits
from udsph.errors import InputError

N = 30
# 22 classes: class k of 21 holds for the images with i % 21 == k; "rare", the last, for image 29 alone.
NAMES = [f"c{k:02d}" for k in range(21)] + ["rare"]


@pytest.fixture
def root(tmp_path):
    for folder in ("ImageList", "Groundtruth/AllLabels", "NUS_WID_Tags", "Flickr/actor", "Flickr/zebra"):
        (tmp_path / folder).mkdir(parents=True)
    words = ["actor" if i % 2 else "zebra" for i in range(N)]
    files = [f"{word}\\{i:04d}_77{i}.jpg" for i, word in enumerate(words)]
    (tmp_path / "ImageList" / "Imagelist.txt").write_text("\n".join(files) + "\n")
    for i, file in enumerate(files):
        Image.new("RGB", (20, 20), (8 * i, 0, 0)).save(tmp_path / "Flickr" / file.replace("\\", "/"), quality=95)
    labels = np.zeros((N, 22), int)
    labels[np.arange(N), np.arange(N) % 21] = 1
    labels[29] = 0
    labels[29, 21] = 1
    for column, name in enumerate(NAMES):
        lines = "".join(f"{value}\r\n" for value in labels[:, column])
        (tmp_path / "Groundtruth" / "AllLabels" / f"Labels_{name}.txt").write_text(lines)
    (tmp_path / "NUS_WID_Tags" / "TagList1k.txt").write_text("sky\nsea\nsun\n")
    tags = np.eye(3, dtype=int)[np.arange(N) % 3]
    tags[5] = 0
    lines = "".join("\t".join(map(str, row)) + "\t\r\n" for row in tags)
    (tmp_path / "NUS_WID_Tags" / "AllTags1k.txt").write_text(lines)
    (tmp_path / "NUS_WID_Tags" / "All_Tags.txt").write_text("".join(f"{i}    tag{i % 4} more\n" for i in range(N)))
    return tmp_path


def numbers(found):
    """Which image each item is, from its colour."""
    return np.rint(found.image.values[np.arange(len(found))][..., 0].mean(axis=(1, 2)) / 8).astype(int)


def test_official_lists(root):
    found = data.load("nuswide", root)
    assert found.classes == tuple(NAMES[:21])
    used = np.arange(29)
    np.testing.assert_array_equal(numbers(found), used)
    np.testing.assert_array_equal(found.labels.argmax(axis=1), used % 21)
    assert found.text.vocabulary == ("sky", "sea", "sun")
    expected = np.eye(3)[used % 3]
    expected[5] = 0
    np.testing.assert_array_equal(found.text.values.toarray(), expected)
    assert found.captions[2] == "tag2 more"
    assert "1 of 30 pairs have none of the 21 classes and are not used" in found.notes
    assert any("29 pairs instead of the 195,834 of the protocol tc21" in note for note in found.notes)


def test_other_protocols(root):
    assert len(data.load("nuswide", root, protocol="tc21-mith")) == 28  # without the image that has no tag
    ten = data.load("nuswide", root, protocol="tc10")
    assert ten.classes == tuple(NAMES[:10])
    assert np.isin(numbers(ten) % 21, np.arange(10)).all()
    words = data.load("nuswide", root, text="words")
    assert words.text.kind == "tokens"
    assert "more" in words.text.vocabulary


def test_blocks_of_the_large_file(root, monkeypatch):
    whole = data.load("nuswide", root).text.values.toarray()
    monkeypatch.setattr(nuswide, "BLOCK", 7)
    np.testing.assert_array_equal(data.load("nuswide", root).text.values.toarray(), whole)


def test_lists_of_splits(root):
    (root / "nuswide_21_test.txt").write_text("images/0003_773.jpg 1 0\nimages/0004_774.jpg 0 1\n")
    (root / "nuswide_21_train.txt").write_text("images/0000_770.jpg 1 0\nimages/0001_771.jpg 1 0\nimages/9_9.jpg 1\n")
    found = data.load("nuswide", root, protocol="lists")
    assert numbers(found)[found.splits["query"]].tolist() == [3, 4]
    assert numbers(found)[found.splits["train"]].tolist() == [0, 1]
    assert len(found.splits["database"]) == 27
    assert "left out 1: listed in nuswide_21_train.txt but not in the data (images/9_9.jpg)" in found.notes


def test_images_in_one_folder(root):
    (root / "images").mkdir()
    for path in (root / "Flickr").rglob("*.jpg"):
        path.rename(root / "images" / path.name)
    np.testing.assert_array_equal(numbers(data.load("nuswide", root)), np.arange(29))


def change_line(path, number, line):
    lines = path.read_bytes().splitlines()
    lines[number - 1] = line
    path.write_bytes(b"\n".join(lines) + b"\n")


def test_a_repeated_image_is_named(root):
    change_line(root / "ImageList" / "Imagelist.txt", 5, b"actor\\0003_773.jpg")
    found = data.load("nuswide", root)
    assert 4 not in numbers(found)
    assert "left out 1: the image is listed before (Imagelist.txt, line 5: actor/0003_773.jpg)" in found.notes
    with pytest.raises(InputError, match=r"the image is listed before: Imagelist\.txt, line 5"):
        data.load("nuswide", root, on_error="stop")


def test_tags_in_another_encoding(root):
    change_line(root / "NUS_WID_Tags" / "All_Tags.txt", 4, b"3    caf\xe9 more")
    found = data.load("nuswide", root)  # the bag of tags does not need them
    assert len(found) == 29
    assert "1 lines of All_Tags.txt are not utf-8 (line 4, ...)" in found.notes
    words = data.load("nuswide", root, text="words")
    assert 3 not in numbers(words)
    assert "left out 1: the tags are not utf-8 (All_Tags.txt, line 4)" in words.notes
    with pytest.raises(InputError, match=r"the tags are not utf-8: All_Tags\.txt, line 4"):
        data.load("nuswide", root, text="words", on_error="stop")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("Groundtruth/AllLabels/Labels_c03.txt", "0\n1\n", r"Labels_c03\.txt has 2 labels but the image list 30 lines"),
        ("Groundtruth/AllLabels/Labels_c03.txt", "0\n2\n", r"Labels_c03\.txt holds '2'; expected 0 and 1 only"),
        ("NUS_WID_Tags/AllTags1k.txt", "0 1 1\n", r"AllTags1k\.txt holds 3 numbers; expected 30 images x 3 tags"),
        ("NUS_WID_Tags/TagList1k.txt", "\n", "the vocabulary is empty"),
        ("NUS_WID_Tags/All_Tags.txt", "1 a\n", r"All_Tags\.txt has 1 lines but the image list 30"),
        ("NUS_WID_Tags/AllTags1k.txt", None, r"'AllTags1k\.txt' is missing in .*NUS-WIDE\.html"),
    ],
)
def test_damage_is_named(root, name, content, message):
    (root / name).unlink() if content is None else (root / name).write_text(content)
    with pytest.raises(InputError, match=message):
        data.load("nuswide", root)


def test_a_missing_image_is_counted(root):
    (root / "Flickr" / "zebra" / "0002_772.jpg").unlink()
    found = data.load("nuswide", root)
    assert 2 not in numbers(found)
    assert found.captions[2] == "tag3 more"
    assert "left out 1: the image does not exist (Flickr/zebra/0002_772.jpg)" in found.notes


@pytest.mark.skipif("UDSPH_DATA" not in os.environ, reason="UDSPH_DATA, the folder of real data, is not set")
class TestReal:
    root = Path(os.environ.get("UDSPH_DATA", ".")) / "nuswide"

    def test_the_most_frequent_classes_give_the_published_sizes(self):
        with np.load(self.root / "nuswide81_labels.npz") as stored:
            labels = np.unpackbits(stored["labels_packed"], axis=1)[:, :81]
        assert len(labels) == 269_648
        for count, name in ((21, "tc21"), (10, "tc10")):
            used = labels[:, most_frequent(labels, count)].any(axis=1)
            assert used.sum() == nuswide.PROTOCOLS[name].total

    def test_the_lists(self):
        names = [
            line.split()[0] for part in ("test", "train") for line in (self.root / f"nuswide_21_{part}.txt").open()
        ]
        splits = listed_splits(self.root, "nuswide_21", names, str, Problems("nuswide", "stop"))
        assert len(splits["query"]) == 2100
        assert len(splits["train"]) == 10_500
