"""Folder: images of one's own and a table, CSV or Parquet, of their captions and labels.

The table has the columns ``image`` (path relative to the folder), ``caption`` and ``labels`` (names parted by ``;``, or
a list), and perhaps ``split`` (train, query or test, database) and ``id``. A file ``classes.txt`` may list the classes,
one a line; a label that it does not list is then an error of that row. A row whose labels are empty is a pair whose
labels are not known.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from udsph.data import images, texts
from udsph.data.dataset import NO_LABELS, SPLIT_NAMES, SPLITS, Dataset, Modality
from udsph.data.items import Items, as_dataset
from udsph.data.lines import read_names
from udsph.data.problems import ON_ERROR, Problems
from udsph.data.protocols import MOST_SEED, seeded_fifth
from udsph.data.quotes import shown
from udsph.data.registry import Layout
from udsph.data.rows import SUFFIXES, inside, names_in, read_rows
from udsph.data.settings import Setting
from udsph.errors import InputError

SOURCE = "images and a table of your own: a .csv, .tsv or .parquet with the columns image, caption, labels"
SETTINGS = {
    "table": Setting(None, str, "file of the table, the only .csv or .parquet of the folder, else the only .tsv"),
    "image": Setting("image", str, "column of the image's path, image"),
    "caption": Setting("caption", str, "column of the caption, caption"),
    "labels": Setting("labels", str, "column of the labels, labels; none for pairs without labels"),
    "separator": Setting(";", str, "what parts the labels of a row, ;"),
    "seed": Setting(0, int, "seed of the split where the table has none, 0", least=0, most=MOST_SEED),
    "encoding": texts.ENCODING,
    **images.SETTINGS,
    **texts.SETTINGS,
    "on_error": ON_ERROR,
}
_CELLS = 10_000  # different cells of labels that are remembered


class Pair(NamedTuple):
    """A usable row."""

    image: str
    caption: str
    labels: tuple[str, ...]
    split: str


def load(root: Path, **settings: Any) -> Dataset:
    """The rows of the table in their order; without a column ``split`` a seeded fifth are queries.

    Returns
    -------
    Dataset
        Images ``pixels``, captions ``tokens``. Classes are sorted by name, or as ``classes.txt`` lists them.
    """
    if not root.is_dir():
        raise InputError(f"folder: '{root}' is no folder; give the one that holds the images and the table")
    if not settings["separator"]:
        raise InputError("folder: separator='' parts nothing; give a sign such as ;")
    problems = Problems("folder", settings["on_error"])
    path = _table(root, settings["table"])
    known = read_names(root / "classes.txt", "folder") if (root / "classes.txt").is_file() else None
    pairs = list(_usable_pairs(path, known, problems, settings))
    pictures, kept = images.find_images(root, [pair.image for pair in pairs], problems, **images.options(settings))
    pairs = [pairs[position] for position in kept.tolist()]
    labels, classes = _labels(pairs, known if settings["labels"] != NO_LABELS else ())
    captions = tuple(pair.caption for pair in pairs)
    has_labels = np.asarray(labels.any(axis=1))
    if settings["labels"] != NO_LABELS and not has_labels.all():
        problems.remark(f"{int((~has_labels).sum()):,} of {len(pairs):,} rows have no labels: theirs are not known")
    items = Items(Modality("pixels", pictures), None, labels, classes, captions, known=has_labels)
    return as_dataset("folder", items, _splits(pairs, path, settings["seed"]), settings, problems)


def _table(root: Path, name: str | None) -> Path:
    if name is not None:
        if not (root / name).is_file():
            raise InputError(f"folder: the table '{name}' is missing in '{root}'")
        return root / name
    by_suffix = {
        suffix: sorted(path for path in root.iterdir() if path.suffix.lower() == suffix) for suffix in SUFFIXES
    }
    found = by_suffix[".csv"] + by_suffix[".parquet"] or by_suffix[".tsv"]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(
            f"folder: '{root}' must hold one table ({', '.join(SUFFIXES)}), found {shown(names)}; table=NAME names it"
        )
    return found[0]


def _usable_pairs(
    path: Path, known: tuple[str, ...] | None, problems: Problems, settings: Mapping[str, Any]
) -> Iterator[Pair]:
    """Rows with an image, a caption and perhaps labels and a split; the others are counted."""
    labelled = settings["labels"] != NO_LABELS
    columns = [settings[key] for key in ("image", "caption", *(["labels"] if labelled else []))]
    seen: set[str] = set()
    labels_of = functools.lru_cache(_CELLS)(functools.partial(_labels_of, settings["separator"], known))
    for row in read_rows(
        path, columns, ("split", "id"), encoding=settings["encoding"], layout="folder",
        hint="image=, caption= and labels= name others; labels=none is for pairs without labels",
    ):  # fmt: skip
        image, caption = (_single(row.fields[settings[key]]) for key in ("image", "caption"))
        split = _single(row.fields.get("split", "")).lower()
        names: tuple[str, ...] = ()
        fault = ""
        if labelled:
            cell = row.fields[settings["labels"]]
            names, fault = labels_of(cell if isinstance(cell, str) else tuple(cell))
        pair = Pair(inside(image), caption, names, SPLIT_NAMES.get(split, split))
        # The same image may stand in several rows, with several captions; a row may not stand there twice.
        key = _single(row.fields.get("id", "")) or f"{image}\n{caption}"
        fault = (
            row.fault
            or _fault_of(pair, row.fields[settings["caption"]])
            or fault
            or ("the id or the pair is repeated" if key in seen else "")
        )
        if fault:
            problems.leave_out(fault, f"{path.name}, row {row.number}: {image}")
        else:
            seen.add(key)
            yield pair


def _single(cell: str | list[str]) -> str:
    """The text of a cell; of a list that holds one, that; of a longer one nothing, since it says not which."""
    return cell if isinstance(cell, str) else cell[0] if len(cell) == 1 else ""


def _fault_of(pair: Pair, cell: str | list[str]) -> str:
    """What is wrong with the fields of a row beside its labels, the caption from ``cell``; empty for most."""
    if not pair.image:
        return "the image's path leaves the folder or is empty"
    if not pair.caption:
        return (
            "the caption is a list of several texts; give each a row"
            if isinstance(cell, list) and cell
            else "the caption is empty"
        )
    if pair.split and pair.split not in SPLITS:
        return f"the split '{pair.split}' is none of {', '.join(SPLIT_NAMES)}"
    return ""


def _labels_of(
    separator: str, known: tuple[str, ...] | None, cell: str | tuple[str, ...]
) -> tuple[tuple[str, ...], str]:
    """The labels of a row, and what is wrong with them; mostly nothing."""
    try:
        names = tuple(names_in(cell if isinstance(cell, str) else list(cell), separator))
    except ValueError as error:
        return (), f"labels: {error}"
    if not names and cell != "":  # of a list that is empty, too
        return (), "the labels name no class; an empty cell is for a pair whose labels are not known"
    strange = [] if known is None else [name for name in names if name not in known]
    return names, f"the class '{shown(strange[0])}' is not in classes.txt" if strange else ""


def _labels(pairs: list[Pair], known: tuple[str, ...] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    different: dict[tuple[str, ...], int] = {}  # combinations of labels, far fewer than rows
    combination = [different.setdefault(pair.labels, len(different)) for pair in pairs]
    classes = tuple(sorted({name for names in different for name in names})) if known is None else known
    column = {name: place for place, name in enumerate(classes)}
    labels = np.zeros((len(different), len(classes)), np.uint8)
    for row, names in enumerate(different):
        labels[row, [column[name] for name in names]] = 1
    return labels[combination], classes


def _splits(pairs: list[Pair], path: Path, seed: int) -> dict[str, np.ndarray]:
    """As the column says (without a database, the training pairs are it), or by the seed."""
    written = np.array([pair.split for pair in pairs])
    if not written.astype(bool).any():
        return seeded_fifth(len(pairs), seed, "folder")
    if not written.astype(bool).all():
        raise InputError(f"folder: {int((written == '').sum())} rows of {path.name} have no split, others have one")
    splits = {split: np.flatnonzero(written == split) for split in SPLITS}
    # The training pairs are part of the database.
    splits["database"] = np.flatnonzero(written != "query")
    return splits


LAYOUT = Layout(load, SETTINGS, SOURCE)
