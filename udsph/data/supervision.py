"""Which labels are known, and which of them training may use: partly labelled data, and the setting ``labelled``.

An item without labels is one of whose classes nothing is known. An item of no class is something else: its labels are
known, and all 0, and it counts in an evaluation, as one that is relevant to nobody.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from udsph.data.quotes import shown
from udsph.data.settings import Setting
from udsph.errors import InputError

if TYPE_CHECKING:
    from udsph.data.dataset import Dataset
    from udsph.data.problems import Problems

# Of every layout, beside its own.
SETTINGS: Mapping[str, Setting] = {
    "labelled": Setting(
        None, int, "how many training pairs keep their labels for training, drawn by labelled_seed; all", least=0
    ),
    "labelled_seed": Setting(0, int, "seed of that choice, 0", least=0, most=2**32 - 1),
}
UNKNOWN = -1  # all over a row of labels, or in place of a class number
KEEP_ROWS = "an item without labels keeps its row, -1 all over"  # the mend where there are fewer labels than items
_NAMED = 5  # classes that a note lists


def part_unknown(labels: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Multi-hot labels of which unknown rows hold -1, as (labels with rows of 0 there, known: bool ``(n,)``).

    Raises
    ------
    InputError
        For a row that holds -1 in some columns only, and for other negative numbers.
    """
    labels = np.asarray(labels)
    known = np.ones(len(labels), bool)
    if labels.ndim != 2 or labels.dtype.kind not in "if" or not labels.shape[1] or labels.min(initial=0) >= 0:
        return labels, known
    known = ~(labels == UNKNOWN).all(axis=1)
    odd = np.flatnonzero(known & (labels < 0).any(axis=1))
    if len(odd):
        raise InputError(
            f"{name}: label row {odd[0]} holds {labels[odd[0]].min():g} beside other numbers; labels are 0 or 1, "
            f"and -1 in every column where they are not known"
        )
    return np.where(known[:, None], labels, 0).astype(np.uint8), known


def masks(
    labels: np.ndarray, rows: np.ndarray, known: Any, supervised: Any, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The masks (known, supervised) of a dataset from those that were given, or None, and its label rows.

    Parameters
    ----------
    rows
        bool ``(n,)``: the rows of ``labels`` that were not -1.
    """
    n = len(labels)
    if not labels.shape[1]:  # without classes there is nothing to know
        return np.zeros(n, bool), np.zeros(n, bool)
    known = rows.copy() if _says_all(known) else _mask(known, n, f"{name}: known") & rows
    supervised = known.copy() if _says_all(supervised) else _mask(supervised, n, f"{name}: supervised") & rows
    stray = np.flatnonzero(~known & labels.any(axis=1))
    if len(stray):
        raise InputError(f"{name}: item {stray[0]} has labels but is not among the known; its label row must be 0")
    if (supervised & ~known).any():
        item = int((supervised & ~known).argmax())
        raise InputError(f"{name}: item {item} is supervised but its labels are not known")
    return known, supervised


def _says_all(values: Any) -> bool:
    """Whether a mask is the default, which ``dataclasses.replace`` hands on to a dataset of other items too."""
    return values is None or (np.asarray(values).dtype == bool and bool(np.asarray(values).all()))


def _mask(values: Any, n: int, what: str) -> np.ndarray:
    mask = np.asarray(values)
    if mask.dtype != bool or mask.shape != (n,):
        shape = " x ".join(map(str, mask.shape)) or "a single value"
        raise InputError(f"{what} is {mask.dtype}, {shape}; expected bool for each of the {n} pairs")
    return mask


def spread(table: np.ndarray, labelled: np.ndarray, count: int, what: str, problems: Problems) -> np.ndarray:
    """Label rows, or class numbers, of all ``count`` items: -1 for those that the index ``labelled`` does not name.

    ``table`` has a row for every item, or one for each of the index, in its order; others are an InputError.
    """
    if len(np.unique(labelled)) < len(labelled):
        raise InputError(f"{what}: the index of labelled items names one more than once")
    if len(table) not in (count, len(labelled)):
        raise InputError(
            f"{what} has {len(table)} rows, but there are {count} items, {len(labelled)} of them labelled; "
            f"give a row for every item or one for each that is labelled"
        )
    rows = np.full((count, *table.shape[1:]), UNKNOWN, np.result_type(table.dtype, np.int8))
    rows[labelled] = table[labelled] if len(table) == count else table
    others = np.delete(table, labelled, axis=0) if len(table) == count else table[:0]
    written = int(np.any(others.reshape(len(others), -1) > 0, axis=1).sum()) if len(others) else 0
    if written:
        problems.remark(f"the labels of {written:,} items that are not among the labelled are not read")
    return rows


def with_labelled(dataset: Dataset, labelled: int, seed: int) -> Dataset:
    """The dataset with the labels of ``labelled`` training pairs for training; evaluation still knows all.

    The choice is a seeded permutation of the training pairs whose labels are known, cut off: a larger number keeps what
    a smaller one kept, and no label is looked at, so that rare classes may be left without a pair, which is noted.

    Raises
    ------
    InputError
        If there are fewer labelled training pairs, or no labels at all.
    """
    if not dataset.labelled:
        raise InputError(f"{dataset.name}: labelled={labelled}: the pairs have no labels; leave it away")
    train = np.sort(dataset.splits["train"])
    candidates = train[dataset.supervised[train]]
    if labelled > len(candidates):
        raise InputError(
            f"{dataset.name}: labelled={labelled}: only {len(candidates)} training pairs have labels; give at most that"
        )
    chosen = candidates[np.random.RandomState(seed).permutation(len(candidates))[:labelled]]
    supervised = dataset.supervised.copy()
    supervised[train] = False
    supervised[chosen] = True
    note = f"labelled={labelled}: the labels of {len(train) - labelled:,} of {len(train):,} training pairs are not used"
    missed = _missed(dataset.labels, candidates, chosen, dataset.classes)
    if missed and labelled:
        listed = shown(", ".join(missed[:_NAMED]) + (", ..." if len(missed) > _NAMED else ""))
        note += f"; no labelled training pair has the {_classes(len(missed))} {listed}"
        warnings.warn(f"{dataset.name}: {note}", stacklevel=3)
    with warnings.catch_warnings():  # the copy says of empty classes what the dataset has said
        warnings.simplefilter("ignore")
        return dataclasses.replace(dataset, supervised=supervised, notes=(*dataset.notes, note))


def _missed(labels: np.ndarray, candidates: np.ndarray, chosen: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Classes that some of the candidates have and none of the chosen."""
    lost = labels[candidates].any(axis=0) & ~labels[chosen].any(axis=0)
    return [name for name, gone in zip(classes, lost.tolist(), strict=True) if gone]


def _classes(count: int) -> str:
    return "class" if count == 1 else f"{count} classes"


def with_minus_one(dataset: Dataset) -> np.ndarray:
    """The labels as files hold them: rows of -1 where they are not known.

    Raises
    ------
    InputError
        If training may not use all that are known, which files do not say.
    """
    if (dataset.supervised != dataset.known).any():
        raise InputError(f"{dataset.name}: labelled=N is of a training, not of what is written; leave it away here")
    if dataset.known.all() or not dataset.labelled:
        return dataset.labels
    return np.where(dataset.known[:, None], dataset.labels.astype(np.int8), np.int8(UNKNOWN))


def describe(dataset: Dataset) -> list[str]:
    """What to say of partly labelled data; nothing where every pair has its labels and training may use them."""
    if not dataset.labelled:
        return []
    train = dataset.splits["train"]
    lines = []
    if not dataset.known.all():
        parts = ", ".join(
            f"{split} {int(dataset.known[index].sum()):,} of {len(index):,}" for split, index in dataset.splits.items()
        )
        lines.append(f"labelled: {int(dataset.known.sum()):,} of {len(dataset):,} pairs ({parts})")
    if (dataset.supervised != dataset.known)[train].any():
        count = int(dataset.supervised[train].sum())
        lines.append(f"training uses the labels of {count:,} of {len(train):,} pairs")
    return lines
