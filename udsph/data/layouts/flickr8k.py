"""Flickr8k: 8,000 photographs with five captions each, in the official files or as a folder prepared with labels.

M. Hodosh, P. Young, J. Hockenmaier, "Framing image description as a ranking task", JAIR 47, 2013. The official files
are ``Flickr8k_Dataset/`` with the images, ``Flickr8k.token.txt`` (``NAME.jpg#0``, a tab, the caption) and the lists
``Flickr_8k.trainImages.txt``, ``devImages``, ``testImages``; ``captions.txt`` (``image,caption``) may stand for the
former. They have no labels.

A prepared folder has ``captions.tsv`` instead (``image``, ``split``, ``text1``, ``text2``, ...) and ``labels.npz``
(``names``, ``labels``, ``label_names``), which may lie beside the official files too: concepts that other captions of
the same photograph name, so that no label comes from the text that is read. An image that ``labels.npz`` does not
name, or whose row is -1, is one whose labels are not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from udsph.data import images, texts
from udsph.data.arrays import Arrays
from udsph.data.checks import as_class_labels
from udsph.data.dataset import NO_LABELS, Dataset, Modality
from udsph.data.items import Items, Splits, as_dataset, split_by
from udsph.data.lines import composed, read_each_line, read_lines
from udsph.data.problems import ON_ERROR, Problems
from udsph.data.protocols import MOST_SEED, seeded_fifth
from udsph.data.quotes import shown
from udsph.data.registry import Layout
from udsph.data.rows import inside, read_rows
from udsph.data.settings import Setting
from udsph.errors import InputError

SOURCE = (
    "Flickr8k_Dataset.zip (the images) and Flickr8k_text.zip (Flickr8k.token.txt and the lists), unpacked side by "
    "side; labels.npz (names, labels, label_names) is no part of them, labels=none does without"
)
SETTINGS = {
    "labels": Setting(
        "concepts", str, "concepts: those of labels.npz; none: pairs alone, as the official files have them",
        choices=("concepts", NO_LABELS),
    ),
    "caption": Setting(
        "all", str, "which of an image's captions are its text: all joined, first, or random: one drawn by the seed",
        choices=("all", "first", "random"),
    ),
    "queries": Setting(
        "test", str, "the part whose images are queries: test, or dev to choose by", choices=("test", "dev")
    ),
    "split": Setting(
        "official", str, "official: the lists; fifth: a seeded fifth are queries", choices=("official", "fifth")
    ),
    "seed": Setting(0, int, "seed of split=fifth and caption=random, 0", least=0, most=MOST_SEED),
    **images.SETTINGS, **texts.SETTINGS, "on_error": ON_ERROR,
}  # fmt: skip
TOKENS, TABLE, PREPARED, LABELS = "Flickr8k.token.txt", "captions.txt", "captions.tsv", "labels.npz"
_TEXT_FOLDERS = ("", "Flickr8k_text")
_IMAGE_FOLDERS = ("Flickr8k_Dataset", "Flicker8k_Dataset", "images", "Images", "Flickr8k_Dataset/Flicker8k_Dataset", "")


class Photo(NamedTuple):
    """One image, by the name of its file, and its part: train, dev, test, or none where no list has it."""

    name: str
    part: str
    captions: list[str]


def load(root: Path, **settings: Any) -> Dataset:
    """The training images, then the queries, each in the order of their list.

    Database are all training images. Those of no class among labelled ones are not trained on, and are no queries.

    Returns
    -------
    Dataset
        Images ``pixels``, captions ``tokens``.
    """
    problems = Problems("flickr8k", settings["on_error"])
    if not root.is_dir():
        raise InputError(f"flickr8k: '{root}' is no folder; give the one that holds the images and captions")
    official = settings["split"] == "official"
    photos = (
        _prepared(root / PREPARED, problems) if (root / PREPARED).is_file() else _official(root, official, problems)
    )
    if official:
        photos = [photo for part in ("train", settings["queries"]) for photo in photos if photo.part == part]
    photos = _with_captions(photos, problems)
    folder = _image_folder(root, photos)
    pictures, kept = images.find_images(
        root, [folder + photo.name for photo in photos], problems, **images.options(settings)
    )
    photos = [photos[position] for position in kept.tolist()]
    items = Items(Modality("pixels", pictures), None, *_no_labels(len(photos)), _texts(photos, settings))
    if settings["labels"] != NO_LABELS:
        labels, classes, known = _labels(root, photos, problems)
        items = replace(items, labels=labels, classes=classes, known=known)
    items = replace(items, splits=_splits(photos, settings))
    if settings["labels"] == NO_LABELS:
        return as_dataset("flickr8k", items, items.splits or {}, settings, problems)
    items, splits = split_by(items, {}, "auto", "", settings["seed"], problems)
    return as_dataset("flickr8k", items, _without_bare_queries(items, splits, problems), settings, problems)


def _no_labels(count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    return np.zeros((count, 0), np.uint8), ()


def _prepared(path: Path, problems: Problems) -> list[Photo]:
    """Of ``captions.tsv`` the columns image and split, and those of texts; captions that labels come from are not read.

    The file has no quotes but those of the captions.
    """
    lines = [line.split("\t") for line in read_lines(path, problems.layout)]
    header = [name.strip() for name in lines[0]] if lines else []
    columns = [place for place, name in enumerate(header) if name.startswith("text")]
    missing = [name for name in ("image", "split") if name not in header] + ([] if columns else ["text1"])
    if missing:
        raise InputError(f"flickr8k: {path.name} has no column '{missing[0]}'; it has: {shown(', '.join(header))}")
    image, split = header.index("image"), header.index("split")
    photos = []
    for number, fields in enumerate(lines[1:], start=2):
        if len(fields) != len(header) or not inside(fields[image].strip()):
            problems.leave_out("the line has other fields than the heading", f"{path.name}, line {number}")
        else:
            captions = [fields[place].strip() for place in columns]
            photos.append(Photo(inside(fields[image].strip()), fields[split].strip(), captions))
    return _once(photos, path.name, problems)


def _once(photos: list[Photo], source: str, problems: Problems) -> list[Photo]:
    """Each image once, where it is named first."""
    found: dict[str, Photo] = {}
    for photo in photos:
        if found.setdefault(photo.name, photo) is not photo:
            problems.leave_out("the image is listed before", f"{source}: {photo.name}")
    return list(found.values())


def _official(root: Path, listed: bool, problems: Problems) -> list[Photo]:
    """The images of the lists with their captions; without lists all that have captions."""
    captions = _captions(root, problems)
    if not listed:
        return [Photo(name, "", found) for name, found in captions.items() if inside(name)]
    photos: list[Photo] = []
    for part in ("train", "dev", "test"):
        path = _find(root, f"Flickr_8k.{part}Images.txt")
        if path is None:
            raise InputError(
                f"flickr8k: 'Flickr_8k.{part}Images.txt' is missing in '{root}'; it is in Flickr8k_text.zip; "
                f"split=fifth draws queries instead"
            )
        for name in filter(None, read_lines(path, "flickr8k")):
            if inside(name):
                photos.append(Photo(inside(name), part, captions.get(composed(inside(name)), [])))
            else:
                problems.leave_out("the file name leaves the folder", f"{path.name}: {name}")
    photos = _once(photos, "the lists", problems)
    unlisted = len(captions.keys() - {composed(photo.name) for photo in photos})
    if unlisted:
        problems.remark(f"{unlisted:,} images with captions are in none of the lists and are not used")
    return photos


def _find(root: Path, name: str) -> Path | None:
    return next((root / folder / name for folder in _TEXT_FOLDERS if (root / folder / name).is_file()), None)


def _captions(root: Path, problems: Problems) -> dict[str, list[str]]:
    """The captions of each image, in their order in the file."""
    found: dict[str, list[str]] = {}
    tokens, table = _find(root, TOKENS), _find(root, TABLE)
    if tokens is not None:
        for line in read_each_line(tokens):
            name, _, caption = line.text.partition("\t")
            place, _, number = name.rpartition("#")
            if line.fault or not (place and number.strip().isdecimal()):
                problems.leave_out("the line is no 'NAME.jpg#0', tab, caption", f"{TOKENS}, line {line.number}")
            else:
                found.setdefault(composed(place.strip()), []).append(caption.strip())
    elif table is not None:
        for row in read_rows(table, ("image", "caption"), layout="flickr8k"):
            name, caption = (str(row.fields[column]) for column in ("image", "caption"))
            if row.fault or not name:
                problems.leave_out(row.fault or "the row names no image", f"{TABLE}, row {row.number}")
            else:
                found.setdefault(composed(name), []).append(caption)
    else:
        raise InputError(f"flickr8k: '{root}' has neither {TOKENS} nor {TABLE} nor {PREPARED}; get them from {SOURCE}")
    return found


def _with_captions(photos: list[Photo], problems: Problems) -> list[Photo]:
    """The photographs that have a caption, without empty ones."""
    kept = []
    for photo in photos:
        captions = [caption for caption in photo.captions if caption]
        if not captions:
            problems.leave_out("the image has no caption", photo.name)
            continue
        if len(captions) < len(photo.captions):
            problems.leave_out("a caption is empty; the others of its image serve", photo.name)
        kept.append(photo._replace(captions=captions))
    problems.check_any_left(len(kept))
    return kept


def _image_folder(root: Path, photos: Sequence[Photo]) -> str:
    """Where the images lie, which the official archive calls Flicker8k_Dataset."""
    for place in _IMAGE_FOLDERS:
        folder = f"{place}/" if place else ""
        if any((root / f"{folder}{photo.name}").is_file() for photo in photos[:100]):
            return folder
    return f"{_IMAGE_FOLDERS[0]}/"


def _texts(photos: Sequence[Photo], settings: Mapping[str, Any]) -> tuple[str, ...]:
    if settings["caption"] == "random":
        return texts.choose([photo.captions for photo in photos], range(len(photos)), settings["seed"])
    return tuple(photo.captions[0] if settings["caption"] == "first" else " ".join(photo.captions) for photo in photos)


def _labels(root: Path, photos: Sequence[Photo], problems: Problems) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Labels of the photographs, the names of the classes, and whose labels are known."""
    path = root / LABELS
    if not path.is_file():
        raise InputError(
            f"flickr8k: '{LABELS}' is missing in '{root}', and the official files have no labels; labels=none loads "
            f"the pairs alone"
        )
    with Arrays(path) as arrays:
        names, table = [str(name) for name in arrays.read("names")], arrays.read("labels")
        classes = tuple(str(name) for name in arrays.read("label_names"))
    if table.ndim != 2 or table.shape != (len(names), len(classes)):
        shape = " x ".join(map(str, table.shape))
        raise InputError(
            f"flickr8k: {LABELS}: 'labels' is {shape}, but there are {len(names)} names and {len(classes)} label names"
        )
    rows, _, stated = as_class_labels(table, f"flickr8k: {LABELS}: 'labels'")
    place = {composed(name): row for row, name in enumerate(names)}
    found = np.array([place.get(composed(photo.name), -1) for photo in photos], np.int64)
    if (found < 0).all():
        raise InputError(f"flickr8k: {LABELS} names none of the images; its first is '{shown(names[0])}'")
    known = (found >= 0) & stated[found]
    if not known.all():
        problems.remark(f"{int((~known).sum()):,} images have no labels in {LABELS}: theirs are not known")
    return np.where(known[:, None], rows[found], 0).astype(np.uint8), classes, known


def _splits(photos: Sequence[Photo], settings: Mapping[str, Any]) -> Splits:
    if settings["split"] == "fifth":
        return seeded_fifth(len(photos), settings["seed"], "flickr8k")
    train = np.flatnonzero([photo.part == "train" for photo in photos])
    query = np.flatnonzero([photo.part == settings["queries"] for photo in photos])
    return {"train": train, "database": train, "query": query}


def _without_bare_queries(items: Items, splits: Splits, problems: Problems) -> Splits:
    """Queries of no class leave: nothing could be found for them."""
    bare = items.of_no_class()[splits["query"]]
    if bare.any():
        problems.remark(f"{int(bare.sum()):,} queries have none of the {len(items.classes)} classes and are not used")
    return {**splits, "query": splits["query"][~bare]}


LAYOUT = Layout(load, SETTINGS, SOURCE)
