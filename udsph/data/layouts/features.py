"""Features: image and text features, labels and splits from one file of the user's own, or from a folder of ``.npy``
files such as ``udsph extract`` writes, which is mapped into memory (``docs/data.md``).

The file says in one of three ways which items are queries, training pairs and database:

- index arrays ``query``, ``train``, ``database`` beside ``image``, ``text``, ``labels``;
- separate arrays ``image_train``, ``image_query``, ``image_database`` and so on;
- not at all: a seeded fifth are queries, the others are training pairs and database.

Items without labels have a row of -1 (or the class number -1), or are not named by an index array ``labelled``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.arrays import Arrays
from udsph.data.checks import as_class_labels, as_float32, as_integers
from udsph.data.dataset import NO_LABELS, SPLIT_NAMES, UNUSED_SPLITS, Dataset, Modality
from udsph.data.problems import Problems
from udsph.data.protocols import QUERY_SHARE
from udsph.data.registry import Layout
from udsph.data.settings import Setting
from udsph.data.supervision import KEEP_ROWS, spread
from udsph.errors import InputError

SETTINGS = {
    "image": Setting("image", str, "name of the image array, image"),
    "text": Setting("text", str, "name of the text array, text"),
    "labels": Setting("labels", str, "name of the label array, labels; none for pairs without labels"),
    "seed": Setting(0, int, "seed of the split where the file has none, 0", least=0),
    "first": Setting(
        "auto", str, "how index arrays count the first item, 0 or 1; auto finds out", choices=("auto", "0", "1")
    ),
}

LABELLED = "labelled"  # index array of the items whose labels are known


def load(root: Path, *, image: str, text: str, labels: str, seed: int, first: str) -> Dataset:
    """Read the file or folder ``root``. Values become float32 and are otherwise kept as they are, not standardised.

    Returns
    -------
    Dataset
        A modality is ``vectors`` for an array ``(n, dims)``, dense or sparse, and ``regions`` for
        ``(n, regions, dims)``, ``pixels`` for uint8 ``(n, height, width, 3)``, and ``tokens`` where the description
        that ``udsph extract`` wrote says so. Separate arrays are joined in the order train, database, query. Arrays of
        a folder stay memory maps.
    """
    keys = {"image": image, "text": text, "labels": labels}
    if len(set(keys.values())) < len(keys):
        raise InputError(f"features: image={image}, text={text} and labels={labels} must name three different arrays")
    if labels == NO_LABELS:
        del keys["labels"]
    with Arrays(root) as arrays:
        return _dataset(arrays, keys, seed, first)


def _dataset(arrays: Arrays, keys: Mapping[str, str], seed: int, first: str) -> Dataset:
    source = arrays.path.name
    # The splits with arrays of their own; one nameless part where an array holds all items.
    parts = () if any(key in arrays for key in keys.values()) else _separate_splits(arrays, keys)
    if [view for view, key in keys.items() if key not in arrays] == ["labels"] and not parts:
        raise InputError(
            f"{arrays.missing(keys['labels'])}; labels=NAME names another, labels=none is for pairs without"
        )
    if parts and LABELLED in arrays:
        raise InputError(f"{source}: '{LABELLED}' does not go with arrays for each split; {KEEP_ROWS}")
    lacking = [_name(keys["labels"], part) for part in parts if "labels" in keys]
    lacking = [name for name in lacking if name not in arrays]
    if lacking:
        raise InputError(f"{arrays.missing(lacking[0])}; {KEEP_ROWS}, labels=none is for pairs without")
    tables = {view: [arrays.read(_name(key, part)) for part in parts or ("",)] for view, key in keys.items()}
    counts = _counts(source, keys, tables, parts or ("",), LABELLED in arrays)
    indices = {} if parts else _indices(arrays, counts[0], first)
    problems = Problems("features", "skip")
    matrix = np.zeros((sum(counts), 0), np.uint8)
    classes: tuple[str, ...] = ()
    known = None
    if "labels" in keys:
        what = f"{source}: '{keys['labels']}'"
        if LABELLED in indices:
            rows = _label_rows(tables["labels"][0], counts[0])
            table = spread(_label_table(tables["labels"], [rows]), indices[LABELLED], counts[0], what, problems)
        else:
            table = _label_table(tables["labels"], counts)
        matrix, classes, known = as_class_labels(table, what)
    described = arrays.mapped.description if arrays.mapped else {}
    _remark_unused(arrays, parts, problems)
    if parts:
        splits = _consecutive(counts, parts)
    else:
        splits = _filled({split: index for split, index in indices.items() if split != LABELLED}, counts[0], seed)
    return Dataset(
        name="features",
        image=_modality(arrays, keys["image"], tables["image"], parts),
        text=_modality(arrays, keys["text"], tables["text"], parts),
        labels=matrix,
        classes=tuple(described.get("classes", classes)) if "labels" in keys else (),
        splits=splits,
        captions=arrays.mapped.captions() if arrays.mapped else None,
        notes=problems.tell(),
        known=known,  # type: ignore[arg-type]
    )


def _name(key: str, part: str) -> str:
    return f"{key}_{part}" if part else key


def _separate_splits(arrays: Arrays, keys: Mapping[str, str]) -> tuple[str, ...]:
    """The splits that have arrays of their own, in the order in which they are joined; none if the file has no such."""
    parts = _chosen([part for part in SPLIT_NAMES if any(_name(key, part) in arrays for key in keys.values())])
    if parts and (not {"query", "test"} & set(parts) or len(parts) == 1):
        raise InputError(
            f"{arrays.path.name} has arrays for {' and '.join(parts)} only; "
            f"give {keys['image']}_query and {keys['image']}_train or {keys['image']}_database, and so for each array"
        )
    return parts


def _chosen(found: list[str]) -> tuple[str, ...]:
    """Of names of splits those that are read: ``test`` is another name of ``query``, where there is no such."""
    return tuple(name for name in found if name != "test" or "query" not in found)


def _remark_unused(arrays: Arrays, parts: Sequence[str], problems: Problems) -> None:
    """Name arrays that look like those of a split and are none that is read."""
    read = parts or _chosen([name for name in SPLIT_NAMES if name in arrays])
    for name in (*SPLIT_NAMES, *UNUSED_SPLITS):
        unused = [key for key in arrays.keys if key == name or (parts and key.endswith(f"_{name}"))]
        if name not in read and unused:
            listed = ", ".join(f"'{key}'" for key in unused)
            problems.remark(f"not used: {listed}; the splits are train, database and query (or test)")


def _counts(
    source: str, keys: Mapping[str, str], tables: Mapping[str, Sequence[Any]], parts: Sequence[str], some: bool
) -> list[int]:
    """Number of items of each part, which image, text and labels must agree on; labels may be of ``some`` only."""
    counts = []
    for position, part in enumerate(parts):
        table = {view: tables[view][position] for view in keys}
        for view in ("image", "text"):
            if table[view].ndim not in (2, 3) and not _is_pixels(table[view]):
                raise InputError(
                    f"{source}: '{_name(keys[view], part)}' is {_shape(table[view])}; "
                    f"expected (n, dims), (n, regions, dims), or pixels (n, height, width, 3) of uint8"
                )
        count = int(table["image"].shape[0])
        rows = {"image": count, "text": int(table["text"].shape[0])}
        if "labels" in table and not some:
            rows["labels"] = _label_rows(table["labels"], count)
        if len(set(rows.values())) > 1:
            listed = ", ".join(f"'{_name(keys[view], part)}' {number}" for view, number in rows.items())
            short = rows.get("labels", count) < count
            mend = f"; {KEEP_ROWS}, or is not named by an index '{LABELLED}'" if short else ""
            raise InputError(
                f"{source}: arrays of different lengths: {listed} items; row i of each must be item i{mend}"
            )
        if count == 0:
            raise InputError(f"{source}: '{_name(keys['image'], part)}' holds no items")
        counts.append(count)
    return counts


def _label_rows(labels: Any, count: int) -> int:
    """Items of a label array; MATLAB writes class numbers as one row or one column."""
    if labels.ndim == 0:
        return 0
    return int(labels.shape[1] if labels.ndim == 2 and labels.shape[0] == 1 and count > 1 else labels.shape[0])


def _label_table(parts: Sequence[Any], counts: Sequence[int]) -> np.ndarray:
    """Class numbers ``(n,)`` or multi-hot ``(n, classes)`` of all parts, dense."""
    dense = [part if isinstance(part, np.ndarray) else part.toarray() for part in parts]
    dense = [
        part.reshape(-1) if part.size == count and part.ndim == 2 else part
        for part, count in zip(dense, counts, strict=True)
    ]
    if len({part.shape[1:] for part in dense}) > 1:
        raise InputError(f"the label arrays have different widths: {', '.join(map(_shape, dense))}")
    return np.concatenate(dense)


def _modality(arrays: Arrays, key: str, tables: Sequence[Any], parts: Sequence[str]) -> Modality:
    """All parts of one view, checked and joined."""
    source = arrays.path.name
    view = arrays.mapped.description.get(key) if arrays.mapped else None
    if view is not None:
        return _described(arrays, key, view, tables[0])
    if all(_is_pixels(table) for table in tables) and len({table.shape[1:] for table in tables}) == 1:
        return Modality("pixels", tables[0] if len(tables) == 1 else np.concatenate(tables))
    names = [_name(key, part) for part in parts or ("",)]
    checked = [as_float32(table, f"{source}: '{name}'") for name, table in zip(names, tables, strict=True)]
    if len({table.shape[1:] for table in checked}) > 1:
        listed = ", ".join(f"'{name}' {_shape(table)}" for name, table in zip(names, checked, strict=True))
        raise InputError(f"{source}: {listed} do not have the same dimensions per item")
    if 0 in checked[0].shape:
        raise InputError(f"{source}: '{names[0]}' is {_shape(checked[0])}; every dimension must be at least 1")
    values = checked[0] if len(checked) == 1 else _stacked(checked)
    lengths = _lengths(arrays, key, parts, values)
    return Modality("vectors" if values.ndim == 2 else "regions", values, lengths)


def _is_pixels(table: Any) -> bool:
    return bool(table.ndim == 4 and table.dtype == np.uint8 and table.shape[3] == 3)


def _described(arrays: Arrays, key: str, view: Mapping[str, Any], values: np.ndarray) -> Modality:
    """A view as its extraction described it: of known kind, and checked when it was written."""
    lengths = arrays.read(f"{key}_lengths") if f"{key}_lengths" in arrays else None
    vocabulary = view.get("vocabulary")
    return Modality(
        view["kind"],
        values,
        None if lengths is None else np.array(lengths, dtype=np.int32),
        None if vocabulary is None else tuple(vocabulary),
        view.get("words", "plain"),
    )


def _stacked(tables: Sequence[Any]) -> Any:
    if all(isinstance(table, np.ndarray) for table in tables):
        return np.concatenate(tables)
    import scipy.sparse

    return scipy.sparse.vstack([scipy.sparse.csr_array(table) for table in tables], format="csr")


def _lengths(arrays: Arrays, key: str, parts: Sequence[str], values: Any) -> np.ndarray | None:
    """The optional ``KEY_lengths``: how many regions of each item are valid."""
    names = [_name(f"{key}_lengths", part) for part in parts or ("",)]
    if not any(name in arrays for name in names):
        return None
    lengths = np.concatenate([as_integers(arrays.read(name), f"{arrays.path.name}: '{name}'") for name in names])
    limit = values.shape[1] if values.ndim == 3 else 0
    if len(lengths) != len(values) or lengths.min() < 1 or lengths.max() > limit:
        raise InputError(
            f"{arrays.path.name}: '{names[0]}' must hold, for each item of '{key}', its number of regions, "
            f"from 1 to {limit}"
        )
    return lengths.astype(np.int32)


def _consecutive(counts: Sequence[int], parts: Sequence[str]) -> dict[str, np.ndarray]:
    """Splits of joined parts. Without a database the training pairs are it, and the other way round."""
    ends = np.cumsum(counts)
    splits = {
        SPLIT_NAMES[part]: np.arange(end - count, end) for part, end, count in zip(parts, ends, counts, strict=True)
    }
    for split, other in (("train", "database"), ("database", "train")):
        if split not in splits:
            splits[split] = splits[other]
    return splits


def _indices(arrays: Arrays, count: int, first: str) -> dict[str, np.ndarray]:
    """The index arrays of the file, of splits and of the labelled items, from 0; masks become indices."""
    given = {}
    named = [*_chosen([name for name in SPLIT_NAMES if name in arrays]), *([LABELLED] if LABELLED in arrays else [])]
    for name in named:
        values = arrays.read(name)
        index = as_integers(values, f"{arrays.path.name}: '{name}'")
        # More than two items cannot all be number 0 or 1: that is a mask.
        zero_one = count > 2 and bool(np.isin(index, (0, 1)).all())
        is_mask = len(index) == count and (values.dtype.kind == "b" or zero_one)
        given[SPLIT_NAMES.get(name, name)] = (index, is_mask)
    offset = _first_number(arrays, [index for index, is_mask in given.values() if not is_mask], count, first)
    indices = {name: np.flatnonzero(index) if mask else index - offset for name, (index, mask) in given.items()}
    for name, index in indices.items():
        outside = index[(index < 0) | (index >= count)]
        if len(outside):
            raise InputError(
                f"{arrays.path.name}: '{name}' names item {outside[0] + offset} of items {offset} to "
                f"{count - 1 + offset}; if it counts otherwise: first={1 - offset}"
            )
    return indices


def _filled(splits: dict[str, np.ndarray], count: int, seed: int) -> dict[str, np.ndarray]:
    """Splits from index arrays, the missing ones filled in; a seeded fifth where the file has none."""
    if not splits:
        return _seeded_fifth(count, seed)
    everything = np.arange(count)
    if "query" not in splits:
        splits["query"] = np.setdiff1d(everything, np.concatenate(list(splits.values())))
    splits.setdefault("database", np.setdiff1d(everything, splits["query"]))
    splits.setdefault("train", splits["database"])
    return splits


def _first_number(arrays: Arrays, indices: Sequence[np.ndarray], count: int, first: str) -> int:
    """0 or 1. MATLAB counts from 1, but a ``.mat`` file may come from Python: only what fits is taken for granted."""
    if first != "auto":
        return int(first)
    if arrays.path.suffix.lower() != ".mat" or not indices:
        return 0
    named = np.concatenate(indices)
    if np.any(named == 0):
        return 0
    if np.any(named == count):
        return 1
    raise InputError(
        f"{arrays.path.name}: the index arrays name neither item 0 nor item {count}, so whether they count from 0 or 1 "
        f"cannot be seen; say so: first=0 or first=1"
    )


def _seeded_fifth(count: int, seed: int) -> dict[str, np.ndarray]:
    """A fifth of the items, drawn by the seed, are queries; the others are training pairs and database."""
    if count < 3:
        raise InputError(f"features: {count} items cannot be split; give at least 3")
    order = np.random.default_rng(seed).permutation(count)
    held = max(1, round(QUERY_SHARE * count))
    rest = np.sort(order[held:])
    return {"query": np.sort(order[:held]), "train": rest, "database": rest}


def _shape(table: Any) -> str:
    return " x ".join(map(str, table.shape)) or "a single number"


LAYOUT = Layout(load, SETTINGS)
