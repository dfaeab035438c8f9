"""Pairs as a layout reads them, and the way from there to a dataset: classes, protocol, words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from udsph.data import texts
from udsph.data.dataset import Dataset, Modality
from udsph.data.problems import Problems
from udsph.data.protocols import Protocol, draw
from udsph.errors import InputError

Splits = dict[str, np.ndarray]


@dataclass(frozen=True)
class Items:
    """Pairs before a protocol splits them.

    Attributes
    ----------
    text
        None where the words of ``captions`` are to be the text.
    labels
        uint8 ``(n, classes)``; ``(n, 0)`` for pairs without labels.
    splits
        Where the files themselves say them.
    known
        bool ``(n,)``: items whose labels are known, as :attr:`udsph.data.Dataset.known`; None for all.
    """

    image: Modality
    text: Modality | None
    labels: np.ndarray
    classes: tuple[str, ...]
    captions: tuple[str, ...] | None = None
    splits: Splits | None = None
    known: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: np.ndarray) -> Items:
        """The items of ``index`` only; for items that have no splits of their own."""
        return Items(
            self.image.take(index),
            None if self.text is None else self.text.take(index),
            self.labels[index],
            self.classes,
            None if self.captions is None else tuple(self.captions[i] for i in index.tolist()),
            known=None if self.known is None else self.known[index],
        )

    def of_no_class(self) -> np.ndarray:
        """bool ``(n,)``: items that are known to have none of the classes."""
        none = ~np.asarray(self.labels.any(axis=1))
        return none if self.known is None else none & self.known

    def with_frequent_classes(self, count: int | None) -> Items:
        """Only the ``count`` most frequent classes, in the order in which they were."""
        if count is None or len(self.classes) <= count:
            return self
        kept = most_frequent(self.labels, count)
        return replace(self, labels=self.labels[:, kept], classes=tuple(self.classes[k] for k in kept.tolist()))


def most_frequent(labels: np.ndarray, count: int) -> np.ndarray:
    """Columns of the ``count`` most frequent classes, ascending; of equally frequent ones the first."""
    return np.sort(np.argsort(-labels.sum(axis=0, dtype=np.int64), kind="stable")[:count])


def drop_unused(items: Items, tagged: bool, problems: Problems) -> Items:
    """Leave out, as the protocols do, the items of no class and, where it says so, those without a tag.

    Items whose labels are not known stay.
    """
    used = ~items.of_no_class()
    if not used.all():
        count, classes = int((~used).sum()), len(items.classes)
        problems.remark(f"{count:,} of {len(items):,} pairs have none of the {classes} classes and are not used")
    if tagged:
        words = _has_words(items)
        bare = int((used & ~words).sum())
        if bare:
            problems.remark(f"{bare:,} pairs with a class have no known tag and are not used")
        used &= words
    problems.check_any_left(int(used.sum()))
    return items if used.all() else items.select(np.flatnonzero(used))


def _has_words(items: Items) -> np.ndarray:
    if items.text is None:
        assert items.captions is not None
        return np.array([bool(caption) for caption in items.captions])
    values = items.text.values
    if hasattr(values, "indptr"):
        return np.diff(values.indptr) > 0
    return np.concatenate([values[k : k + 16384].any(axis=1) for k in range(0, len(values), 16384)])


def split_by(
    items: Items, protocols: Mapping[str, Protocol], name: str, default: str, seed: int, problems: Problems
) -> tuple[Items, Splits]:
    """The items that a protocol uses, and their splits. ``auto``: the file's own splits, else the default."""
    if items.splits is not None:
        if name != "auto":
            raise InputError(
                f"{problems.layout}: the file has its own splits, so protocol={name} does not apply; leave it away"
            )
        train = items.splits["train"]
        bare = items.of_no_class()[train]
        if bare.any():
            problems.remark(f"{int(bare.sum()):,} training pairs have no class and are not trained on")
        return items, {**items.splits, "train": train[~bare]}
    name = default if name == "auto" else name
    protocol = protocols[name]
    items = drop_unused(items.with_frequent_classes(protocol.classes), protocol.tagged, problems)
    return items, draw(protocol, name, len(items), seed, problems)


def as_dataset(name: str, items: Items, splits: Splits, settings: Mapping[str, Any], problems: Problems) -> Dataset:
    """The dataset of split items; of ``settings`` those of texts are read."""
    problems.check_splits(splits)
    text = items.text
    if text is None:
        assert items.captions is not None
        text = texts.as_tokens(
            items.captions,
            splits["train"],
            problems,
            words=settings["words"],
            vocabulary=settings["vocabulary"],
            longest=settings["longest"],
        )
    return Dataset(
        name=name,
        image=items.image,
        text=text,
        labels=items.labels,
        classes=items.classes,
        splits=splits,
        captions=items.captions,
        notes=problems.tell(),
        known=items.known,  # type: ignore[arg-type]
    )
