"""MS COCO: a small folder in the official layout, its damage, and real pieces where they are at hand."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from udsph import data
from udsph.data.layouts.coco import read_annotations
from udsph.data.problems import Problems
from udsph.errors import InputError

pytest.importorskip("pycocotools", reason="pycocotools, of the extra data, is not installed")

CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 90, "name": "toothbrush"}]
# For each image its objects: (class id, box as left, top, width, height, is a crowd).
OBJECTS = {
    "train2017": {7: [(1, [0, 0, 50, 40], 0)], 3: [(90, [10, 10, 20, 20], 0), (1, [0, 0, 100, 80], 0)], 5: []},
    "val2017": {8: [(1, [50, 40, 50, 40], 0), (90, [0, 0, 9, 9], 1)], 9: [(90, [-5, 70, 20, 90], 0)]},
}


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
        ("captions", "images", "file_name", None, "image 8 has no 'file_name'"),
        ("captions", "images", "width", 0, "image 8 has no file name or no size"),
        ("captions", "annotations", "caption", None, "annotation 0 has no 'caption'"),
        ("instances", "annotations", "bbox", None, "annotation 0 has no 'bbox'"),
        ("instances", "annotations", "bbox", [1, 2], "annotation 0 has a box that is not four numbers"),
        ("instances", "categories", "name", None, "category 1 has no 'name'"),
    ],
)
def test_entries_of_another_form_are_named(folder, kind, section, key, value, message):
    def spoil(content):
        content[section][0].pop(key)
        if value is not None:
            content[section][0][key] = value

    change(folder, "val2017", kind, spoil)
    with pytest.raises(InputError, match=rf"coco: {kind}_val2017\.json is no COCO annotation file \({message}\)"):
        data.load("coco", folder)


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

    def test_all_captions_of_val2017(self):
        found = read_annotations(self.root / "coco" / "captions_val2017.json", Problems("coco", "stop"), ("caption",))
        assert len(found.imgs) == 5000
        assert len(found.anns) == 25014
