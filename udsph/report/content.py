"""What a report is made from: numbers of ``udsph.evaluation``, and items to be shown. Nothing in here knows HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from udsph.evaluation import BitUse, Evaluation, PairRetrieval
from udsph.report.attended import Looks


@dataclass(frozen=True)
class Item:
    """A picture, a text, or a row of numbers that can only be named.

    Attributes
    ----------
    name
        ``item 12``.
    picture
        uint8 ``(height, width, 3)``, or None.
    text
        What is written of it, or None.
    labels
        Names of its classes, or None where they are not known.
    """

    name: str
    picture: np.ndarray | None = None
    text: str | None = None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Answer:
    """An item that was found, its distance, and how many labels it shares with the query; None where nobody knows."""

    item: Item
    distance: int
    shared: int | None


@dataclass(frozen=True)
class Example:
    """A query with what was found for it.

    Attributes
    ----------
    query
        What was asked with.
    answers
        Nearest first.
    looks
        Where the classes looked in the query, or None where the model has no attention.
    precision
        Average precision of the query, or None.
    relevant
        Relevant items in the database, or None.
    """

    query: Item
    answers: Sequence[Answer]
    looks: Looks | None = None
    precision: float | None = None
    relevant: int | None = None


@dataclass(frozen=True)
class Side:
    """One direction of a search.

    Attributes
    ----------
    name
        ``image to text``.
    by_labels, by_pairs
        What was measured by labels, and by finding partners; None where it was not.
    relevant, others
        int64 ``(bits + 1,)``, pairs of query and item at each distance: those that belong together, and the rest; None
        where nobody knows.
    classes
        Name, number of queries and MAP of each class; empty where there are no labels.
    hardest, examples
        Queries with the least average precision, and queries spread evenly over all.
    """

    name: str
    by_labels: Evaluation | None = None
    by_pairs: PairRetrieval | None = None
    relevant: np.ndarray | None = None
    others: np.ndarray | None = None
    classes: Sequence[tuple[str, int, float]] = ()
    hardest: Sequence[Example] = ()
    examples: Sequence[Example] = ()


@dataclass(frozen=True)
class Fact:
    """A setting or a number with its name; ``usual`` is a setting's default, where it has one."""

    name: str
    value: str
    usual: str | None = None


@dataclass(frozen=True)
class Subject:
    """What a report is about: a run, or files of codes.

    Attributes
    ----------
    name
        Of the run's folder.
    title
        What it is, in a few words.
    bits
        Length of the codes.
    sides
        The directions.
    references
        MAP to read the others against, by name: ``label to label``, ``chance``.
    use
        How the bits are used, by what the codes are of; the first is that of all.
    classes
        Names of the classes, in the order of what says where they looked.
    log
        Columns of the training's log by name, empty cells as NaN; empty where there is none.
    facts
        Groups of settings and numbers, by heading.
    remarks
        What there is to say of codes that have collapsed, items that were left out, and the like.
    missing
        By the name of a section why it has nothing to show.
    """

    name: str
    title: str
    bits: int
    sides: Sequence[Side]
    references: Mapping[str, float] = field(default_factory=dict)
    use: Mapping[str, BitUse] = field(default_factory=dict)
    classes: Sequence[str] = ()
    log: Mapping[str, Sequence[float | str]] = field(default_factory=dict)
    facts: Mapping[str, Sequence[Fact]] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    def measure(self, side: Side, name: str) -> float | None:
        """A figure of a direction by its key, ``map`` or ``pair_recall@10``; None where it was not measured."""
        if side.by_labels is not None and name in side.by_labels.values:
            return side.by_labels[name]
        return None if side.by_pairs is None else side.by_pairs.to_dict().get(name)
