"""The index that is searched, and how a server comes to its newest state: never to a mixture of two."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from udsph.encoding import indexed
from udsph.encoding.indexed import Items
from udsph.errors import InputError
from udsph.hamming import Collection, FlatIndex, load
from udsph.serve.catalog import Catalog, Facets, Table, read_table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """One state of an index and of what is known of its items. Nothing changes it: a request uses one from its
    beginning to its end, whatever happens meanwhile.
    """

    index: FlatIndex
    catalog: Catalog
    generation: int

    @functools.cached_property
    def facets(self) -> Facets:
        """Which items have which label; a second for a million items when it is asked for the first time."""
        return self.catalog.facets(self.index.ids if self.catalog.labelled else np.empty(0, object))


class Source(Protocol):
    """Where an index and what is known of its items come from."""

    def mark(self) -> Hashable:
        """What differs when there is something new; cheap."""

    def view(self) -> View:
        """The newest state."""


class Place:
    """A collection, each generation of which is a view, or an index file, which is replaced as a whole.

    Parameters
    ----------
    path
        The collection's folder, or the file.
    table
        More about its items: what :func:`udsph.serve.catalog.read_table` reads.
    model
        What ``udsph.encoding.indexed.model_mark`` says of the model whose codes these must be, where the index says
        whose they are; empty: any.
    modality
        Of the items, where the index does not say it.
    labels
        Of the items, where they are known by other means, by place; ``source`` says of which.
    source
        Where the items must come from; None: from anywhere.
    """

    def __init__(
        self,
        path: Path,
        table: Path | None = None,
        *,
        model: str = "",
        modality: str = "",
        labels: Sequence[tuple[str, ...]] | None = None,
        source: dict[str, Any] | None = None,
    ) -> None:
        self._path, self._table, self._model, self._modality = path, table, model, modality
        self._labels, self._source = labels, source
        self._beside = path / indexed.NAME if path.is_dir() else path.with_name(f"{path.name}.items.json")
        self._views = 0
        self._read_items: tuple[Hashable, Items | None] = (None, None)
        self._read_table: tuple[Hashable, Table] = (None, Table())

    def mark(self) -> Hashable:
        if self._path.is_dir():
            name = max((n for n in os.listdir(self._path) if n.endswith(".manifest")), default="")
            newest: Hashable = name, _signature(self._path / name)  # one that was taken back leaves its name to another
        else:
            newest = _signature(self._path)
        return newest, _signature(self._beside), _signature(self._table)

    def view(self) -> View:
        index, items = self._index()
        if items is not None and self._model and items.model != self._model:
            raise InputError(f"{self._path} was made with another model; make it again with 'udsph index RUN'")
        if items is not None and self._source is not None and items.source != self._source:
            raise InputError(f"{self._path} is of other items than when the server began; start it again")
        signature = _signature(self._table)
        if self._table is not None and signature != self._read_table[0]:
            self._read_table = signature, read_table(self._table)
        self._views += 1
        generation = index.generation if isinstance(index, Collection) else self._views
        return View(index, Catalog(items, self._labels, self._read_table[1], self._modality), generation)

    def _index(self) -> tuple[FlatIndex, Items | None]:
        """Opened anew and never refreshed, so that a view stays as it is while others see what is newer."""
        signature = _signature(self._beside)
        if self._path.is_dir() and signature == self._read_items[0]:
            return Collection.open(self._path), self._read_items[1]
        if signature is None:  # bare codes
            return (Collection.open(self._path) if self._path.is_dir() else load(self._path)), None
        index, items = indexed.read_items(self._path)
        self._read_items = signature, items
        return index, items

    @property
    def described(self) -> bool:
        """Whether there is what says what the codes are codes of."""
        return self._beside.is_file()


class Follower:
    """The newest view of a source.

    Attributes
    ----------
    view
        The newest state that could be opened.
    trouble
        Why a newer one could not be; empty where none is known.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._mark = source.mark()
        self.view = source.view()
        self.trouble = ""

    def look(self) -> bool:
        """Open what is new, if something is; whether there was. What cannot be opened leaves the view as it is."""
        try:
            mark = self._source.mark()
            if mark == self._mark:
                return False
            view = self._source.view()
            if view.index.bits != self.view.index.bits:
                raise InputError(f"the index has codes of {view.index.bits} bits now, before {self.view.index.bits}")
        except (ValueError, OSError) as error:
            if str(error) != self.trouble:
                log.warning(f"the newest state of the index cannot be opened, the one before it is served: {error}")
            self.trouble = str(error)
            return False
        self._mark, self.view, self.trouble = mark, view, ""
        return True


def _signature(path: Path | None) -> Hashable:
    """What changes when a file is replaced or written to."""
    if path is None or not path.exists():
        return None
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
