"""MS COCO: photographs with five captions each, 80 classes of objects and their boxes, in the official JSON layout.

T.-Y. Lin et al., "Microsoft COCO: common objects in context", ECCV 2014. The folder holds ``annotations/`` with
``captions_PART.json`` and ``instances_PART.json``, and the images of each part in ``PART/`` (or ``images/PART/``); the
parts are ``train2017`` and ``val2017``, or ``train2014`` and ``val2014``.
"""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from udsph.data import images, texts
from udsph.data.boxes import MOST_BOXES, Boxes
from udsph.data.dataset import Dataset, Modality
from udsph.data.problems import ON_ERROR, Problems
from udsph.data.protocols import Protocol, draw, listed_splits
from udsph.data.registry import Layout
from udsph.data.settings import Setting
from udsph.errors import InputError, MissingExtra

SOURCE = (
    "https://cocodataset.org/#download: train and val images, and 'annotations_trainval', unpacked side by side; "
    "for protocol=hashnet also coco_train.txt, coco_test.txt and, if at hand, coco_database.txt of HashNet"
)
PROTOCOLS = {
    "mith": Protocol(
        122_218, 5000, 10_000, "MITH, DCHMT and UCCH: both parts together, images with a class", 0xF7D86AFB
    ),
}
SETTINGS = {
    "protocol": Setting(
        "official", str, "official (train part, queries from the val part), mith, or hashnet (lists of files)",
        choices=("official", "mith", "hashnet"),
    ),
    "seed": Setting(0, int, "seed of the split and of the choice of captions, 0", least=0),
    "image": Setting("pixels", str, "pixels, or boxes: each box as a region", choices=("pixels", "boxes")),
    "boxes": Setting(MOST_BOXES, int, f"most boxes of an image, the largest, {MOST_BOXES}", least=1, most=100),
    "caption": Setting("random", str, "which of the captions: random, first, all", choices=("random", "first", "all")),
    **images.SETTINGS, **texts.SETTINGS, "on_error": ON_ERROR,
}  # fmt: skip


class Photo(NamedTuple):
    """What the annotations say of one image."""

    number: int  # its id
    part: str
    file: str
    captions: list[str]
    categories: list[int]  # ids of the classes of its objects
    boxes: list[tuple[float, float, float, float]]  # left, top, right, bottom as shares of the sides; largest first


def load(
    root: Path, *, protocol: str, seed: int, image: str, boxes: int, caption: str, size: int, workers: int | None,
    verify: str, words: str, vocabulary: int, longest: int, on_error: str,
) -> Dataset:  # fmt: skip
    """Images with at least one of the classes and at least one caption, in the order of parts and ids.

    Returns
    -------
    Dataset
        Images ``pixels``, or with ``image=boxes`` ``regions``: the whole picture, then its boxes
        (see :class:`~udsph.data.boxes.Boxes`). Captions are ``tokens``.
    """
    problems = Problems("coco", on_error)
    parts = find_parts(root)
    classes: dict[int, str] = {}
    photos = [photo for part in parts for photo in read_part(root, part, classes, problems)]
    names = [_place(root, photo.part) + photo.file for photo in photos]
    pictures, kept = images.find_images(root, names, problems, size=size, workers=workers, verify=verify)
    photos = [photos[position] for position in kept.tolist()]
    if image == "boxes":
        regions = Boxes(root, pictures.names, [photo.boxes[:boxes] for photo in photos], workers, problems.stops)
        view = Modality("regions", regions, regions.lengths)
    else:
        view = Modality("pixels", pictures)
    splits = _splits(root, photos, parts, protocol, seed, problems)
    captions = _chosen(photos, caption, seed)
    columns = {category: column for column, category in enumerate(sorted(classes))}
    labels = np.zeros((len(photos), len(columns)), np.uint8)
    for row, photo in enumerate(photos):
        labels[row, [columns[category] for category in photo.categories]] = 1
    text = texts.as_tokens(
        captions, splits["train"], problems, words=words, vocabulary=vocabulary, longest=longest
    )  # fmt: skip
    return Dataset(
        name="coco",
        image=view,
        text=text,
        labels=labels,
        classes=tuple(classes[category] for category in sorted(classes)),
        splits=splits,
        settings={
            "protocol": protocol, "seed": seed, "image": image, "boxes": boxes, "caption": caption, "size": size,
            "verify": verify, "words": words, "vocabulary": vocabulary, "longest": longest, "on_error": on_error,
        },
        captions=captions,
        notes=problems.tell(),
    )  # fmt: skip


def find_parts(root: Path) -> list[str]:
    """The parts for which both annotation files are there, sorted: training part first."""
    folder = _annotations(root)
    parts = sorted(path.stem.removeprefix("captions_") for path in folder.glob("captions_*.json"))
    both = [part for part in parts if (folder / f"instances_{part}.json").is_file()]
    if not both:
        what = f"instances_{parts[0]}.json" if parts else "captions_PART.json and instances_PART.json"
        raise InputError(f"coco: '{what}' is missing in '{folder}'; get it from {SOURCE}")
    return both


def _annotations(root: Path) -> Path:
    return root / "annotations" if (root / "annotations").is_dir() else root


def _place(root: Path, part: str) -> str:
    """The folder of a part's images, relative to the root."""
    places = (f"{part}/", f"images/{part}/", "images/")
    return next((place for place in places if (root / place).is_dir()), places[0])


def read_part(root: Path, part: str, classes: dict[int, str], problems: Problems) -> list[Photo]:
    """The images of one part, by id; adds its classes to ``classes``."""
    folder = _annotations(root)
    captions = read_annotations(folder / f"captions_{part}.json", problems, ("caption",))
    instances = read_annotations(folder / f"instances_{part}.json", problems, ("category_id", "bbox"))
    for category in instances.cats.values():
        classes.setdefault(category["id"], category["name"])
    _leave_out_strays(captions, instances, part, problems)
    photos, unlabelled = [], 0
    for number in sorted(captions.imgs):
        entry = captions.imgs[number]
        name = f"{part}/{entry['file_name']}"
        written = [str(one["caption"]).strip() for one in captions.imgToAnns[number]]
        objects = instances.imgToAnns[number]
        strange = [one["category_id"] for one in objects if one["category_id"] not in classes]
        if "/" in entry["file_name"] or "\\" in entry["file_name"]:
            problems.leave_out("the file name holds a folder", name)
        elif not any(written):
            problems.leave_out("the caption is empty or missing", name)
        elif strange:
            problems.leave_out(f"the class {strange[0]} is not among the categories", name)
        elif not objects:
            unlabelled += 1
        else:
            if not all(written):
                problems.leave_out("a caption is empty; the others of its image serve", name)
            boxes = _boxes(objects, entry)
            categories = sorted({one["category_id"] for one in objects})
            photos.append(Photo(number, part, entry["file_name"], [one for one in written if one], categories, boxes))
    if unlabelled:
        problems.remark(f"{unlabelled:,} images of {part} have none of the {len(classes)} classes and are not used")
    return photos


def _leave_out_strays(captions: Any, instances: Any, part: str, problems: Problems) -> None:
    """Name the annotations of images that the captions' file does not list."""
    for kind, found in (("captions", captions), ("instances", instances)):
        for number in found.imgToAnns:
            if number not in captions.imgs:
                problems.leave_out(
                    f"the image of annotations is not listed in captions_{part}.json", f"{kind}, {number}"
                )


def read_annotations(path: Path, problems: Problems, keys: Sequence[str]) -> Any:
    """A ``pycocotools.coco.COCO`` of one file, checked: what is to be there, ids that occur once.

    ``keys`` are those that every annotation must have, beside its image.
    """
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise MissingExtra("reading COCO annotations", "data") from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress there
            found = COCO(str(path))
        images_, annotations = found.dataset["images"], found.dataset["annotations"]
        found.cats = {one["id"]: one for one in found.dataset.get("categories", [])}
        _check_entries("image", images_, ("file_name", "width", "height"))
        _check_entries("annotation", annotations, ("image_id", *keys))
        _check_entries("category", list(found.cats.values()), ("name",))
    except (ValueError, KeyError, TypeError, AssertionError, AttributeError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise InputError(f"coco: {path.name} is no COCO annotation file ({reason})") from None
    for what, entries, known in (("image", images_, found.imgs), ("annotation", annotations, found.anns)):
        if len(entries) > len(known):
            counts = Counter(entry["id"] for entry in entries)
            for number in (number for number, count in counts.items() if count > 1):
                problems.leave_out(f"the {what} id is repeated; its last entry counts", f"{path.name}: {number}")
    return found


def _check_entries(what: str, entries: Sequence[dict[str, Any]], keys: Sequence[str]) -> None:
    """Every entry has the keys, an image a name and a size, a box four numbers; else a ValueError names the entry."""
    for entry in entries:
        for key in keys:
            if key not in entry:
                raise ValueError(f"{what} {entry['id']} has no '{key}'")
        if "width" in keys and not (isinstance(entry["file_name"], str) and entry["width"] > 0 and entry["height"] > 0):
            raise ValueError(f"{what} {entry['id']} has no file name or no size")
        if "bbox" in keys and len(entry["bbox"]) != 4:
            raise ValueError(f"{what} {entry['id']} has a box that is not four numbers")


def _boxes(objects: list[dict[str, Any]], entry: dict[str, Any]) -> list[tuple[float, float, float, float]]:
    """The boxes of single objects inside the picture, largest first, as shares of its sides."""
    width, height = float(entry["width"]), float(entry["height"])
    found = []
    for one in objects:
        left, top, wide, high = one["bbox"]
        box = (
            max(left, 0) / width,
            max(top, 0) / height,
            min(left + wide, width) / width,
            min(top + high, height) / height,
        )
        if not one.get("iscrowd") and box[2] > box[0] and box[3] > box[1]:
            found.append(box)
    return sorted(found, key=lambda box: -(box[2] - box[0]) * (box[3] - box[1]))


def _chosen(photos: list[Photo], caption: str, seed: int) -> tuple[str, ...]:
    """One text for each image."""
    if caption == "all":
        return tuple(" ".join(photo.captions) for photo in photos)
    if caption == "first":
        return tuple(photo.captions[0] for photo in photos)
    # By id, so that an image has the same caption whatever other images there are.
    return tuple(
        photo.captions[np.random.RandomState([seed, photo.number]).randint(len(photo.captions))] for photo in photos
    )


def _splits(
    root: Path, photos: list[Photo], parts: list[str], protocol: str, seed: int, problems: Problems
) -> dict[str, np.ndarray]:
    if protocol == "mith":
        return draw(PROTOCOLS["mith"], "mith", len(photos), seed, problems)
    if protocol == "hashnet":
        # "train2014/COCO_train2014_000000566612.jpg" and "train2017/000000566612.jpg" are the same photograph.
        keys = [photo.number for photo in photos]
        return listed_splits(root, "coco", keys, lambda path: int(Path(path).stem.rpartition("_")[2]), problems)
    held = [part for part in parts if part.startswith(("val", "test"))]
    if not held or len(held) == len(parts):
        raise InputError(
            f"coco: protocol=official needs a train and a val part; found only {', '.join(parts)}: "
            f"choose protocol=mith, or get the other from {SOURCE}"
        )
    query = np.flatnonzero([photo.part in held for photo in photos])
    train = np.setdiff1d(np.arange(len(photos)), query)
    return {"train": train, "database": train, "query": query}


LAYOUT = Layout(load, SETTINGS, SOURCE)
