"""Flickr8k: its official files and a prepared folder, all written here; the real one where it is at hand."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from udsph import data
from udsph.errors import InputError

PARTS = {"train": range(8), "dev": range(8, 10), "test": range(10, 13)}
N = 13
CLASSES = ("dog", "red")


def name(k):
    return f"{1000 + k}_{k:03x}.jpg"


def caption(k, j):
    return f"A {'dog' if k % 2 else 'cat'} runs , number {j} ."


def pictures(folder):
    folder.mkdir()
    for k in range(N):
        Image.new("RGB", (20, 15), (15 * k, 0, 0)).save(folder / name(k), quality=95)


@pytest.fixture
def official(tmp_path):
    pictures(tmp_path / "Flicker8k_Dataset")
    lines = [f"{name(k)}#{j}\t{caption(k, j)}" for k in range(N + 1) for j in range(5)]  # the last is in no list
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    for part, items in PARTS.items():
        (tmp_path / f"Flickr_8k.{part}Images.txt").write_text("".join(f"{name(k)}\n" for k in items))
    return tmp_path


@pytest.fixture
def prepared(tmp_path):
    pictures(tmp_path / "images")
    lines = ["image\tsplit\ttext1\ttext2\tlabel_caption1"]
    for part, items in PARTS.items():
        lines += [f'{name(k)}\t{part}\t"A" {caption(k, 0)}\t{caption(k, 1)}\tunread {k}' for k in items]
    (tmp_path / "captions.tsv").write_text("\n".join(lines))
    write_labels(tmp_path)
    return tmp_path


def write_labels(root, labels=None, names=None, **changes):
    """A dog on every other picture, and nothing on those whose number divides by six."""
    table = np.array([[k % 2, k % 3 == 1] for k in range(N)], np.int8) if labels is None else labels
    arrays = {"names": [name(k) for k in range(N)] if names is None else names, "labels": table, "label_names": CLASSES}
    np.savez(root / "labels.npz", **arrays | changes)


def red(found, split):
    return np.rint(found.image.values[found.splits[split]][..., 0].mean(axis=(1, 2)) / 15).tolist()


@pytest.mark.parametrize("folder", [None, "Flickr8k_Dataset", "Images"])
@pytest.mark.parametrize("unpacked", [False, True])
def test_the_official_files_are_pairs_without_labels(official, folder, unpacked):
    if folder:
        (official / "Flicker8k_Dataset").rename(official / folder)
    if unpacked:
        (official / "Flickr8k_text").mkdir()
        for path in official.glob("Flickr*.txt"):
            path.rename(official / "Flickr8k_text" / path.name)
    found = data.load("flickr8k", official, labels="none", size=8)
    assert not found.labelled and len(found) == 11
    assert red(found, "train") == red(found, "database") == [*PARTS["train"]]
    assert red(found, "query") == [*PARTS["test"]]
    assert found.captions[1] == " ".join(caption(1, j) for j in range(5))
    assert {"dog", "cat", "runs"} <= set(found.text.vocabulary)
    assert found.notes == ("1 images with captions are in none of the lists and are not used",)
    again = data.load("flickr8k", official, **found.settings)
    np.testing.assert_array_equal(again.text.values, found.text.values)


def test_other_captions_and_the_dev_images_as_queries(official):
    first = data.load("flickr8k", official, labels="none", caption="first", queries="dev", size=8)
    assert first.captions == tuple(caption(k, 0) for k in range(10)) and red(first, "query") == [8, 9]
    drawn = data.load("flickr8k", official, labels="none", caption="random", size=8)
    assert len({one.split()[-2] for one in drawn.captions}) > 1
    assert drawn.captions == data.load("flickr8k", official, labels="none", caption="random", size=8).captions
    other = data.load("flickr8k", official, labels="none", caption="random", seed=1, size=8)
    assert drawn.captions != other.captions


def test_the_table_of_captions_and_no_lists(official):
    for path in official.glob("Flickr*.txt"):
        path.unlink()
    with (official / "captions.txt").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("image", "caption"), *((name(k), caption(k, j)) for k in range(N) for j in range(5))]
        )
    with pytest.raises(InputError, match=r"'Flickr_8k\.trainImages\.txt' is missing in .*; split=fifth draws"):
        data.load("flickr8k", official, labels="none")
    found = data.load("flickr8k", official, labels="none", split="fifth", size=8)
    assert {split: len(index) for split, index in found.splits.items()} == {"query": 3, "train": 10, "database": 10}
    assert found.captions[2].startswith(caption(2, 0))


def test_a_prepared_folder_has_labels_from_other_captions(prepared):
    found = data.load("flickr8k", prepared, size=8)
    assert found.classes == CLASSES
    assert red(found, "database") == [*range(8)]
    assert red(found, "train") == [1, 3, 4, 5, 7] and red(found, "query") == [10, 11]
    assert found.captions[1] == f'"A" {caption(1, 0)} {caption(1, 1)}' and "unread" not in found.text.vocabulary
    np.testing.assert_array_equal(found.labels[found.splits["query"]], [[0, 1], [1, 0]])
    assert found.notes == (
        "3 training pairs have no class and are not trained on",
        "1 queries have none of the 2 classes and are not used",
    )
    assert found.known.all()
    pairs = data.load("flickr8k", prepared, labels="none", size=8)
    assert len(pairs.splits["train"]) == 8 and len(pairs.splits["query"]) == 3


def test_labels_beside_the_official_files(official, prepared):
    (official / "captions.tsv").unlink()
    found = data.load("flickr8k", official, size=8)
    assert found.classes == CLASSES and found.captions[0].endswith("number 4 .")


def test_images_that_the_labels_do_not_name_are_unlabelled(prepared):
    table = np.array([[k % 2, 1] for k in range(N)], np.int8)
    table[3] = -1
    keep = [k for k in range(N) if k not in (5, 11)]
    write_labels(prepared, table[keep], [name(k) for k in keep])
    found = data.load("flickr8k", prepared, size=8)
    numbers = np.array([*PARTS["train"], *PARTS["test"]])
    assert numbers[~found.known].tolist() == [3, 5, 11] and not found.labels[~found.known].any()
    assert found.notes == ("3 images have no labels in labels.npz: theirs are not known",)
    assert len(found.splits["train"]) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.ones((N, 3), np.int8)}, "'labels' is 13 x 3, but there are 13 names and 2 label names"),
        ({"labels": np.ones((N - 2, 2), np.int8)}, "'labels' is 11 x 2, but there are 13 names"),
        ({"labels": np.full((N, 2), -1, np.int8)}, "is -1 throughout, so no label is known"),
        ({"names": [f"other{k}.jpg" for k in range(N)]}, "names none of the images; its first is 'other0.jpg'"),
    ],
)
def test_labels_that_do_not_fit_are_refused(prepared, changes, message):
    write_labels(prepared, **changes)
    with pytest.raises(InputError, match=message):
        data.load("flickr8k", prepared, size=8)


def test_what_is_missing_is_named_with_its_mend(official, tmp_path):
    with pytest.raises(InputError, match=r"'labels\.npz' is missing in .*official files have no labels; labels=none"):
        data.load("flickr8k", official)
    with pytest.raises(InputError, match="is no folder; give the one that holds the images"):
        data.load("flickr8k", official / "Flickr8k.token.txt")
    (official / "Flickr8k.token.txt").unlink()
    with pytest.raises(InputError, match=r"neither Flickr8k\.token\.txt nor captions\.txt nor captions\.tsv; get them"):
        data.load("flickr8k", official, labels="none")


def test_a_prepared_table_without_its_columns(prepared):
    for heading, lacking in (("image\tpart\ttext1", "split"), ("image\tsplit\tcaption", "text1")):
        (prepared / "captions.tsv").write_text(heading + "\n")
        with pytest.raises(InputError, match=f"captions.tsv has no column '{lacking}'; it has: image"):
            data.load("flickr8k", prepared)


def test_bad_items_are_counted_or_stop(official):
    (official / "Flicker8k_Dataset" / name(2)).unlink()
    path = official / "Flicker8k_Dataset" / name(4)
    path.write_bytes(path.read_bytes()[:200])
    tokens = official / "Flickr8k.token.txt"
    lines = [line for line in tokens.read_text().splitlines() if not line.startswith(name(5))]
    lines[0], lines[6] = "no tab here", f"{name(1)}#1\t"
    tokens.write_text("\n".join(lines))
    train = official / "Flickr_8k.trainImages.txt"
    train.write_text(train.read_text() + f"../{name(0)}\n{name(0)}\n")
    found = data.load("flickr8k", official, labels="none", size=8)
    assert len(found) == 8 and red(found, "train") == [0, 1, 3, 6, 7]
    reasons = [note.partition(" (")[0] for note in found.notes]
    assert reasons[:7] == [
        "left out 1: the line is no 'NAME.jpg#0', tab, caption",
        "left out 1: the file name leaves the folder",
        "left out 1: the image is listed before",
        "left out 1: a caption is empty; the others of its image serve",
        "left out 1: the image has no caption",
        "left out 1: the image does not exist",
        "left out 1: the image is damaged",
    ]
    with pytest.raises(InputError, match=r"the line is no .*Flickr8k\.token\.txt, line 1"):
        data.load("flickr8k", official, labels="none", on_error="stop")


real = pytest.mark.skipif("UDSPH_DATA" not in os.environ, reason="UDSPH_DATA, the folder of real data, is not set")


@real
def test_the_real_photographs_are_those_of_the_folder_layout():
    root = Path(os.environ["UDSPH_DATA"]) / "flickr8k"
    found = data.load("flickr8k", root, size=16)
    assert {split: len(index) for split, index in found.splits.items()} == {
        "query": 960, "train": 5789, "database": 6000,
    }  # fmt: skip
    table = data.load("folder", root, size=16)
    for split in ("train", "query"):
        mine, other = found.splits[split], table.splits[split]
        assert [found.captions[i] for i in mine] == [table.captions[i] for i in other]
        np.testing.assert_array_equal(found.labels[mine], table.labels[other])
    assert found.classes == table.classes
    some = found.splits["query"][:5]
    np.testing.assert_array_equal(found.image.values[some], table.image.values[table.splits["query"][:5]])


@real
def test_the_real_captions_in_the_official_files(tmp_path):
    """The prepared folder written back into the form in which the publication gives it."""
    root = Path(os.environ["UDSPH_DATA"]) / "flickr8k"
    rows = [line.split("\t") for line in (root / "captions.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    (tmp_path / "Flickr8k_Dataset").symlink_to(root / "images")
    tokens = [f"{row[0]}#{j}\t{one}" for row in rows for j, one in enumerate(row[2:])]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(tokens), encoding="utf-8")
    for part in PARTS:
        names = [row[0] for row in rows if row[1] == part]
        (tmp_path / f"Flickr_8k.{part}Images.txt").write_text("\n".join(names))
    found = data.load("flickr8k", tmp_path, labels="none", size=16, caption="first")
    prepared = data.load("flickr8k", root, labels="none", size=16, caption="first")
    assert found.captions == prepared.captions and len(found) == 7000
    assert {split: len(index) for split, index in found.splits.items()} == {
        "query": 1000, "train": 6000, "database": 6000,
    }  # fmt: skip
