"""The ``.mat`` files in which MIRFlickr, NUS-WIDE and COCO are passed on between hashing papers, in three forms.

``whole``
    One array of each kind: images or image features (``images``, ``IAll``, ``FAll``, ``XAll``), texts (``YAll``,
    ``TAll``), labels (``LAll``), in one file or one each. Also ``image``, ``text``, ``label`` of an ``.npz``.
``parts``
    ``I_tr``, ``T_tr``, ``L_tr`` for training, ``_te`` for the queries, perhaps ``_db`` for the database.
``trio``
    ``caption.mat`` (or ``caption.txt``), ``index.mat`` (paths of images) and ``label.mat``.

In each a label row of -1, or the class number -1, is that of an item whose labels are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data import images, texts
from udsph.data.arrays import SUFFIXES, Arrays
from udsph.data.cells import as_strings, read_mat
from udsph.data.checks import as_class_labels
from udsph.data.dataset import Modality
from udsph.data.items import Items
from udsph.data.lines import read_lines
from udsph.data.problems import Problems
from udsph.data.supervision import KEEP_ROWS
from udsph.data.tables import read_pixels, read_table, stacked
from udsph.errors import InputError

_KEYS = {
    "image": ("images", "IAll", "FAll", "XAll", "image"),
    "text": ("YAll", "TAll", "tags", "text"),
    "labels": ("LAll", "labels", "label"),
}
_PARTS = {"train": "tr", "query": "te", "database": "db"}
_TRIO = ("index.mat", "label.mat")


def find(root: Path) -> str:
    """Which form a file or folder has: whole, parts, trio, or nothing."""
    if root.is_dir() and all((root / name).is_file() for name in _TRIO) and _caption_file(root):
        return "trio"
    keys = _places(root)
    if "I_tr" in keys:
        return "parts"
    found = [any(key in keys for key in names) for names in _KEYS.values()]
    return "whole" if all(found) else ""


def _places(root: Path) -> dict[str, Path]:
    """The arrays of a file, or of all files of a folder, and where they are."""
    files = [root] if root.is_file() else sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES)
    places: dict[str, Path] = {}
    for path in files:
        with Arrays(path) as arrays:
            for key in arrays.keys:
                places.setdefault(key, path)
    return places


def read(root: Path, form: str, problems: Problems, settings: Mapping[str, Any]) -> Items:
    """All pairs of a form that :func:`find` found. ``settings``: those of images and texts, and ``seed``."""
    readers: dict[str, Callable[..., Items]] = {"whole": _whole, "parts": _parts, "trio": _trio}
    return readers[form](root, problems, settings)


def _whole(root: Path, problems: Problems, settings: Mapping[str, Any]) -> Items:
    places = _places(root)
    keys = {view: next(key for key in names if key in places) for view, names in _KEYS.items()}
    image = _image(places[keys["image"]], keys["image"], problems.layout, settings)
    text = Modality("vectors", read_table(places[keys["text"]], keys["text"], problems.layout))
    labels, classes, known = _labels(places[keys["labels"]], keys["labels"], len(image), problems.layout)
    _check_rows(problems.layout, {keys["image"]: image, keys["text"]: text, keys["labels"]: labels})
    return Items(image, text, labels, classes, known=known)


def _parts(root: Path, problems: Problems, settings: Mapping[str, Any]) -> Items:
    places = _places(root)
    suffixes = {split: suffix for split, suffix in _PARTS.items() if f"I_{suffix}" in places}
    for split in suffixes.values():
        for kind in "ITL":
            if f"{kind}_{split}" not in places:
                raise InputError(f"{problems.layout}: the array '{kind}_{split}' is missing beside 'I_{split}'")
    if "query" not in suffixes:
        raise InputError(f"{problems.layout}: the arrays 'I_te', 'T_te', 'L_te' of the queries are missing")
    unused = sorted(key for key in places if key[:2] in ("I_", "T_", "L_") and key[2:] not in suffixes.values())
    if unused:
        problems.remark(f"not used: {', '.join(unused)}; the parts are _tr, _te and _db")
    tables: dict[str, list[Any]] = {"I": [], "T": [], "L": []}
    counts: list[int] = []
    for suffix in suffixes.values():
        part = {kind: read_table(places[f"{kind}_{suffix}"], f"{kind}_{suffix}", problems.layout) for kind in "IT"}
        part["L"] = _label_array(places[f"L_{suffix}"], f"L_{suffix}", part["I"].shape[0])
        _check_rows(problems.layout, {f"{kind}_{suffix}": part[kind] for kind in "ITL"})
        counts.append(len(part["L"]))
        for kind, table in part.items():
            tables[kind].append(table)
    for kind, found in tables.items():
        if len({table.shape[1:] for table in found}) > 1:
            widths = ", ".join(" x ".join(map(str, table.shape)) for table in found)
            raise InputError(f"{problems.layout}: the arrays {kind}_* have different widths: {widths}")
    ends = np.cumsum(counts)
    splits = {split: np.arange(end - count, end) for split, end, count in zip(suffixes, ends, counts, strict=True)}
    splits.setdefault("database", splits["train"])
    image, text = (Modality("vectors", stacked(tables[kind])) for kind in "IT")
    # Class numbers are joined before they become columns: a class may be missing in one of the parts.
    labels, classes, known = as_class_labels(np.concatenate(tables["L"]), f"{problems.layout}: the arrays L_*")
    return Items(image, text, labels, classes, splits=splits, known=known)


def _image(path: Path, key: str, layout: str, settings: Mapping[str, Any]) -> Modality:
    """Pixels where the array has four dimensions, else features."""
    with Arrays(path) as arrays:
        node = arrays.node(key)
        dimensions = (node if node is not None else arrays.read(key)).ndim
    if dimensions == 4:
        pixels = read_pixels(path, key, layout, size=settings["size"], workers=settings["workers"])
        return Modality("pixels", pixels)
    return Modality("vectors", read_table(path, key, layout))


def _labels(path: Path, key: str, rows: int, layout: str) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    return as_class_labels(_label_array(path, key, rows), f"{layout}: {path.name}: '{key}'")


def _label_array(path: Path, key: str, rows: int) -> np.ndarray:
    """Class numbers ``(rows,)``, in MATLAB one row or column, or multi-hot ``(rows, classes)``; dense, as stored."""
    with Arrays(path) as arrays:
        values = arrays.read(key)
    dense: np.ndarray = values if isinstance(values, np.ndarray) else values.toarray()
    return dense.reshape(-1) if dense.ndim == 2 and 1 in dense.shape and dense.size == rows else dense


def _check_rows(layout: str, tables: Mapping[str, Any]) -> None:
    rows = {key: len(table) if isinstance(table, Modality) else table.shape[0] for key, table in tables.items()}
    if len(set(rows.values())) > 1:
        listed = ", ".join(f"'{key}' {count}" for key, count in rows.items())
        raise InputError(
            f"{layout}: arrays of different lengths: {listed} items; row i of each must be item i; {KEEP_ROWS}"
        )


def _caption_file(root: Path) -> Path | None:
    return next((root / name for name in ("caption.mat", "caption.txt") if (root / name).is_file()), None)


def _trio(root: Path, problems: Problems, settings: Mapping[str, Any]) -> Items:
    layout = problems.layout
    paths = [" ".join(found) for found in as_strings(read_mat(root / "index.mat", ("index",), layout)["index"])]
    captions = _trio_captions(root, len(paths), layout)
    labels, classes, known = _trio_labels(root, len(paths), layout)
    counts = {"caption": len(captions), "index": len(paths), "label": len(labels)}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"'{key}' {count}" for key, count in counts.items())
        raise InputError(
            f"{layout}: arrays of different lengths: {listed} items; row i of each must be item i; {KEEP_ROWS}"
        )
    rows = []
    for row, found in enumerate(captions):
        if any(found):
            rows.append(row)
        else:
            problems.leave_out("the caption is empty", f"row {row}, {paths[row]}")
    names = _under(root, [paths[row] for row in rows])
    pictures, kept = images.find_images(root, names, problems, **images.options(settings))
    chosen = [rows[position] for position in kept.tolist()]
    one = texts.choose(captions, chosen, settings["seed"])
    return Items(Modality("pixels", pictures), None, labels[chosen], classes, one, known=known[chosen])


def _trio_captions(root: Path, rows: int, layout: str) -> list[list[str]]:
    path = _caption_file(root)
    assert path is not None
    if path.suffix == ".txt":
        return [[line] if line else [] for line in read_lines(path, layout, least=rows)]
    return [[one for one in found if one] for found in as_strings(read_mat(path, ("caption",), layout)["caption"])]


def _trio_labels(root: Path, rows: int, layout: str) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    with Arrays(root / "label.mat") as arrays:
        key = next((key for key in ("category", "label", "LAll") if key in arrays), "category")
        arrays.read(key)  # says which keys there are
    return _labels(root / "label.mat", key, rows, layout)


def _under(root: Path, paths: list[str]) -> list[str]:
    """Paths of the machine on which a file was made, as paths under ``root``: as many of their ends as exist here."""
    parts = [path.replace("\\", "/").split("/") for path in paths]
    for length in (1, 2, 3, 4):
        for folder in ("", "images/", "mirflickr/", "Flickr/"):
            names = [folder + "/".join(part[-length:]) for part in parts]
            if names and any((root / name).is_file() for name in names[:50]):
                return names
    return ["/".join(part[-1:]) for part in parts]
