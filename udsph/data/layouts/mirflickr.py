"""MIRFlickr-25K: 25,000 photographs of Flickr with tags and 24 classes, as folders or as ``.mat`` files.

M. J. Huiskes and M. S. Lew, "The MIR Flickr retrieval evaluation", MIR 2008. The official archives unpack to
``im1.jpg`` ..., ``meta/tags/tags1.txt`` ..., ``doc/common_tags.txt`` and a folder of annotations, one file of image
numbers for each class. The ``.mat`` forms are those of :mod:`udsph.data.mats`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data import images, mats, texts
from udsph.data.dataset import Dataset, Modality
from udsph.data.items import Items, as_dataset, split_by
from udsph.data.lines import not_in, read_each_line, read_lines
from udsph.data.problems import ON_ERROR, Problems
from udsph.data.protocols import MOST_SEED, Protocol
from udsph.data.quotes import shown
from udsph.data.registry import Layout
from udsph.data.settings import Setting
from udsph.errors import InputError

SOURCE = (
    "https://press.liacs.nl/mirflickr/mirdownload.html: mirflickr25k.zip and mirflickr25k_annotations_v080.zip, "
    "unpacked side by side; the .mat files come from the authors of the papers that use them"
)
PROTOCOLS = {
    "dcmh": Protocol(20_015, 2000, 10_000, "DCMH, SSAH, AGAH, DADH, MITH", 0x1C0EC7C, tagged=True),
    "djsrh": Protocol(20_015, 2000, 5000, "DJSRH, UCCH", 0xC12271CE, tagged=True),
    "dchmt": Protocol(24_581, 5000, 10_000, "DCHMT, DSPH", 0x6E61323B),
}
SETTINGS = {
    "protocol": Setting(
        "auto", str, "dcmh, djsrh, dchmt, or auto: the file's own splits, else dcmh",
        choices=("auto", *PROTOCOLS),
    ),
    "seed": Setting(0, int, "seed of the split, 0", least=0, most=MOST_SEED),
    "text": Setting(
        "tags", str, "of the folders: tags (a bag of the common tags) or words (the tags as a text)",
        choices=("tags", "words"),
    ),
    "least": Setting(20, int, "images of a common tag, at least, where doc/common_tags.txt is missing, 20", least=1),
    **images.SETTINGS, **texts.SETTINGS, "on_error": ON_ERROR,
}  # fmt: skip
_ANNOTATIONS = ("annotations", "annotations_v080", "mirflickr25k_annotations_v080", "mirflickr25k_annotations")


def load(root: Path, **settings: Any) -> Dataset:
    """Read whichever form ``root`` holds, the official folders or one of the ``.mat`` forms.

    Returns
    -------
    Dataset
        Folders: ``pixels`` and a bag of common tags (``vectors``, sparse, the tags as ``vocabulary``) or ``tokens``.
    """
    problems = Problems("mirflickr", settings["on_error"])
    form = "" if _is_official(root) else mats.find(root)
    if not form and not _is_official(root):
        raise InputError(
            f"mirflickr: '{root}' holds neither the official folders (im1.jpg, meta/tags, annotations) nor a .mat form "
            f"(images/YAll/LAll, I_tr/T_tr/L_tr, caption/index/label.mat); get them from {SOURCE}"
        )
    items = mats.read(root, form, problems, settings) if form else read_official(root, problems, settings)
    items, splits = split_by(items, PROTOCOLS, settings["protocol"], "dcmh", settings["seed"], problems)
    return as_dataset("mirflickr", items, splits, settings, problems)


def _is_official(root: Path) -> bool:
    return root.is_dir() and _base(root) is not None


def _base(root: Path) -> Path | None:
    """The folder that holds ``meta/tags``."""
    return next((base for base in (root, root / "mirflickr") if (base / "meta" / "tags").is_dir()), None)


def read_official(root: Path, problems: Problems, settings: Mapping[str, Any]) -> Items:
    """All images that are there, with their tags and classes."""
    base = _base(root)
    assert base is not None
    numbers, folder = _numbered_images(root, base)
    tags: dict[int, list[str]] = {}
    for number in numbers:
        found = _tags(base / "meta" / "tags" / f"tags{number}.txt", problems)
        if found is not None:
            tags[number] = found
    files = [f"{folder}im{number}.jpg" for number in tags]
    pictures, kept = images.find_images(root, files, problems, **images.options(settings))
    order = [list(tags)[position] for position in kept.tolist()]
    labels, classes = _labels(root, base, order, numbers, problems)
    captions = tuple(" ".join(tags[number]) for number in order)
    if settings["text"] == "words":
        return Items(Modality("pixels", pictures), None, labels, classes, captions)
    common = _common_tags(base, tags, settings["least"], problems)
    return Items(
        Modality("pixels", pictures), bag_of_tags([tags[n] for n in order], common), labels, classes, captions
    )  # fmt: skip


def _numbered_images(root: Path, base: Path) -> tuple[list[int], str]:
    """Numbers of the images, ascending, and their folder relative to the root."""
    for folder in (base, base / "images", root / "images", root / "data"):
        if folder.is_dir():
            stems = [path.stem.removeprefix("im") for path in folder.glob("im*.jpg")]
            numbers = sorted(int(stem) for stem in stems if stem.isdecimal())
            if numbers:
                place = folder.relative_to(root).as_posix()
                return numbers, "" if place == "." else f"{place}/"
    raise InputError(f"mirflickr: no image im1.jpg ... in '{base}' or its folder images; get them from {SOURCE}")


def _tags(path: Path, problems: Problems) -> list[str] | None:
    """The tags of one image, one a line; some files of the archive are empty, which is no error."""
    if not path.is_file():
        problems.leave_out("the file of tags does not exist", path.name)
        return None
    tags = []
    for line in read_each_line(path):
        if line.fault == not_in("utf-8"):
            problems.leave_out("the tags are not utf-8", f"{path.name}, line {line.number}")
            return None
        if line.text:
            tags.append(line.text)
    return tags


def _labels(
    root: Path, base: Path, order: list[int], numbers: list[int], problems: Problems
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Multi-hot labels of the images, from the class files that do not end in ``_r1`` (those are stricter twins).

    Annotated images that are not among ``numbers``, those on the disk, are bad items.
    """
    places = [place / name for place in (root, base) for name in _ANNOTATIONS]
    folder = next((place for place in places if place.is_dir()), None)
    files = [] if folder is None else sorted(folder.glob("*.txt"))
    files = [path for path in files if path.stem.lower() != "readme" and not path.stem.endswith("_r1")]
    if not files:
        raise InputError(f"mirflickr: no annotations in '{root}' ({', '.join(_ANNOTATIONS)}); get them from {SOURCE}")
    rows = {number: row for row, number in enumerate(order)}
    labels = np.zeros((len(order), len(files)), np.uint8)
    known, missing = set(numbers), set()
    for column, path in enumerate(files):
        for line, text in enumerate(read_lines(path, "mirflickr"), start=1):
            if not text:
                continue
            if not text.isdecimal():
                raise InputError(f"mirflickr: {path.name}, line {line}: '{shown(text)}' is no image number")
            number = int(text)
            if number in rows:
                labels[rows[number], column] = 1
            elif number not in known and number not in missing:
                missing.add(number)
                problems.leave_out("the image of an annotation does not exist", f"im{number}.jpg in {path.name}")
    return labels, tuple(path.stem for path in files)


def _common_tags(base: Path, tags: Mapping[int, list[str]], least: int, problems: Problems) -> tuple[str, ...]:
    """The vocabulary of the papers: the archive's list, or the tags of at least so many images."""
    path = base / "doc" / "common_tags.txt"
    if path.is_file():
        lines = read_lines(path, "mirflickr")
        common = tuple(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
    else:
        counts = Counter(tag for found in tags.values() for tag in set(found))
        common = tuple(sorted(tag for tag, count in counts.items() if count >= least))
        problems.remark(f"doc/common_tags.txt is missing: {len(common):,} tags of at least {least} images are used")
    if not common:
        raise InputError(
            f"mirflickr: no tag is common to {least} images, so the vocabulary is empty; least=1, "
            f"or give doc/common_tags.txt"
        )
    return common


def bag_of_tags(found: list[list[str]], common: tuple[str, ...]) -> Modality:
    """Which of the common tags each item has: ``vectors``, CSR, 0 and 1."""
    import scipy.sparse

    place = {tag: column for column, tag in enumerate(common)}
    columns = [sorted({place[tag] for tag in tags if tag in place}) for tags in found]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in columns])])
    indices = np.array([column for one in columns for column in one], np.int64)
    table = scipy.sparse.csr_array(
        (np.ones(len(indices), np.float32), indices, starts), shape=(len(found), len(common))
    )  # fmt: skip
    return Modality("vectors", table, vocabulary=common)


LAYOUT = Layout(load, SETTINGS, SOURCE)
