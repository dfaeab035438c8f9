"""Folder: images of one's own and a table, CSV or Parquet, of their captions and labels.

The table has the columns ``image`` (path relative to the folder), ``caption`` and ``labels`` (names parted by ``;``),
and perhaps ``split`` (train, query, database) and ``id``. A file ``classes.txt`` may list the classes, one a line; a
label that it does not list is then an error of that row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data import images, texts
from udsph.data.dataset import SPLITS, Dataset, Modality
from udsph.data.items import Items, as_dataset
from udsph.data.problems import ON_ERROR, Problems
from udsph.data.protocols import seeded_split
from udsph.data.registry import Layout
from udsph.data.settings import Setting
from udsph.errors import InputError, MissingExtra

SOURCE = "images and a table of your own: a .csv or .parquet with the columns image, caption, labels"
SETTINGS = {
    "table": Setting(None, str, "file of the table, the only .csv or .parquet of the folder"),
    "image": Setting("image", str, "column of the image's path, image"),
    "caption": Setting("caption", str, "column of the caption, caption"),
    "labels": Setting("labels", str, "column of the labels, labels"),
    "separator": Setting(";", str, "what parts the labels of a row, ;"),
    "seed": Setting(0, int, "seed of the split where the table has none, 0", least=0),
    "encoding": texts.ENCODING,
    **images.SETTINGS,
    **texts.SETTINGS,
    "on_error": ON_ERROR,
}
QUERY_SHARE = 0.2
Row = dict[str, str]
_PARTED = "\0"  # between the labels of a usable row
_FAULT = "\0fault"  # what is wrong with a whole row; no name of a column
_UNDECODED = re.compile("[\udc80-\udcff]")  # what Python makes of bytes that are no text


def load(root: Path, **settings: Any) -> Dataset:
    """The rows of the table in their order; without a column ``split`` a seeded fifth are queries.

    Returns
    -------
    Dataset
        Images ``pixels``, captions ``tokens``. Classes are sorted by name, or as ``classes.txt`` lists them.
    """
    if not root.is_dir():
        raise InputError(f"folder: '{root}' is no folder; give the one that holds the images and the table")
    problems = Problems("folder", settings["on_error"])
    texts.check_encoding(settings["encoding"], "folder")
    path = _table(root, settings["table"])
    listed = root / "classes.txt"
    known = tuple(line.strip() for line in texts.read_lines(listed, "utf-8", "folder")) if listed.is_file() else None
    rows = list(_usable_rows(path, known, problems, settings))
    pictures, kept = images.find_images(
        root, [row["image"] for row in rows], problems,
        size=settings["size"], workers=settings["workers"], verify=settings["verify"],
    )  # fmt: skip
    rows = [rows[position] for position in kept.tolist()]
    labels, classes = _labels(rows, known)
    captions = tuple(row["caption"] for row in rows)
    items = Items(Modality("pixels", pictures), None, labels, classes, captions)
    splits = _splits(rows, path, settings["seed"])
    return as_dataset("folder", items, splits, settings, problems)


def _table(root: Path, name: str | None) -> Path:
    if name is not None:
        if not (root / name).is_file():
            raise InputError(f"folder: the table '{name}' is missing in '{root}'")
        return root / name
    found = sorted(path for path in root.iterdir() if path.suffix.lower() in (".csv", ".parquet"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"folder: '{root}' must hold one .csv or .parquet, found {names}; --set table=NAME names it")
    return found[0]


def _usable_rows(
    path: Path, known: tuple[str, ...] | None, problems: Problems, settings: Mapping[str, Any]
) -> Iterator[Row]:
    """Rows with the keys image, caption, labels, split; the others are counted."""
    columns = tuple(settings[key] for key in ("image", "caption", "labels"))
    seen: set[str] = set()
    for number, found in _rows(path, settings["encoding"], columns):
        image, caption, labels = (found[column] for column in columns)
        split = found.get("split", "")
        names = [name for name in map(str.strip, labels.split(settings["separator"])) if name]
        # The same image may stand in several rows, with several captions; a row may not stand there twice.
        key = found.get("id") or f"{image}\n{caption}"
        fault = found.get(_FAULT) or _fault_of(image, caption, names, split, known)
        if not fault and key in seen:
            fault = "the id or the pair is repeated"
        if fault:
            problems.leave_out(fault, f"{path.name}, row {number}: {image}")
        else:
            seen.add(key)
            yield {"image": image, "caption": caption, "labels": _PARTED.join(names), "split": split}


def _fault_of(image: str, caption: str, names: list[str], split: str, known: tuple[str, ...] | None) -> str:
    """What is wrong with the fields of a row; empty for most."""
    if not _inside(image):
        return "the image's path leaves the folder or is empty"
    if not caption:
        return "the caption is empty"
    if not names:
        return "there are no labels"
    strange = [] if known is None else [name for name in names if name not in known]
    if strange:
        return f"the class '{strange[0]}' is not in classes.txt"
    return f"the split '{split}' is none of {', '.join(SPLITS)}" if split and split not in SPLITS else ""


def _rows(path: Path, encoding: str, columns: tuple[str, ...]) -> Iterator[tuple[int, Row]]:
    """Number, from 1, and fields of each row, as text, read in pieces."""
    reader = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path, encoding)
    for number, row in enumerate(reader, start=1):
        if number == 1:
            missing = [column for column in columns if column not in row]
            if missing:
                raise InputError(
                    f"folder: {path.name} has no column '{missing[0]}'; it has {', '.join(row)}; "
                    f"--set image=, caption=, labels= name others"
                )
        yield number, row


def _csv_rows(path: Path, encoding: str) -> Iterator[Row]:
    try:
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        with path.open(encoding=codec, errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            for row in reader:
                if row:
                    found = dict(zip_longest(header, map(str.strip, row[: len(header)]), fillvalue=""))
                    fault = _fault_of_row(row, len(header), encoding)
                    yield {**found, _FAULT: fault} if fault else found
    except UnicodeError:  # of encodings in which a wrong byte spoils all that follows, such as utf-16
        raise InputError(f"folder: {path.name} is not {encoding}; --set encoding=NAME names another") from None
    except csv.Error as error:
        raise InputError(f"folder: {path.name} is no whole CSV table ({error})") from None


def _fault_of_row(row: list[str], width: int, encoding: str) -> str:
    """What is wrong with the whole row; empty for most."""
    if len(row) > width:
        return f"the row has {len(row)} fields, not {width}; quote captions with commas"
    text = "".join(row)
    if not text.isascii() and _UNDECODED.search(text):
        return f"the row is not {encoding} (--set encoding=NAME for another)"
    return ""


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("reading Parquet", "data") from error
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=8192):
            for row in batch.to_pylist():
                yield {key: _text(value) for key, value in row.items()}
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"folder: {path.name} is no whole Parquet file ({str(error).splitlines()[0]})") from None


def _text(value: Any) -> str:
    """A field as text; a list of labels as a CSV would write it."""
    if isinstance(value, list):
        return ";".join(str(one) for one in value)
    return "" if value is None else str(value).strip()


def _inside(path: str) -> bool:
    """Whether a path of the table stays inside the folder."""
    if ".." in path and ".." in Path(path.replace("\\", "/")).parts:
        return False
    return bool(path) and not path.startswith(("/", "\\"))


def _labels(rows: list[Row], known: tuple[str, ...] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    different: dict[str, int] = {}  # combinations of labels, far fewer than rows
    combination = [different.setdefault(row["labels"], len(different)) for row in rows]
    names = [one.split(_PARTED) for one in different]
    classes = known or tuple(sorted({name for found in names for name in found}))
    column = {name: place for place, name in enumerate(classes)}
    labels = np.zeros((len(names), len(classes)), np.uint8)
    counts = [len(found) for found in names]
    labels[np.repeat(np.arange(len(names)), counts), [column[name] for found in names for name in found]] = 1
    return labels[combination], classes


def _splits(rows: list[Row], path: Path, seed: int) -> dict[str, np.ndarray]:
    """As the column says (without a database, the training pairs are it), or by the seed."""
    written = np.array([row["split"] for row in rows])
    if not written.astype(bool).any():
        if len(rows) < 5:
            raise InputError(f"folder: {len(rows)} pairs cannot be split; give at least 5, or a column 'split'")
        query, rest = seeded_split(len(rows), max(1, round(QUERY_SHARE * len(rows))), seed)
        return {"query": query, "train": rest, "database": rest}
    if not written.astype(bool).all():
        raise InputError(f"folder: {int((written == '').sum())} rows of {path.name} have no split, others have one")
    splits = {split: np.flatnonzero(written == split) for split in SPLITS}
    # The training pairs are part of the database.
    splits["database"] = np.flatnonzero(written != "query")
    return splits


LAYOUT = Layout(load, SETTINGS, SOURCE)
