"""MIRFlickr-25K in its folders and ``.mat`` forms, all written here; real samples where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from PIL import Image

from udsph import data
from udsph.data.items import most_frequent
from udsph.errors import InputError

N = 12
TAGS = ("sea", "sun", "dog")


def picture(number):
    return Image.new("RGB", (30, 20), (20 * number, 0, 0))


@pytest.fixture
def folders(tmp_path):
    """Image i has the tag i % 3 and the class animals if i is even, else sky; 11 has no class, 12 no known tag."""
    base = tmp_path / "mirflickr"
    (base / "meta" / "tags").mkdir(parents=True)
    (base / "doc").mkdir()
    notes = tmp_path / "mirflickr25k_annotations_v080"
    notes.mkdir()
    (base / "doc" / "common_tags.txt").write_text("".join(f"{tag} {20 + k}\n" for k, tag in enumerate(TAGS)))
    for number in range(1, N + 1):
        picture(number).save(base / f"im{number}.jpg", quality=95)
        tag = "rare" if number == 12 else TAGS[number % 3]
        (base / "meta" / "tags" / f"tags{number}.txt").write_text(f"{tag}\nrare\n")
    labelled = [number for number in range(1, N + 1) if number != 11]
    (notes / "animals.txt").write_text("".join(f"{n}\n" for n in labelled if n % 2 == 0))
    (notes / "sky.txt").write_text("".join(f"{n}\n" for n in labelled if n % 2))
    (notes / "sky_r1.txt").write_text("1\n")
    (notes / "README.txt").write_text("text\n")
    return tmp_path


def red(dataset, index):
    return dataset.image.values[np.asarray(index)][..., 0].mean(axis=(1, 2))


def test_official_folders(folders):
    found = data.load("mirflickr", folders, size=8)
    assert found.classes == ("animals", "sky")
    assert len(found) == 10  # all but the images 11 and 12
    assert found.text.vocabulary == TAGS
    numbers = np.arange(1, 11)
    np.testing.assert_array_equal(found.text.values.toarray().argmax(axis=1), numbers % 3)
    np.testing.assert_array_equal(found.labels.argmax(axis=1), numbers % 2)
    np.testing.assert_allclose(red(found, numbers - 1), 20 * numbers, atol=4)
    assert {name: len(index) for name, index in found.splits.items()} == {"query": 1, "train": 5, "database": 9}
    assert found.captions[0] == "sun rare"
    notes = " ".join(found.notes)
    assert "1 of 12 pairs have none of the 2 classes" in notes
    assert "1 pairs with a class have no known tag" in notes
    assert "10 pairs instead of the 20,015 of the protocol dcmh" in notes


def test_the_protocol_that_keeps_images_without_common_tags(folders):
    found = data.load("mirflickr", folders, protocol="dchmt", text="words")
    assert len(found) == 11
    assert found.text.kind == "tokens"
    assert "rare" in found.text.vocabulary


def test_common_tags_are_counted_where_their_list_is_missing(folders):
    (folders / "mirflickr" / "doc" / "common_tags.txt").unlink()
    with pytest.raises(InputError, match="no tag is common to 20 images, so the vocabulary is empty"):
        data.load("mirflickr", folders)
    found = data.load("mirflickr", folders, least=4)
    assert found.text.vocabulary == ("dog", "rare", "sun")


def test_bad_items(folders):
    base = folders / "mirflickr"
    (base / "meta" / "tags" / "tags2.txt").unlink()
    (base / "meta" / "tags" / "tags3.txt").write_bytes(b"caf\xe9\n")
    raw = (base / "im4.jpg").read_bytes()
    (base / "im4.jpg").write_bytes(raw[: len(raw) - 60])
    found = data.load("mirflickr", folders)
    assert len(found) == 7
    notes = " ".join(found.notes)
    assert "left out 1: the file of tags does not exist (tags2.txt)" in notes
    assert "left out 1: the tags are not utf-8 (tags3.txt, line 1)" in notes
    assert "left out 1: the image is damaged (mirflickr/im4.jpg" in notes
    assert "annotation" not in notes  # of images that are left out already
    with pytest.raises(InputError, match="on_error=skip"):
        data.load("mirflickr", folders, on_error="stop")
    (folders / "mirflickr25k_annotations_v080" / "sky.txt").write_text("1\nmany\n")
    with pytest.raises(InputError, match=r"sky\.txt, line 2: 'many' is no image number"):
        data.load("mirflickr", folders)


def test_a_missing_image_that_annotations_name(folders):
    (folders / "mirflickr" / "im5.jpg").unlink()
    found = data.load("mirflickr", folders)
    assert len(found) == 9
    assert "left out 1: the image of an annotation does not exist (im5.jpg in sky.txt)" in found.notes
    with pytest.raises(InputError, match=r"the image of an annotation does not exist: im5\.jpg in sky\.txt"):
        data.load("mirflickr", folders, on_error="stop")


def test_a_half_written_file_is_named(tmp_path):
    path = tmp_path / "flickr.mat"
    scipy.io.savemat(path, {"images": np.ones((9, 4)), "YAll": np.eye(9), "LAll": np.eye(9)})
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"cannot read flickr\.mat: it ends at byte .* is it a whole \.mat file"):
        data.load("mirflickr", path)


def test_missing_folders_are_named(folders, tmp_path):
    for path in (folders / "mirflickr25k_annotations_v080").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"no annotations in .*mirflickr25k_annotations_v080\.zip"):
        data.load("mirflickr", folders)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds neither the official folders .* nor a \.mat form"):
        data.load("mirflickr", tmp_path / "empty")


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    pixels = np.stack([np.asarray(picture(number).resize((16, 16))) for number in range(N)])
    labels = np.eye(3, dtype=np.float64)[np.arange(N) % 3]
    tags = (random.random((N, 7)) < 0.5).astype(float)
    tags[2] = 0
    return {"images": pixels, "YAll": tags, "LAll": labels}


def write_hdf5(path, arrays):
    """As MATLAB's ``save -v7.3`` does: dimensions reversed."""
    h5py = pytest.importorskip("h5py", reason="h5py, of the extra train, is not installed")
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in arrays.items():
            file.create_dataset(key, data=value.T).attrs["MATLAB_class"] = np.bytes_(value.dtype.name)


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_the_dcmh_file(tmp_path, arrays, version):
    stored = {**arrays, "images": arrays["images"].transpose(1, 2, 3, 0)}  # height, width, colour, item
    if version == "5":
        scipy.io.savemat(tmp_path / "FLICKR-25K.mat", stored)
    else:
        write_hdf5(tmp_path / "FLICKR-25K.mat", stored)
    for root in (tmp_path, tmp_path / "FLICKR-25K.mat"):
        found = data.load("mirflickr", root, size=16)
        assert found.image.kind == "pixels"
        used = np.flatnonzero(stored["YAll"].any(axis=1))
        index = np.array([3, 0, 3])
        np.testing.assert_array_equal(found.image.values[index], arrays["images"][used[index]])
        np.testing.assert_array_equal(found.text.values, stored["YAll"][used])
        np.testing.assert_array_equal(found.labels, arrays["LAll"][used])
    assert found.image.take(np.array([2])).values[np.array([0])].shape == (1, 16, 16, 3)
    assert data.load("mirflickr", tmp_path, size=8).image.values[np.array([1])].shape == (1, 8, 8, 3)


def test_one_file_for_each_array_and_features_instead_of_pixels(tmp_path, arrays):
    features = np.random.default_rng(1).random((N, 5))
    arrays["YAll"][:, 0] = 1
    scipy.io.savemat(tmp_path / "fall.mat", {"FAll": features})
    scipy.io.savemat(tmp_path / "yall.mat", {"YAll": scipy.sparse.csc_array(arrays["YAll"])})
    write_hdf5(tmp_path / "lall.mat", {"LAll": arrays["LAll"]})
    found = data.load("mirflickr", tmp_path)
    np.testing.assert_allclose(found.image.values, features, rtol=1e-6)
    np.testing.assert_array_equal(found.text.values.toarray(), arrays["YAll"])


def test_arrays_that_do_not_belong_together(tmp_path, arrays):
    scipy.io.savemat(tmp_path / "a.mat", {**arrays, "YAll": arrays["YAll"][1:], "images": arrays["LAll"]})
    with pytest.raises(InputError, match="mirflickr: arrays of different lengths: 'images' 12, 'YAll' 11, 'LAll' 12"):
        data.load("mirflickr", tmp_path)
    scipy.io.savemat(tmp_path / "a.mat", {**arrays, "images": np.zeros((4, 4, 5, 12), np.uint8)})
    with pytest.raises(InputError, match="'images' is uint8 4 x 4 x 5 x 12; expected uint8 images of 3 colours"):
        data.load("mirflickr", tmp_path)


def parts(random, **sizes):
    return {
        f"{kind}_{part}": random.random((n, width)) if kind != "L" else np.eye(3)[np.arange(n) % 3]
        for part, n in sizes.items()
        for kind, width in (("I", 6), ("T", 4), ("L", 3))
    }


@pytest.mark.parametrize("first", [0, 1])
def test_class_numbers_of_which_one_is_missing_in_a_part(tmp_path, first):
    """Each part by itself would have columns of its own, and those of the queries would mean other classes."""
    stored = parts(np.random.default_rng(0), tr=9, te=4)
    numbers = {"tr": np.arange(9) % 4 + first, "te": np.array([3, 1, 3, 1]) + first}
    scipy.io.savemat(tmp_path / "mir.mat", {**stored, **{f"L_{part}": found for part, found in numbers.items()}})
    found = data.load("mirflickr", tmp_path)
    assert found.classes == tuple(str(number + first) for number in range(4))
    np.testing.assert_array_equal(found.labels.argmax(1), np.concatenate([numbers["tr"], numbers["te"]]) - first)


def test_parts_that_are_not_used_are_named(tmp_path):
    stored = parts(np.random.default_rng(0), tr=9, te=4, val=3)
    scipy.io.savemat(tmp_path / "mir.mat", stored)
    found = data.load("mirflickr", tmp_path)
    assert len(found) == 13
    assert found.notes == ("not used: I_val, L_val, T_val; the parts are _tr, _te and _db",)


def test_one_query_with_several_classes(tmp_path):
    stored = parts(np.random.default_rng(0), tr=9, te=1)
    stored["L_te"] = np.array([[1, 0, 1]])
    scipy.io.savemat(tmp_path / "mir.mat", stored)
    found = data.load("mirflickr", tmp_path)
    assert found.labels[found.splits["query"]].tolist() == [[1, 0, 1]]


def test_separate_arrays_keep_their_splits(tmp_path):
    stored = parts(np.random.default_rng(0), tr=9, te=4, db=15)
    scipy.io.savemat(tmp_path / "mir_cnn.mat", stored)
    found = data.load("mirflickr", tmp_path)
    for split, part in (("train", "tr"), ("query", "te"), ("database", "db")):
        np.testing.assert_allclose(found.image.values[found.splits[split]], stored[f"I_{part}"], rtol=1e-6)
        np.testing.assert_allclose(found.text.values[found.splits[split]], stored[f"T_{part}"], rtol=1e-6)
        np.testing.assert_array_equal(found.labels[found.splits[split]], stored[f"L_{part}"])
    with pytest.raises(InputError, match="the file has its own splits, so protocol=dcmh does not apply"):
        data.load("mirflickr", tmp_path, protocol="dcmh")
    without = {key: value for key, value in stored.items() if not key.endswith("_db")}
    scipy.io.savemat(tmp_path / "mir_cnn.mat", without)
    found = data.load("mirflickr", tmp_path)
    np.testing.assert_array_equal(found.splits["database"], found.splits["train"])
    scipy.io.savemat(tmp_path / "mir_cnn.mat", {key: value for key, value in without.items() if key != "T_te"})
    with pytest.raises(InputError, match="the array 'T_te' is missing beside 'I_te'"):
        data.load("mirflickr", tmp_path)


def write_trio(root, captions, paths, labels, key="category"):
    cells = np.empty((1, len(captions)), dtype=object)
    cells[0, :] = [np.array(one, dtype=object) if isinstance(one, list) else one for one in captions]
    scipy.io.savemat(root / "caption.mat", {"caption": cells})
    scipy.io.savemat(root / "index.mat", {"index": np.array(paths)})  # a char matrix, padded with blanks
    scipy.io.savemat(root / "label.mat", {key: labels})


def test_the_trio(folders):
    numbers = [1, 2, 3, 10, 11, 12]
    captions = [["sea shore", "the sea"], "sun", "dog", "", "sea sun", "dog dog"]
    paths = [f"/somewhere/else/mirflickr/im{number}.jpg" for number in numbers]
    labels = np.eye(2)[np.arange(6) % 2]
    for path in (folders / "mirflickr" / "meta" / "tags").iterdir():
        path.unlink()
    (folders / "mirflickr" / "meta" / "tags").rmdir()
    write_trio(folders, captions, paths, labels)
    found = data.load("mirflickr", folders, protocol="dchmt")
    assert len(found) == 5
    assert found.captions[0] in ("sea shore", "the sea")
    assert found.captions[1:] == ("sun", "dog", "sea sun", "dog dog")
    np.testing.assert_allclose(red(found, np.arange(5)), [20, 40, 60, 220, 240], atol=4)
    np.testing.assert_array_equal(found.labels.argmax(axis=1), [0, 1, 0, 0, 1])
    assert "left out 1: the caption is empty (row 3, /somewhere/else/mirflickr/im10.jpg)" in found.notes
    (folders / "caption.mat").unlink()
    (folders / "caption.txt").write_text("".join(f"line {k}\n" for k in range(6)))
    assert data.load("mirflickr", folders, protocol="dchmt").captions[5] == "line 5"
    # As PowerShell writes it; the first caption is empty, and one holds a separator of lines.
    lines = "\ufeff\r\nline\u20281\r\nline 2\r\nline 3\r\nline 4\r\nline 5\r\n"
    (folders / "caption.txt").write_bytes(lines.encode("utf-16-le"))
    found = data.load("mirflickr", folders, protocol="dchmt", size=8)
    assert found.captions == ("line\u20281", "line 2", "line 3", "line 4", "line 5")
    np.testing.assert_allclose(red(found, np.arange(5)), [40, 60, 200, 220, 240], atol=4)
    assert "left out 1: the caption is empty (row 0, " in " ".join(found.notes)
    (folders / "caption.txt").write_text("one line\n")
    with pytest.raises(InputError, match="'caption' 1, 'index' 6, 'label' 6"):
        data.load("mirflickr", folders)


def test_the_most_frequent_classes():
    labels = np.array([[1, 0, 1, 1], [1, 0, 0, 1], [0, 1, 1, 1]])
    assert most_frequent(labels, 1).tolist() == [3]
    assert most_frequent(labels, 2).tolist() == [0, 3]  # of equally frequent ones the first


@pytest.mark.skipif("UDSPH_DATA" not in os.environ, reason="UDSPH_DATA, the folder of real data, is not set")
def test_ten_real_samples():
    found = data.load("mirflickr", Path(os.environ["UDSPH_DATA"]) / "mirflickr" / "mirflickr_ugach10.npz")
    assert found.image.shape == (4096,)
    assert found.text.shape == (1386,)
    assert len(found.classes) == 24
    assert any("of the protocol dcmh" in note for note in found.notes)


@pytest.mark.parametrize("form", ["whole", "numbers", "parts"])
def test_rows_of_minus_one_are_not_known_and_stay(tmp_path, arrays, form):
    """Pairs of no class go, as the protocols want it; those whose classes nobody knows are kept."""
    arrays["YAll"][:, 0] = 1
    labels = arrays["LAll"]
    labels[[1, 5]] = -1
    if form == "numbers":
        arrays["LAll"] = np.where(labels[:, 0] < 0, -1, labels.argmax(axis=1))[None]
    elif form == "whole":
        labels[3] = 0
    if form == "parts":
        stored = parts(np.random.default_rng(0), tr=9, te=4)
        stored["L_tr"][[1, 5]] = -1
        stored["L_tr"][3] = 0
        scipy.io.savemat(tmp_path / "a.mat", stored)
    else:
        scipy.io.savemat(tmp_path / "a.mat", arrays)
    found = data.load("mirflickr", tmp_path, size=8)
    assert len(found) == (13 if form == "parts" else 11 if form == "whole" else 12)
    shift = 1 if form == "whole" else 0  # item 3 is gone
    assert np.flatnonzero(~found.known).tolist() == [1, 5 - shift]
    assert not found.labels[~found.known].any()
    if form == "parts":
        assert found.splits["train"].tolist() == [0, 1, 2, 4, 5, 6, 7, 8]


def test_labels_shorter_than_the_items_say_how_unlabelled_ones_are_written(tmp_path, arrays):
    scipy.io.savemat(tmp_path / "a.mat", {**arrays, "LAll": arrays["LAll"][:8]})
    with pytest.raises(InputError, match=r"'LAll' 8 items; .*; an item without labels keeps its row, -1 all over"):
        data.load("mirflickr", tmp_path)
