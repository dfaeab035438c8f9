"""What every dataset loader returns: two modalities, labels, splits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from udsph.data import supervision
from udsph.data.pixels import as_bytes
from udsph.data.quotes import shown
from udsph.errors import InputError

Kind = Literal["pixels", "vectors", "regions", "tokens"]
SPLITS = ("train", "database", "query")
MOST_LISTED = 100  # classes that a description names
SPLIT_NAMES = {**{split: split for split in SPLITS}, "test": "query"}  # as files call them
UNUSED_SPLITS = ("val", "valid", "validation", "dev")  # what selects a model is taken from the training pairs
NO_LABELS = "none"  # of the setting "labels" of those layouts whose files may have none


@dataclass(frozen=True, repr=False)
class Modality:
    """One view of all items.

    Attributes
    ----------
    kind
        ``pixels``: ``values`` is uint8 ``(n, height, width, 3)``; other integers are converted where they are 0 to
        255, and refused where they are not.
        ``vectors``: float32 ``(n, dims)``, dense or ``scipy.sparse.csr_array``; no local parts.
        ``regions``: float32 ``(n, parts, dims)``, sets of local features, ``lengths`` of them valid.
        ``tokens``: int32 ``(n, longest)``, indices into ``vocabulary``; index 0 is padding.
    values
        Anything that answers ``values[int64 index array]`` with a NumPy (or CSR) array of those rows:
        an array, a memory map, or a lazy reader.
    lengths
        int32 ``(n,)``, the number of valid parts (``regions``, ``tokens``), or None where all are.
    vocabulary
        Names of the tokens (``tokens``) or of the columns (``vectors``), or None.
    words
        How the texts were split into those tokens: a name that ``udsph.data.texts.splitter`` knows.
    """

    kind: Kind
    values: Any
    lengths: np.ndarray | None = None
    vocabulary: tuple[str, ...] | None = None
    words: str = "plain"

    def __post_init__(self) -> None:
        # Other integers would lose their high bytes, or be read on another scale, wherever they meet a network.
        if self.kind == "pixels" and isinstance(self.values, np.ndarray) and self.values.dtype != np.uint8:
            object.__setattr__(self, "values", as_bytes(self.values, "pixels"))

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item."""
        return tuple(int(s) for s in self.values.shape[1:])

    def take(self, index: np.ndarray) -> Modality:
        """The same modality for the items of ``index`` only. A lazy reader with ``select`` stays lazy."""
        lengths = None if self.lengths is None else self.lengths[index]
        values = self.values.select(index) if hasattr(self.values, "select") else self.values[index]
        return Modality(self.kind, values, lengths, self.vocabulary, self.words)

    def __repr__(self) -> str:
        return f"<Modality {self.describe()}, {len(self):,} items>"

    def describe(self) -> str:
        """Kind, shape of one item and size of the vocabulary, in words."""
        words = "" if self.vocabulary is None else f", vocabulary of {len(self.vocabulary)}"
        return f"{self.kind} {' x '.join(map(str, self.shape))}{words}"


@dataclass(frozen=True, repr=False)
class Dataset:
    """Paired images and texts with labels and the splits of a retrieval protocol.

    Attributes
    ----------
    labels
        uint8 ``(n, classes)``, multi-hot; ``(n, 0)`` for pairs without labels, as which None is taken too. Rows of -1
        in every column are taken for items whose labels are not known.
    splits
        int64 index arrays ``train``, ``database``, ``query``. Queries are in neither of the others;
        train is usually inside database.
    settings
        What the loader was given and what it filled in, as stored with a run: ``load(name, root, **settings)``
        gives the same dataset.
    captions
        The texts as written, one per item, where there are any.
    root
        Where the files lie that it was loaded from, absolute; None for generated data.
    notes
        What was left out or changed while loading, one line each, with counts.
    known
        bool ``(n,)``: items whose labels are known; by default all but those whose row is -1. The rows of the others
        are 0, which for a known item says that it has none of the classes. All False where there are no classes.
    supervised
        bool ``(n,)``: items whose labels training may use, among the known, which all are by default. Of matter for
        the training split; what is known beyond it serves evaluation.

    Warns
    -----
    UserWarning
        If a class has no items.
    """

    name: str
    image: Modality
    text: Modality
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: Mapping[str, np.ndarray]
    settings: Mapping[str, Any] = field(default_factory=dict)
    captions: tuple[str, ...] | None = None
    root: str | None = None
    notes: tuple[str, ...] = ()
    known: np.ndarray = None  # type: ignore[assignment]
    supervised: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        labels = np.zeros((len(self.image), 0), np.uint8) if self.labels is None else self.labels
        labels, rows = supervision.part_unknown(labels, self.name)
        object.__setattr__(self, "labels", labels)
        n = len(self.labels)
        for view, values in (("image", self.image), ("text", self.text)):
            if len(values) != n:
                raise InputError(
                    f"{self.name}: {len(values)} {view} rows but {n} label rows; they must be the same items"
                )
        if self.captions is not None and len(self.captions) != n:
            raise InputError(f"{self.name}: {len(self.captions)} captions but {n} pairs; they must be the same items")
        if self.labels.shape != (n, len(self.classes)):
            shape = " x ".join(map(str, self.labels.shape))
            raise InputError(f"{self.name}: the labels are {shape} but there are {len(self.classes)} classes")
        known, supervised = supervision.masks(labels, rows, self.known, self.supervised, self.name)
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "supervised", supervised)
        for split in SPLITS:
            self._check_split(split)
        queries = np.zeros(n, bool)
        queries[self.splits["query"]] = True
        for split in ("train", "database"):
            both = np.sort(self.splits[split][queries[self.splits[split]]])
            if len(both):
                raise InputError(f"{self.name}: {len(both)} items, the first {both[0]}, are both in query and {split}")
        empty = [
            name for name, used in zip(self.classes, np.any(self.labels, axis=0).tolist(), strict=True) if not used
        ]
        if empty:
            listed = shown(", ".join(empty[:10]) + (", ..." if len(empty) > 10 else ""))
            warnings.warn(f"{self.name}: no item has the class {listed}", stacklevel=3)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> bool:
        """Whether the pairs have labels at all; those without can be encoded and searched, and no MAP is defined."""
        return bool(self.classes)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split} {len(self.splits[split]):,}" for split in SPLITS)
        classes = f"{len(self.classes)} classes" if self.labelled else "no labels"
        if self.labelled and not self.known.all():
            classes += f", {int(self.known.sum()):,} pairs labelled"
        return (
            f"<Dataset {self.name}: {len(self):,} pairs ({sizes}), {classes}; "
            f"image: {self.image.describe()}; text: {self.text.describe()}>"
        )

    def describe(self) -> str:
        """Modalities, shapes, vocabulary, classes and splits, in a few lines."""
        sizes = ", ".join(f"{split} {len(self.splits[split])}" for split in SPLITS)
        lines = [
            f"{self.name}: {len(self)} pairs ({sizes})",
            f"image: {self.image.describe()}",
            f"text: {self.text.describe()}",
        ]
        if self.labelled:
            each = self.labels.sum() / max(1, int(self.known.sum()))
            names = ", ".join(shown(name) for name in self.classes[:MOST_LISTED])
            names += ", ..." if len(self.classes) > MOST_LISTED else ""
            lines.append(f"{len(self.classes):,} classes, {each:.2f} per item: {names}")
        else:
            lines.append("no labels")
        return "\n".join([*lines, *supervision.describe(self)])

    def _check_split(self, split: str) -> None:
        if split not in self.splits:
            raise InputError(f"{self.name}: the split '{split}' is missing")
        index = self.splits[split]
        if len(index) == 0:
            raise InputError(f"{self.name}: the split '{split}' is empty")
        outside = index[(index < 0) | (index >= len(self))]
        if len(outside):
            raise InputError(f"{self.name}: the split '{split}' names item {outside[0]} of {len(self)} items")
        if np.bincount(index).max() > 1:
            raise InputError(f"{self.name}: the split '{split}' names an item more than once")


def split_validation(train: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Part a training split into (fitted, validation), both sorted, by a seeded permutation.

    ``fraction`` of the items, at least one, are for validation.
    """
    if not 0 < fraction < 1:
        raise InputError(f"the validation fraction {fraction} must lie between 0 and 1")
    if len(train) < 2:
        raise InputError(f"a training split of {len(train)} items cannot be parted; give at least 2")
    order = np.random.default_rng(seed).permutation(len(train))
    held = min(max(1, round(fraction * len(train))), len(train) - 1)
    return np.sort(train[order[held:]]), np.sort(train[order[:held]])
