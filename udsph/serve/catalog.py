"""What is known of the items whose codes are searched: name, caption, labels, file of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.data.rows import Field, names_in, read_rows
from udsph.encoding.indexed import Items
from udsph.errors import InputError

COLUMNS = ("id", "image", "caption", "labels")
SEPARATOR = ";"  # between the labels of a row, as in the table of a dataset's folder


class Item(NamedTuple):
    """What is known of one item; what is not known is empty.

    ``file`` is that of its picture, relative to the folder of pictures; ``place`` is its row in the items of the index,
    -1 for a code that came there by another way.
    """

    id: int | str
    name: str
    caption: str
    labels: tuple[str, ...]
    file: str
    place: int


@dataclass(frozen=True)
class Table:
    """Captions, labels and files by name, as :func:`read_table` reads them: row ``place[name]`` is of that name."""

    captions: Sequence[str] = ()
    labels: Sequence[tuple[str, ...]] = ()
    files: Sequence[str] = ()
    place: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalog:
    """The items of an index.

    Attributes
    ----------
    items
        Names and captions, as ``udsph index RUN`` wrote them beside the codes; None: an item is called by its id.
    labels
        By place in ``items``.
    table
        More about items, by name or id. What it says goes before what stands in ``items`` and ``labels``.
    modality
        ``image`` or ``text``, where ``items`` does not say it; empty: not known.
    """

    items: Items | None = None
    labels: Sequence[tuple[str, ...]] | None = None
    table: Table = field(default_factory=Table)
    modality: str = ""

    def __post_init__(self) -> None:
        if self.items is not None:
            object.__setattr__(self, "modality", self.items.modality)

    def item(self, id: int | str) -> Item:
        """What is known of an item that the index has."""
        place, name, row = self._found(id)
        caption = "" if row is None else self.table.captions[row]
        if not caption and place >= 0 and self.items is not None and self.items.captions is not None:
            caption = self.items.captions[place]
        file = name if row is None else self.table.files[row] or name
        return Item(id, name, caption, self._labels(place, row), file, place)

    @property
    def labelled(self) -> bool:
        """Whether any item can have labels."""
        return self.labels is not None or any(self.table.labels)

    def facets(self, ids: NDArray[Any]) -> Facets:
        """The labels of all items, ``ids`` in the order of the index."""
        different: dict[tuple[str, ...], int] = {}
        if not self.labelled:
            return Facets((), np.zeros(0, np.int32))
        sets = np.empty(len(ids), np.int32)
        for position, id in enumerate(ids.tolist()):
            place, _, row = self._found(id)
            sets[position] = different.setdefault(self._labels(place, row), len(different))
        return Facets(tuple(different), sets)

    def _found(self, id: int | str) -> tuple[int, str, int | None]:
        """Place, name and row of the table."""
        place = None if self.items is None else self.items.place(id)
        if place is None or self.items is None:
            return -1, str(id), self.table.place.get(str(id))
        name = self.items.names[place]
        row = self.table.place.get(name)
        return place, name, self.table.place.get(str(id)) if row is None else row

    def _labels(self, place: int, row: int | None) -> tuple[str, ...]:
        labels = () if row is None else self.table.labels[row]
        return labels if labels or self.labels is None or place < 0 else self.labels[place]


class Facets:
    """Which items of an index have which label.

    Parameters
    ----------
    different
        The sets of labels that occur.
    sets
        int32, by position: which of them the item has.
    """

    def __init__(self, different: Sequence[tuple[str, ...]], sets: NDArray[np.int32]) -> None:
        self._different, self._sets = different, sets
        counts: dict[str, int] = {}
        for labels, count in zip(different, np.bincount(sets, minlength=len(different)).tolist(), strict=True):
            for label in labels:
                counts[label] = counts.get(label, 0) + count
        self.counts = dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))

    def mask(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Which items have all of these labels.

        Raises
        ------
        InputError
            A label that no item has.
        """
        for label in labels:
            if label not in self.counts:
                known = ", ".join(list(self.counts)[:10])
                raise InputError(
                    f"label={label!r}: no item has this label; {f'there are {known}' if known else 'none has any'}"
                )
        wanted = set(labels)
        return np.array([wanted <= set(known) for known in self._different], np.bool_)[self._sets]


def read_table(path: Path) -> Table:
    """Captions and labels of items from a CSV or Parquet file.

    Its columns are ``id`` or ``image``, which name the item, and ``caption``, ``labels`` (parted by ``;``, or a list),
    of which each may be missing; others are passed over. ``image`` is the picture's file too. Of rows that name the
    same item the first counts.

    Raises
    ------
    InputError
        It is no table, or names no items.
    """
    captions: list[str] = []
    all_labels: list[tuple[str, ...]] = []
    files: list[str] = []
    place: dict[str, int] = {}
    for row in read_rows(path, (), COLUMNS, layout="items"):
        if row.fault:
            raise InputError(f"items: {path.name}, row {row.number}: {row.fault}")
        if not {"id", "image"} & set(row.fields):
            raise InputError(f"items: {path.name} has neither a column 'id' nor 'image', which name the items")
        id, image, caption = (_text(row.fields.get(column, "")) for column in ("id", "image", "caption"))
        try:
            labels = tuple(names_in(row.fields.get("labels", ""), SEPARATOR))
        except ValueError as error:
            raise InputError(f"items: {path.name}, row {row.number}: labels: {error}") from None
        for name in filter(None, (id, image)):
            place.setdefault(name, len(captions))
        captions.append(caption)
        all_labels.append(labels)
        files.append(image)
    return Table(captions, all_labels, files, place)


def _text(cell: Field) -> str:
    return cell if isinstance(cell, str) else " ".join(cell)
