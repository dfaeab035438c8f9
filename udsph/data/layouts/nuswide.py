"""NUS-WIDE: 269,648 photographs of Flickr with tags and 81 classes, of which hashing papers use the most frequent.

T.-S. Chua et al., "NUS-WIDE: a real-world web image database", CIVR 2009. The official archives unpack to
``ImageList/``, ``Groundtruth/AllLabels/``, ``NUS_WID_Tags/`` and the images in ``Flickr/``. TC-21 (195,834 pairs) are
the images of the 21 most frequent classes, TC-10 (186,577) those of the 10. The ``.mat`` forms are those of
:mod:`udsph.data.mats`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data import images, mats, texts
from udsph.data.dataset import Dataset, Modality
from udsph.data.items import Items, as_dataset, drop_unused, split_by
from udsph.data.lines import not_in, read_each_line, read_lines
from udsph.data.problems import ON_ERROR, Problems
from udsph.data.protocols import MOST_SEED, Protocol, listed_splits
from udsph.data.registry import Layout
from udsph.data.settings import Setting
from udsph.errors import InputError

SOURCE = (
    "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html: Groundtruth, ImageList, "
    "NUS_WID_Tags (and ConceptsList), unpacked side by side; the images, on request to its authors, in Flickr/"
)
PROTOCOLS = {
    "tc21": Protocol(195_834, 2100, 10_500, "AGAH, SSAH, DCMH", 0x7CDE58C, classes=21),
    "tc21-dadh": Protocol(195_834, 2100, 10_000, "DADH", 0xD3180D3A, classes=21),
    "tc21-mith": Protocol(190_421, 2100, 10_500, "MITH", 0xAA9102A6, classes=21, tagged=True),
    "tc10": Protocol(186_577, 2100, 5000, "UCCH", 0xBC529001, classes=10),
    "tc10-ugach": Protocol(186_577, 1865, 15_000, "UGACH", 0x5D97BAE9, classes=10),
}
SETTINGS = {
    "protocol": Setting(
        "auto", str, "tc21, tc21-dadh, tc21-mith, tc10, tc10-ugach, lists (nuswide_21_train.txt, nuswide_21_test.txt), "
        "or auto: the file's own splits, else tc21",
        choices=("auto", *PROTOCOLS, "lists"),
    ),
    "seed": Setting(0, int, "seed of the split, 0", least=0, most=MOST_SEED),
    "text": Setting(
        "tags", str, "of the lists: tags (a bag of the 1000 common tags) or words (all tags as a text)",
        choices=("tags", "words"),
    ),
    **images.SETTINGS, **texts.SETTINGS, "on_error": ON_ERROR,
}  # fmt: skip
BLOCK = 32 * 2**20  # bytes of a large text file that are read at once


def load(root: Path, **settings: Any) -> Dataset:
    """Read whichever form ``root`` holds, the official lists or one of the ``.mat`` forms.

    Returns
    -------
    Dataset
        Lists: ``pixels`` and a bag of the 1000 tags (``vectors``, sparse) or all tags (``tokens``).
    """
    problems = Problems("nuswide", settings["on_error"])
    official = root.is_dir() and _find(root, "Imagelist.txt") is not None
    form = "" if official else mats.find(root)
    if not official and not form:
        raise InputError(
            f"nuswide: '{root}' holds neither the official lists (ImageList/Imagelist.txt, Groundtruth/AllLabels, "
            f"NUS_WID_Tags) nor a .mat form (images/YAll/LAll, I_tr/T_tr/L_tr, caption/index/label.mat); get them from "
            f"{SOURCE}"
        )
    protocol, seed = settings["protocol"], settings["seed"]
    if protocol == "lists":
        if form:
            raise InputError("nuswide: protocol=lists needs the official ImageList/Imagelist.txt")
        items, files = read_official(root, PROTOCOLS["tc21"], problems, settings)
        names = [file.rpartition("/")[2] for file in files]
        splits = listed_splits(root, "nuswide_21", names, lambda path: path.rpartition("/")[2], problems)
    elif form:
        items, splits = split_by(
            mats.read(root, form, problems, settings), PROTOCOLS, protocol, "tc21", seed, problems
        )  # fmt: skip
    else:
        chosen = PROTOCOLS["tc21" if protocol == "auto" else protocol]
        items, _ = read_official(root, chosen, problems, settings)
        items, splits = split_by(items, PROTOCOLS, protocol, "tc21", seed, problems)
    return as_dataset("nuswide", items, splits, settings, problems)


def _find(root: Path, name: str) -> Path | None:
    """A file of the archives, which people unpack to one folder or to one each."""
    folders = ("", "ImageList", "NUS_WID_Tags", "Groundtruth", "ConceptsList")
    return next((root / folder / name for folder in folders if (root / folder / name).exists()), None)


def _needed(root: Path, name: str) -> Path:
    path = _find(root, name)
    if path is None:
        raise InputError(f"nuswide: '{name}' is missing in '{root}'; get it from {SOURCE}")
    return path


def read_official(
    root: Path, protocol: Protocol, problems: Problems, settings: Mapping[str, Any]
) -> tuple[Items, list[str]]:
    """The images with one of the protocol's classes, and their files. Nothing else is looked for on disk."""
    lines = read_lines(_needed(root, "Imagelist.txt"), "nuswide")
    files = [line.replace("\\", "/") for line in lines]
    labels, classes = read_labels(_needed(root, "AllLabels"), len(files))
    text, captions, faults = _texts(root, len(files), settings["text"])
    if faults and text is not None:
        problems.remark(f"{len(faults):,} lines of All_Tags.txt are not utf-8 (line {min(faults) + 1}, ...)")
    numbered = Modality("vectors", np.arange(len(files))[:, None])  # stands for the images until they are chosen
    items = Items(numbered, text, labels, classes, captions).with_frequent_classes(protocol.classes)
    items = drop_unused(items, protocol.tagged, problems)
    items = items.select(_usable(items, files, faults if settings["text"] == "words" else set(), problems))
    files = [files[number] for number in items.image.values[:, 0].tolist()]
    place = _image_folder(root, files)
    names = [place + (file if place.startswith("Flickr") else file.rpartition("/")[2]) for file in files]
    pictures, kept = images.find_images(root, names, problems, **images.options(settings))
    items = items.select(kept)
    chosen = replace(items, image=Modality("pixels", pictures))
    return chosen, [files[position] for position in kept.tolist()]


def _usable(items: Items, files: list[str], faults: set[int], problems: Problems) -> np.ndarray:
    """The rows that are the first of their file in the list, and whose tags could be read."""
    usable, seen = [], set()
    for row, number in enumerate(items.image.values[:, 0].tolist()):
        if files[number] in seen:
            problems.leave_out("the image is listed before", f"Imagelist.txt, line {number + 1}: {files[number]}")
        elif number in faults:
            problems.leave_out("the tags are not utf-8", f"All_Tags.txt, line {number + 1}")
        else:
            usable.append(row)
        seen.add(files[number])
    problems.check_any_left(len(usable))
    return np.array(usable, np.int64)


def _image_folder(root: Path, files: list[str]) -> str:
    """``Flickr/`` with a folder for each word, as unpacked, or ``images/`` with all files."""
    for place in ("Flickr/", "images/", ""):
        if (root / place).is_dir():
            for file in files[:1000]:
                name = file if place == "Flickr/" else file.rpartition("/")[2]
                if (root / place / name).is_file():
                    return place
    return "Flickr/"


def read_labels(folder: Path, count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """``Labels_NAME.txt``, one line of 0 or 1 for each image: uint8 ``(count, classes)``, and the names sorted."""
    files = sorted(folder.glob("Labels_*.txt"))
    if not files:
        raise InputError(f"nuswide: no Labels_*.txt in '{folder}'; get them from {SOURCE}")
    labels = np.empty((count, len(files)), np.uint8)
    for column, path in enumerate(files):
        digits = np.concatenate(list(_digits(path)) or [np.empty(0, np.uint8)])
        if len(digits) != count:
            raise InputError(
                f"nuswide: {path.name} has {len(digits):,} labels but the image list {count:,} lines; each image needs "
                f"0 or 1 (the .mat forms can leave labels open)"
            )
        labels[:, column] = digits
    return labels, tuple(path.stem.removeprefix("Labels_") for path in files)


def _digits(path: Path) -> Iterator[np.ndarray]:
    """The zeros and ones of a text file, block by block; between them only blanks."""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            signs = np.frombuffer(block, np.uint8)
            signs = signs[(signs > 32)]
            if len(signs) and not ((signs == 48) | (signs == 49)).all():
                odd = signs[(signs != 48) & (signs != 49)][0]
                raise InputError(f"nuswide: {path.name} holds {chr(odd)!r}; expected 0 and 1 only")
            yield signs - 48


def _texts(root: Path, count: int, text: str) -> tuple[Modality | None, tuple[str, ...] | None, set[int]]:
    """The bag of tags, the tags as written where they are at hand, or both; and which of the latter are no text."""
    raw = _find(root, "All_Tags.txt")
    if text == "words" and raw is None:
        _needed(root, "All_Tags.txt")
    captions, faults = (None, set[int]()) if raw is None else _all_tags(raw, count)
    if text == "words":
        return None, captions, faults
    names = read_lines(_needed(root, "TagList1k.txt"), "nuswide")
    vocabulary = tuple(line for line in names if line)
    return read_tags(_needed(root, "AllTags1k.txt"), count, vocabulary), captions, faults


def _all_tags(path: Path, count: int) -> tuple[tuple[str, ...], set[int]]:
    """``id tag tag ...`` a line, without the id; and the lines, from 0, that are no UTF-8."""
    found, faults = [], set()
    for line in read_each_line(path):
        if line.fault == not_in("utf-8"):
            faults.add(line.number - 1)
        found.append(" ".join(line.text.split()[1:]))
    if len(found) != count:
        raise InputError(f"nuswide: {path.name} has {len(found):,} lines but the image list {count:,}")
    return tuple(found), faults


def read_tags(path: Path, count: int, vocabulary: tuple[str, ...]) -> Modality:
    """``AllTags1k.txt``, half a gigabyte of zeros and ones, streamed into a CSR array ``(count, tags)``."""
    import scipy.sparse

    width = len(vocabulary)
    if width == 0:
        raise InputError("nuswide: TagList1k.txt is empty, so the vocabulary is empty")
    ones, seen = [], 0
    for digits in _digits(path):
        ones.append(np.flatnonzero(digits) + seen)
        seen += len(digits)
    if seen != count * width:
        raise InputError(
            f"nuswide: {path.name} holds {seen:,} numbers; expected {count:,} images x {width:,} tags of TagList1k.txt"
        )
    rows, columns = np.divmod(np.concatenate(ones), width)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    table = scipy.sparse.csr_array((np.ones(len(rows), np.float32), columns, starts), shape=(count, width))
    return Modality("vectors", table, vocabulary=vocabulary)


LAYOUT = Layout(load, SETTINGS, SOURCE)
