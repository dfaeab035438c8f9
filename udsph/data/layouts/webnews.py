"""Web news: raw photographs and raw Chinese articles of 10 classes.

The folder holds ``images/ID.jpg``, ``texts/ID.txt`` (UTF-8), ``categories.list`` and two lists of lines ``text id,
image id, class`` parted by tabs: ``trainset_txt_img_cat.list`` (training set and database) and
``testset_txt_img_cat.list`` (queries). The class -1 is one that is not known.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from udsph.data import images, texts
from udsph.data.dataset import Dataset, Modality
from udsph.data.items import Items, as_dataset
from udsph.data.lines import check_encoding, read_lines, read_names
from udsph.data.problems import ON_ERROR, Problems
from udsph.data.quotes import shown
from udsph.data.registry import Layout
from udsph.data.supervision import UNKNOWN
from udsph.errors import InputError

SOURCE = "the folder with images/, texts/, categories.list, trainset_txt_img_cat.list and testset_txt_img_cat.list"
SETTINGS = {**images.SETTINGS, **texts.SETTINGS, "encoding": texts.ENCODING, "on_error": ON_ERROR}


class Entry(NamedTuple):
    """One line of a list."""

    text: str
    image: str
    label: int | None  # from 0; None where it is not known
    split: str


def load(root: Path, **settings: Any) -> Dataset:
    """Queries are the test pairs; training set and database are the training pairs.

    Returns
    -------
    Dataset
        Images ``pixels``, resized to a square of side ``size``; texts ``tokens``, as written in ``captions``. Training
        pairs first, in the order of their list.
    """
    problems = Problems("webnews", settings["on_error"])
    encoding = settings["encoding"]
    check_encoding(encoding)
    classes = read_names(root / "categories.list", "webnews", encoding, numbered=True)
    seen: set[tuple[str, str]] = set()
    entries = [entry for split in ("train", "test") for entry in _entries(root, split, classes, seen, problems)]
    articles = [texts.read_text(root / "texts" / f"{e.text}.txt", encoding, f"{e.text}.txt", problems) for e in entries]
    with_text = [position for position, article in enumerate(articles) if article is not None]
    names = [f"images/{entries[position].image}.jpg" for position in with_text]
    pictures, kept = images.find_images(root, names, problems, **images.options(settings))
    entries = [entries[with_text[position]] for position in kept]
    captions = tuple(str(articles[with_text[position]]) for position in kept)
    train = np.array([number for number, entry in enumerate(entries) if entry.split == "train"], np.int64)
    _remark_repeated(captions, entries, problems)
    labels = np.zeros((len(entries), len(classes)), np.uint8)
    known = np.array([entry.label is not None for entry in entries], bool)
    labels[known, [entry.label for entry in entries if entry.label is not None]] = 1
    items = Items(Modality("pixels", pictures), None, labels, classes, captions, known=known)
    splits = {"train": train, "database": train, "query": np.setdiff1d(np.arange(len(entries)), train)}
    return as_dataset("webnews", items, splits, settings, problems)


def _entries(
    root: Path, split: str, classes: tuple[str, ...], seen: set[tuple[str, str]], problems: Problems
) -> list[Entry]:
    path = root / f"{split}set_txt_img_cat.list"
    entries = []
    for number, line in enumerate(read_lines(path, "webnews"), start=1):
        where = f"{path.name}, line {number}: '{shown(line)}'"
        fields = line.split("\t")
        unknown = fields[-1].strip() == str(UNKNOWN)
        classed = unknown or fields[-1].strip().isdecimal()
        if len(fields) != 3 or not all(_is_plain(name) for name in fields[:2]) or not classed:
            raise InputError(f"webnews: {where}; expected text id, image id and class, parted by tabs")
        label = None if unknown else int(fields[2]) - 1
        if label is not None and not 0 <= label < len(classes):
            problems.leave_out(f"the class is not one of 1 to {len(classes)}", where)
        elif (fields[0], fields[1]) in seen:
            problems.leave_out("the pair is listed before", where)
        else:
            seen.add((fields[0], fields[1]))
            entries.append(Entry(fields[0], fields[1], label, split))
    return entries


def _is_plain(name: str) -> bool:
    """Whether a name in a list is that of a file, not a way out of the folder."""
    return bool(name) and "/" not in name and "\\" not in name


def _remark_repeated(captions: tuple[str, ...], entries: list[Entry], problems: Problems) -> None:
    """Texts that training set and queries share are kept, since published figures include them, but said."""
    trained = Counter(caption for caption, entry in zip(captions, entries, strict=True) if entry.split == "train")
    repeated = [
        entry.text
        for caption, entry in zip(captions, entries, strict=True)
        if entry.split == "test" and caption in trained
    ]
    if repeated:
        problems.remark(
            f"{len(repeated)} of the queries have the text of a training pair word for word ({repeated[0]}.txt)"
        )


LAYOUT = Layout(load, SETTINGS, SOURCE)
