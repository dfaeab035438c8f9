"""MS COCO: photographs with five captions each, 80 classes of objects and their boxes, in the official JSON layout.

T.-Y. Lin et al., "Microsoft COCO: common objects in context", ECCV 2014. The folder holds ``annotations/`` with
``captions_PART.json`` and ``instances_PART.json``, and the images of each part in ``PART/`` (or ``images/PART/``); the
parts are ``train2017`` and ``val2017``, or ``train2014`` and ``val2014``. Files of one's own in that form may have ids
of any kind; their parts are one dataset by the names of the classes, whatever numbers these have in each. An image that
the captions' file lists and the instances' file does not is one that nobody looked at for classes: its labels are not
known. One that both list, without an object, has none of the classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from udsph.data import images, texts
from udsph.data.boxes import MOST_BOXES, Box, Boxes
from udsph.data.coco_json import Annotations, Identity, identity_of, read_annotations
from udsph.data.dataset import NO_LABELS, Dataset, Modality
from udsph.data.items import Items, as_dataset
from udsph.data.problems import ON_ERROR, Problems
from udsph.data.protocols import MOST_SEED, Protocol, draw, listed_splits
from udsph.data.registry import Layout
from udsph.data.rows import inside
from udsph.data.settings import Setting
from udsph.errors import InputError

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
    "seed": Setting(0, int, "seed of the split and of the choice of captions, 0", least=0, most=MOST_SEED),
    "labels": Setting(
        "categories", str, "categories, or none: captions alone, for which no instances are read",
        choices=("categories", NO_LABELS),
    ),
    "image": Setting("pixels", str, "pixels, or boxes: each box as a region", choices=("pixels", "boxes")),
    "boxes": Setting(MOST_BOXES, int, f"most boxes of an image, the largest, {MOST_BOXES}", least=1, most=100),
    "caption": Setting("random", str, "which of the captions: random, first, all", choices=("random", "first", "all")),
    **images.SETTINGS, **texts.SETTINGS, "on_error": ON_ERROR,
}  # fmt: skip


class Photo(NamedTuple):
    """What the annotations say of one image."""

    identity: Identity
    part: str
    file: str
    captions: list[str]
    classes: list[int]  # of its objects, as columns
    boxes: list[Box]  # left, top, right, bottom as shares of the sides; largest first
    known: bool = True  # whether its objects were looked for


def load(root: Path, **settings: Any) -> Dataset:
    """Images with a caption and with one of the classes, or unknown ones, in the order of parts and ids.

    Returns
    -------
    Dataset
        Images ``pixels``, or with ``image=boxes`` ``regions``: the whole picture, then its boxes
        (see :class:`~udsph.data.boxes.Boxes`). Captions are ``tokens``.
    """
    problems = Problems("coco", settings["on_error"])
    labelled, boxed = settings["labels"] != NO_LABELS, settings["image"] == "boxes"
    if boxed and not labelled:
        raise InputError("coco: image=boxes reads the instances, which labels=none leaves away; give one of the two")
    parts = find_parts(root, labelled, problems)
    classes: dict[str, int] = {}
    photos = [photo for part in parts for photo in read_part(root, part, classes, problems, labelled, boxed)]
    names = [_place(root, photo.part) + photo.file for photo in photos]
    pictures, kept = images.find_images(root, names, problems, **images.options(settings))
    photos = [photos[position] for position in kept.tolist()]
    view = Modality("pixels", pictures)
    if boxed:
        largest = [photo.boxes[: settings["boxes"]] for photo in photos]
        regions = Boxes(root, pictures.names, largest, settings["workers"], problems.stops)
        view = Modality("regions", regions, regions.lengths)
    labels = np.zeros((len(photos), len(classes)), np.uint8)
    for row, photo in enumerate(photos):
        labels[row, photo.classes] = 1
    splits = _splits(root, photos, parts, settings["protocol"], settings["seed"], problems)
    captions = _chosen(photos, settings["caption"], settings["seed"])
    known = np.array([photo.known for photo in photos], bool)
    items = Items(view, None, labels, tuple(classes), captions, known=known)
    return as_dataset("coco", items, splits, settings, problems)


def find_parts(root: Path, labelled: bool, problems: Problems) -> list[str]:
    """The parts of which the annotation files are there, sorted: training part first; the others are remarked on."""
    folder = _annotations(root)
    parts = sorted(path.stem.removeprefix("captions_") for path in folder.glob("captions_*.json"))
    whole = [part for part in parts if not labelled or (folder / f"instances_{part}.json").is_file()]
    if not whole:
        what = f"instances_{parts[0]}.json" if parts else "captions_PART.json and instances_PART.json"
        mend = "; labels=none reads captions alone" if parts else ""
        raise InputError(f"coco: '{what}' is missing in '{folder}'; get it from {SOURCE}{mend}")
    for part in parts:
        if part not in whole:
            problems.remark(f"captions_{part}.json is not used, since instances_{part}.json is missing")
    return whole


def _annotations(root: Path) -> Path:
    return root / "annotations" if (root / "annotations").is_dir() else root


def _place(root: Path, part: str) -> str:
    """The folder of a part's images, relative to the root."""
    places = (f"{part}/", f"images/{part}/", "images/")
    return next((place for place in places if (root / place).is_dir()), places[0])


def read_part(
    root: Path, part: str, classes: dict[str, int], problems: Problems, labelled: bool = True, boxed: bool = False
) -> list[Photo]:
    """The images of one part, by id; adds its classes, by name, to ``classes``."""
    folder = _annotations(root)
    captions = read_annotations(folder / f"captions_{part}.json", problems)
    instances = read_annotations(folder / f"instances_{part}.json", problems) if labelled else Annotations()
    for name in instances.categories.values():
        classes.setdefault(name, len(classes))
    _leave_out_strays(captions, instances, part, problems)
    photos, of_no_class = [], 0
    for identity, entry in captions.images.items():
        objects = instances.of_image.get(identity, [])
        where = f"{part}/{entry['file_name']}"
        written = [_caption(one, problems, where) for one in captions.of_image.get(identity, [])]
        found = [identity_of(one.get("category_id")) for one in objects]
        strange = [category for category in found if category not in instances.categories]
        if not inside(entry["file_name"]):
            problems.leave_out("the file name leaves the folder", where)
        elif not any(written):
            problems.leave_out("the caption is empty or missing", where)
        elif strange:
            problems.leave_out(f"the class {strange[0]} is not among the categories", where)
        elif labelled and not objects and identity in instances.images:
            of_no_class += 1
        elif boxed and not _has_size(entry):
            problems.leave_out("the image has no width or no height, which its boxes need", where)
        else:
            if not all(written):
                problems.leave_out("a caption is empty; the others of its image serve", where)
            names = {instances.categories[category] for category in found if category is not None}
            boxes = _boxes(objects, entry, problems, where) if boxed else []
            columns = sorted(classes[name] for name in names)
            texts_of = [one for one in written if one]
            known = bool(objects) or identity in instances.images
            photos.append(Photo(identity, part, inside(entry["file_name"]), texts_of, columns, boxes, known))
    if of_no_class:
        problems.remark(
            f"{of_no_class:,} images of {part} have none of the {len(instances.categories)} classes and are not used"
        )
    unlisted = sum(not photo.known for photo in photos) if labelled else 0
    if unlisted:
        problems.remark(f"{unlisted:,} images of {part} are not in instances_{part}.json: their labels are not known")
    return photos


def _leave_out_strays(captions: Annotations, instances: Annotations, part: str, problems: Problems) -> None:
    """Name the annotations of images that the captions' file does not list."""
    for kind, found in (("captions", captions), ("instances", instances)):
        for identity in found.of_image:
            if identity not in captions.images:
                problems.leave_out(
                    f"the image of annotations is not listed in captions_{part}.json", f"{kind}, {identity}"
                )


def _caption(annotation: Mapping[str, Any], problems: Problems, where: str) -> str:
    """The text of a caption; nothing where it is missing, null or no text."""
    text = annotation.get("caption")
    if text is not None and not isinstance(text, str):
        problems.leave_out("a caption is no text", f"{where}: {text}")
    return text.strip() if isinstance(text, str) else ""


def _has_size(entry: Mapping[str, Any]) -> bool:
    sides = (entry.get("width"), entry.get("height"))
    return all(isinstance(side, int | float) and not isinstance(side, bool) and 0 < side < np.inf for side in sides)


def _boxes(objects: list[dict[str, Any]], entry: Mapping[str, Any], problems: Problems, where: str) -> list[Box]:
    """The boxes of single objects inside the picture, largest first, as shares of its sides."""
    width, height = float(entry["width"]), float(entry["height"])
    found = []
    for one in objects:
        try:
            left, top, wide, high = (float(number) for number in one["bbox"])
        except (KeyError, TypeError, ValueError, OverflowError):
            problems.leave_out("a box is not four numbers; the class of its object counts", where)
            continue
        box = (
            max(left, 0) / width,
            max(top, 0) / height,
            min(left + wide, width) / width,
            min(top + high, height) / height,
        )
        if one.get("iscrowd"):
            continue
        if box[2] > box[0] and box[3] > box[1]:  # NaN fails too
            found.append(box)
        else:
            problems.leave_out("a box is empty or outside the picture; the class of its object counts", where)
    return sorted(found, key=lambda box: -(box[2] - box[0]) * (box[3] - box[1]))


def _chosen(photos: list[Photo], caption: str, seed: int) -> tuple[str, ...]:
    """One text for each image."""
    if caption == "all":
        return tuple(" ".join(photo.captions) for photo in photos)
    if caption == "first":
        return tuple(photo.captions[0] for photo in photos)
    return tuple(
        photo.captions[np.random.RandomState([seed, *_seeds(photo.identity)]).randint(len(photo.captions))]
        for photo in photos
    )


def _seeds(identity: Identity) -> list[int]:
    """Numbers of 32 bits from an id, so that an image has the same caption whatever other images there are."""
    if isinstance(identity, int) and 0 <= identity < 2**32:
        return [identity]
    digest = hashlib.blake2b(str(identity).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.frombuffer(digest, "<u4").tolist()


def _splits(
    root: Path, photos: list[Photo], parts: list[str], protocol: str, seed: int, problems: Problems
) -> dict[str, np.ndarray]:
    if protocol == "mith":
        return draw(PROTOCOLS["mith"], "mith", len(photos), seed, problems)
    if protocol == "hashnet":
        # "train2014/COCO_train2014_000000566612.jpg" and "train2017/000000566612.jpg" are the same photograph.
        return listed_splits(root, "coco", [_number_of(photo.file) for photo in photos], _number_of, problems)
    held = [part for part in parts if part.startswith(("val", "test"))]
    if not held or len(held) == len(parts):
        raise InputError(
            f"coco: protocol=official needs a train and a val part; found only {', '.join(parts)}: "
            f"choose protocol=mith, or get the other from {SOURCE}"
        )
    query = np.flatnonzero([photo.part in held for photo in photos])
    train = np.setdiff1d(np.arange(len(photos)), query)
    return {"train": train, "database": train, "query": query}


def _number_of(path: str) -> int | str:
    """The number at the end of a file's name; the name itself where it ends in none."""
    stem = Path(path).stem
    number = stem.rpartition("_")[2]
    return int(number) if number.isdecimal() else stem


LAYOUT = Layout(load, SETTINGS, SOURCE)
