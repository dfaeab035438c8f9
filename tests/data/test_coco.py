"""MS COCO: a small folder in the official layout, its damage, and real pieces where they are at hand."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from udsph import data
from udsph.data.coco_json import read_annotations
from udsph.data.layouts.coco import read_part
from udsph.data.problems import Problems
from udsph.errors import InputError

CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 90, "name": "toothbrush"}]
# For each image its objects: (class id, box as left, top, width, height, is a crowd).
OBJECTS = {
    "train2017": {7: [(1, [0, 0, 50, 40], 0)], 3: [(90, [10, 10, 20, 20], 0), (1, [0, 0, 100, 80], 0)], 5: []},
    "val2017": {8: [(1, [50, 40, 50, 40], 0), (90, [0, 0, 9, 9], 1)], 9: [(90, [-5, 70, 20, 90], 0)]},
}


KINDS = ("captions", "instances")


def write(root, part, objects):
    """One part: images 100 x 80, the left half red, the right half blue."""
    (root / "annotations").mkdir(exist_ok=True)
    (root / part).mkdir()
    entries, captions, instances = [], [], []
    for number, found in objects.items():
        name = f"{number:012d}.jpg"
        image = Image.new("RGB", (100, 80), (255, 0, 0))
        image.paste((0, 0, 255), (50, 0, 100, 80))
        image.save(root / part / name, quality=95)
        entries.append({"id": number, "file_name": name, "width": 100, "height": 80})
        for k in range(5):
            captions.append(
                {"id": len(captions), "image_id": number, "caption": f"a cat number {k} in picture {number}"}
            )
        for category, box, crowd in found:
            instances.append(
                {"id": len(instances), "image_id": number, "category_id": category, "bbox": box, "iscrowd": crowd}
            )
    save(root, part, "captions", {"images": entries, "annotations": captions})
    save(root, part, "instances", {"images": entries, "annotations": instances, "categories": CATEGORIES})


def save(root, part, kind, content):
    (root / "annotations" / f"{kind}_{part}.json").write_text(json.dumps(content))


def change(root, part, kind, edit):
    path = root / "annotations" / f"{kind}_{part}.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path):
    for part, objects in OBJECTS.items():
        write(tmp_path, part, objects)
    return tmp_path


def test_reads_the_official_layout(folder):
    coco = data.load("coco", folder, size=8)
    assert coco.classes == ("cat", "toothbrush")
    np.testing.assert_array_equal(coco.labels, [[1, 1], [1, 0], [1, 1], [0, 1]])  # images 3, 7, 8, 9
    assert {name: index.tolist() for name, index in coco.splits.items()} == {
        "train": [0, 1], "database": [0, 1], "query": [2, 3],
    }  # fmt: skip
    assert [caption.rpartition(" ")[2] for caption in coco.captions] == ["3", "7", "8", "9"]
    assert coco.image.values[np.arange(4)].shape == (4, 8, 8, 3)
    assert coco.notes[0] == "1 images of train2017 have none of the 2 classes and are not used"


def test_captions(folder):
    first = data.load("coco", folder, caption="first")
    assert first.captions[0] == "a cat number 0 in picture 3"
    joined = data.load("coco", folder, caption="all")
    assert joined.captions[0].count("a cat") == 5
    drawn = [data.load("coco", folder, seed=seed).captions for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def test_boxes_are_regions(folder):
    coco = data.load("coco", folder, image="boxes")
    assert coco.image.kind == "regions"
    assert coco.image.lengths.tolist() == [3, 2, 2, 2]  # the whole picture, and no crowd
    rows = coco.image.values[np.arange(4)]
    assert rows.shape == (4, 3, 8 * 8 * 3 + 5)
    assert rows.dtype == np.float32
    places = rows[..., -5:]
    np.testing.assert_allclose(places[:, 0], [[0, 0, 1, 1, 1]] * 4)
    # Image 3 (row 0): the larger box first.
    np.testing.assert_allclose(places[0, 1:], [[0, 0, 1, 1, 1], [0.1, 0.125, 0.3, 0.375, 0.05]], atol=1e-6)
    np.testing.assert_allclose(places[3, 1], [0, 0.875, 0.15, 1, 0.01875], atol=1e-6)  # cut at the border
    colours = rows[..., :-5].reshape(4, 3, 64, 3).mean(axis=2)
    np.testing.assert_allclose(colours[1, 1], [1, 0, 0], atol=0.05)  # image 7: a box in the red half
    np.testing.assert_allclose(colours[2, 1], [0, 0, 1], atol=0.05)  # image 8: a box in the blue half
    np.testing.assert_allclose(colours[:, 0], [[0.5, 0, 0.5]] * 4, atol=0.05)
    assert not rows[1, 2].any()
    part = coco.image.take(np.array([2, 0]))
    np.testing.assert_array_equal(part.values[np.array([1])], rows[:1])
    assert part.lengths.tolist() == [2, 3]


def test_only_the_largest_boxes(folder):
    coco = data.load("coco", folder, image="boxes", boxes=1)
    assert coco.image.lengths.tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("place", ["images/{}", "images"])
def test_other_places_of_the_images(folder, place):
    (folder / "images").mkdir()
    for part in OBJECTS:
        target = folder / place.format(part)
        if target.exists():
            for path in (folder / part).iterdir():
                path.rename(target / path.name)
            (folder / part).rmdir()
        else:
            (folder / part).rename(target)
    assert len(data.load("coco", folder)) == 4


def test_the_lists_of_hashnet(folder):
    (folder / "coco_test.txt").write_text("val2014/COCO_val2014_000000000009.jpg 1 0\n")
    (folder / "coco_train.txt").write_text("train2014/COCO_train2014_000000000003.jpg 1 0\n")
    coco = data.load("coco", folder, protocol="hashnet")
    assert {name: index.tolist() for name, index in coco.splits.items()} == {
        "train": [0], "database": [0, 1, 2], "query": [3],
    }  # fmt: skip


def test_a_part_without_instances_is_said(folder):
    write(folder, "test2017", {20: [(1, [0, 0, 9, 9], 0)]})
    (folder / "annotations" / "instances_test2017.json").unlink()
    coco = data.load("coco", folder)
    assert len(coco) == 4
    assert "captions_test2017.json is not used, since instances_test2017.json is missing" in coco.notes


def test_a_protocol_on_a_piece_is_said(folder):
    with pytest.raises(InputError, match="coco: 4 pairs cannot be split"):
        data.load("coco", folder, protocol="mith")
    write(folder, "test2017", {20 + k: [(1, [0, 0, 9, 9], 0)] for k in range(6)})
    coco = data.load("coco", folder, protocol="mith")
    assert any("10 pairs instead of the 122,218 of the protocol mith" in note for note in coco.notes)


def test_bad_items_are_counted_or_stop(folder):
    (folder / "train2017" / "000000000007.jpg").unlink()

    def spoil_captions(content):
        for one in content["annotations"]:
            if one["image_id"] == 8:
                one["caption"] = " "
        content["annotations"].append(content["annotations"][-1])

    change(folder, "val2017", "captions", spoil_captions)
    write(folder, "test2017", {30: [(17, [0, 0, 9, 9], 0)], 31: [(1, [0, 0, 9, 9], 0)]})
    coco = data.load("coco", folder)
    assert len(coco) == 3
    found = " ".join(coco.notes)
    for reason in (
        "the class 17 is not among the categories (test2017/000000000030.jpg)",
        "the annotation id is repeated; its last entry counts (captions_val2017.json: 9)",
        "the caption is empty or missing (val2017/000000000008.jpg)",
        "the image does not exist (train2017/000000000007.jpg)",
    ):
        assert f"left out 1: {reason}" in found
    with pytest.raises(InputError, match="on_error=skip"):
        data.load("coco", folder, on_error="stop")


def test_categories_of_one_name_are_one_class_and_that_is_said(folder):
    before = data.load("coco", folder)

    def twice(content):
        content["categories"].append({**content["categories"][0], "id": 991})

    change(folder, "train2017", "instances", twice)
    coco = data.load("coco", folder)
    name = before.classes[0]
    assert coco.classes == before.classes and not any("are called" in note for note in before.notes)
    assert f"instances_train2017.json: several categories are called {name!r}; they are one class" in coco.notes


def test_single_empty_captions_and_annotations_of_unlisted_images_are_named(folder):
    def spoil(content):
        content["annotations"][0]["caption"] = " "  # of image 7
        content["annotations"].append({"id": 900, "image_id": 77, "caption": "a cat"})

    change(folder, "train2017", "captions", spoil)
    coco = data.load("coco", folder, caption="all")
    assert coco.captions[1].count("a cat") == 4
    assert coco.notes[:2] == (
        "left out 1: the image of annotations is not listed in captions_train2017.json (captions, 77)",
        "left out 1: a caption is empty; the others of its image serve (train2017/000000000007.jpg)",
    )
    with pytest.raises(InputError, match=r"not listed in captions_train2017\.json: captions, 77"):
        data.load("coco", folder, on_error="stop")


@pytest.mark.parametrize(
    ("kind", "section", "key", "value", "message"),
    [
        ("captions", "images", "file_name", None, "left out 1: the image has no file name (captions_val2017.json: 8)"),
        ("captions", "images", "file_name", 7, "left out 1: the image has no file name (captions_val2017.json: 8)"),
        ("captions", "images", "file_name", "../8.jpg", "left out 1: the file name leaves the folder"),
        ("captions", "images", "id", None, "left out 1: the entry of 'images' has no 'id' that is a whole number or a"),
        ("captions", "images", "id", [8], "left out 1: the entry of 'images' has no 'id' that is a whole number or a"),
        ("captions", "annotations", "image_id", None, "left out 1: the entry of 'annotations' has no 'image_id' that"),
        ("captions", "annotations", "caption", None, "left out 1: a caption is empty; the others of its image serve"),
        (
            "captions",
            "annotations",
            "caption",
            ["a"],
            "left out 1: a caption is no text (val2017/000000000008.jpg: ['a",
        ),
        ("instances", "annotations", "category_id", None, "left out 1: the class None is not among the categories"),
        ("instances", "annotations", "category_id", {}, "left out 1: the class None is not among the categories"),
        ("instances", "categories", "name", None, "left out 1: the category has no name (instances_val2017.json: 1)"),
    ],
)
def test_entries_of_another_form_are_left_out_by_name(folder, kind, section, key, value, message):
    def spoil(content):
        if value is None:
            del content[section][0][key]
        else:
            content[section][0][key] = value

    change(folder, "val2017", kind, spoil)
    assert message in " ".join(data.load("coco", folder).notes)
    with pytest.raises(InputError, match="on_error=skip leaves such items out"):
        data.load("coco", folder, on_error="stop")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("../x"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "name", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["captions", "instances"]), section=st.sampled_from(["images", "annotations", "categories"]),
    key=st.sampled_from(["id", "image_id", "category_id", "file_name", "caption", "bbox", "width", "name", "iscrowd"]),
    value=ANYTHING, whole=st.booleans(),
)  # fmt: skip
def test_whatever_an_entry_holds_ends_in_no_traceback(folder, kind, section, key, value, whole):
    path = folder / "annotations" / f"{kind}_val2017.json"
    original = path.read_text()
    content = json.loads(original)
    if section in content:
        content[section][0] = value if whole else {**content[section][0], key: value}
    path.write_text(json.dumps(content))
    try:
        problems = Problems("coco", "skip")
        read_part(folder, "val2017", {}, problems, True, True)
        assert all(len(note) < 1000 and "\n" not in note for note in problems.notes())
    finally:
        path.write_text(original)


def test_null_captions_are_no_captions(folder):
    """They became the word "None"."""

    def spoil(content):
        for one in content["annotations"]:
            if one["image_id"] == 8 or one["id"] == 7:  # all captions of image 8, one of image 9
                one["caption"] = None

    change(folder, "val2017", "captions", spoil)
    coco = data.load("coco", folder, caption="all")
    assert len(coco) == 3
    assert "None" not in " ".join(coco.captions)
    assert "left out 1: the caption is empty or missing (val2017/000000000008.jpg)" in coco.notes


BAD_BOXES = [None, [], [1, 2], "box", [1, 2, 3, None], [1, 2, 0, 5], [1, 2, float("nan"), 5], [200, 0, 5, 5]]


@pytest.mark.parametrize("box", BAD_BOXES, ids=str)
def test_a_bad_box_costs_itself_only_and_nothing_where_boxes_are_not_used(folder, box):
    def spoil(content):
        content["annotations"][1]["bbox"] = box  # the second of image 3
        for entry in content["images"]:
            del entry["width"]

    change(folder, "train2017", "instances", spoil)
    coco = data.load("coco", folder, on_error="stop")
    np.testing.assert_array_equal(coco.labels, [[1, 1], [1, 0], [1, 1], [0, 1]])
    found = data.load("coco", folder, image="boxes")
    np.testing.assert_array_equal(found.labels, coco.labels)
    assert found.image.lengths.tolist() == [2, 2, 2, 2]
    assert any("the class of its object counts (train2017/000000000003.jpg)" in note for note in found.notes)


def test_boxes_need_the_size_of_their_image(folder):
    change(folder, "train2017", "captions", lambda content: content["images"][0].pop("height"))
    assert len(data.load("coco", folder)) == 4
    found = data.load("coco", folder, image="boxes")
    assert len(found) == 3
    assert "no width or no height, which its boxes need (train2017/000000000007.jpg)" in found.notes[0]


def test_classes_of_the_parts_are_one_by_name_not_by_number(folder):
    """The number 1 is the cat here and the brush there."""

    def renumber(content):
        content["categories"] = [{"id": 1, "name": "toothbrush"}, {"id": 5, "name": "dog"}]
        content["annotations"] = [one | {"category_id": 1} for one in content["annotations"]]

    change(folder, "val2017", "instances", renumber)
    with pytest.warns(UserWarning, match="no item has the class dog"):
        coco = data.load("coco", folder)
    assert coco.classes == ("cat", "toothbrush", "dog")
    np.testing.assert_array_equal(coco.labels, [[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]])


@pytest.mark.parametrize("number", ["000000000003", "a/b", 2**40 + 3, -3, 2**70], ids=str)
def test_ids_of_any_kind(folder, number):
    for kind in ("captions", "instances"):

        def rename(content):
            for entry in content["images"]:
                entry["id"] = number if entry["id"] == 3 else entry["id"]
            for one in content["annotations"]:
                one["image_id"] = number if one["image_id"] == 3 else one["image_id"]

        change(folder, "train2017", kind, rename)
    for name in (True, False):
        coco = data.load("coco", folder, seed=2**32 - 1 if name else 0)
        assert sorted(coco.captions[k].rpartition(" ")[2] for k in range(2)) == ["3", "7"]
        assert coco.labels.sum() == 6 and coco.notes[1:] == ()
    assert coco.captions == data.load("coco", folder).captions


def test_a_part_in_utf_16_and_whole_numbers_as_floats(folder):
    """As PowerShell converts and some programs write."""
    path = folder / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    for one in content["annotations"]:
        one |= {"image_id": float(one["image_id"]), "category_id": float(one["category_id"])}
    path.write_text(json.dumps(content), encoding="utf-16")
    np.testing.assert_array_equal(data.load("coco", folder).labels, [[1, 1], [1, 0], [1, 1], [0, 1]])


def test_captions_alone_make_a_dataset_without_labels(folder):
    for part in OBJECTS:
        (folder / "annotations" / f"instances_{part}.json").unlink()
    with pytest.raises(InputError, match="labels=none reads captions alone"):
        data.load("coco", folder)
    coco = data.load("coco", folder, labels="none")
    assert not coco.labelled and coco.labels.shape == (5, 0) and coco.classes == ()
    assert [caption.rpartition(" ")[2] for caption in coco.captions] == ["3", "5", "7", "8", "9"]
    assert coco.notes == () and coco.settings["labels"] == "none"
    with pytest.raises(InputError, match="image=boxes reads the instances, which labels=none leaves away"):
        data.load("coco", folder, labels="none", image="boxes")


@pytest.mark.parametrize("content", ["[]", "{}", '{"images": []}', '{"images": [{"id": 1}', "\xff"])
def test_files_of_another_form_are_named(folder, content):
    (folder / "annotations" / "captions_val2017.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"coco: captions_val2017\.json is no COCO annotation file"):
        data.load("coco", folder)


def test_missing_files_are_named_with_their_source(folder):
    (folder / "annotations" / "instances_val2017.json").unlink()
    with pytest.raises(InputError, match=r"protocol=official needs a train and a val part; found only train2017"):
        data.load("coco", folder)
    (folder / "annotations" / "instances_train2017.json").unlink()
    with pytest.raises(InputError, match=r"'instances_train2017.json' is missing .*cocodataset\.org"):
        data.load("coco", folder)


@pytest.mark.skipif("UDSPH_DATA" not in os.environ, reason="UDSPH_DATA, the folder of real data, is not set")
class TestReal:
    root = Path(os.environ.get("UDSPH_DATA", "."))

    @pytest.mark.parametrize("image", ["pixels", "boxes"])
    def test_coco_mini(self, image):
        coco = data.load("coco", self.root / "coco-mini", image=image)
        sizes = {name: len(index) for name, index in coco.splits.items()}
        assert sizes == {"train": 80, "database": 80, "query": 79}
        assert len(coco.classes) == 80
        assert coco.labels.sum(axis=1).min() >= 1
        assert coco.notes == ()
        assert coco.image.values[coco.splits["query"][:4]].std() > 0

    def test_captions_and_objects_are_those_of_the_official_reader(self, capsys):
        official = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed").COCO
        places = ("coco/captions_val2017.json", *(f"coco-mini/annotations/{kind}_val2017.json" for kind in KINDS))
        for path in (self.root / place for place in places):
            expected = official(str(path))
            capsys.readouterr()
            found = read_annotations(path, Problems("coco", "stop"))
            assert found.images == expected.imgs
            assert found.of_image == dict(expected.imgToAnns)
            assert found.categories == {number: one["name"] for number, one in expected.cats.items()}


def test_images_that_the_instances_do_not_list_are_of_unknown_classes(folder):
    def unlist(content):
        content["images"] = [one for one in content["images"] if one["id"] != 7]
        content["annotations"] = [one for one in content["annotations"] if one["image_id"] != 7]

    change(folder, "train2017", "instances", unlist)
    coco = data.load("coco", folder, size=8)
    np.testing.assert_array_equal(coco.labels, [[1, 1], [0, 0], [1, 1], [0, 1]])  # images 3, 7, 8, 9
    assert coco.known.tolist() == [True, False, True, True]
    assert coco.notes[:2] == (
        "1 images of train2017 have none of the 2 classes and are not used",
        "1 images of train2017 are not in instances_train2017.json: their labels are not known",
    )
    boxed = data.load("coco", folder, image="boxes")
    assert boxed.known.tolist() == coco.known.tolist() and boxed.image.lengths.tolist() == [3, 1, 2, 2]
