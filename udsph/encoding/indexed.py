"""What the codes of an index are codes of: ``items.json`` in a collection's folder, ``INDEX.items.json`` beside a file.

It holds, as JSON, ``format``, ``modality`` (image or text), ``names`` and ``captions`` (one an item; captions may be
null), ``ids`` (of the items in the collection, null where they are the names), ``source`` (where the items came from: a
folder, a file, a dataset) and ``model`` (SHA-256 of the weights that made the codes). Beside an index file, whose ids
are positions, there is ``index`` (bytes and CRC-32 of that file) in place of ``ids``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.files import read_json, write_text
from udsph.hamming import Collection, FlatIndex, Index, load

FORMAT = "udsph items 2"
OF_FILES = "udsph items 1"  # beside an index file
NAME = "items.json"

_STEP = 1 << 22


@dataclass(frozen=True)
class Items:
    """Names, captions and origin of items whose codes are in an index.

    ids : what the items are called in the index; None: by their positions
    """

    modality: str
    names: list[str]
    captions: list[str] | None
    source: dict[str, Any]
    model: str
    ids: list[str] | None = None

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {id: place for place, id in enumerate(self.ids or ())}

    def place(self, id: Any) -> int | None:
        """Which of the items an id is, or None: a code that came to the collection by another way."""
        return int(id) if self.ids is None else self._places.get(id)

    def name(self, id: Any) -> str:
        """The name of an item."""
        place = self.place(id)
        return str(id) if place is None else self.names[place]

    def caption(self, id: Any) -> str | None:
        """The caption of an item, where it has one."""
        place = self.place(id)
        return None if place is None or self.captions is None else self.captions[place]

    def label(self, id: Any) -> str:
        """How an item is called in a result: its name, and its caption where it has one."""
        caption = self.caption(id)
        return f"{self.name(id)}  {caption}" if caption else self.name(id)


def ids_of(names: Sequence[str]) -> list[str]:
    """Ids for items of these names: the names, made text that UTF-8 can hold, each once."""
    ids: dict[str, None] = {}
    again: dict[str, int] = {}
    for name in names:
        plain = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        id, count = plain, again.get(plain, 1)
        while id in ids:
            count += 1
            id = f"{plain} #{count}"
        again[plain] = count
        ids[id] = None
    return list(ids)


def check_place(place: Path, items: tuple[str, str, dict[str, Any]] | None = None) -> Items | None:
    """What a collection holds whose items are to be written again, or None where there is none yet.

    Parameters
    ----------
    place : Path
        Of a collection's folder, which may be there or not.
    items : (modality, model, source), optional
        What it must be of.

    Raises
    ------
    InputError
        Something else is there.
    """
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        if not place.parent.is_dir():
            raise InputError(f"{place}: expected a folder to be made in one that exists")
        return None
    if not (place / NAME).is_file():
        what = "a file" if place.is_file() else "no collection of items"
        raise InputError(f"{place} is {what}; give a new folder, or one that 'udsph index RUN' has made")
    found = _read(place / NAME, FORMAT)[0]
    if items is not None and (found.modality, found.model, found.source) != items:
        what = "modality" if found.modality != items[0] else "model" if found.model != items[1] else "source"
        raise InputError(f"{place} holds items of another {what}; give a new folder")
    return found


def write_items(place: Path, codes: np.ndarray, bits: int, items: Items) -> tuple[int, int]:
    """Make a collection of packed codes under the items' ids, or bring one up to date that has items of this source.

    Items that the source has no more are removed, those whose codes have changed get the new ones.

    Returns
    -------
    (int, int)
        How many codes are new or changed, and how many items were removed.
    """
    before = check_place(place, (items.modality, items.model, items.source))
    ids = items.ids
    if ids is None:
        raise ValueError("items of a collection must have ids")
    opened = Collection.create(place, bits) if before is None else Collection.open(place, "a")
    with opened as collection:
        gone = sorted(set(before.ids or ()).difference(ids)) if before is not None else []
        count = len(collection)
        collection.remove(gone, unknown="ignore")
        removed = count - len(collection)
        there = np.flatnonzero(collection.count(ids)) if len(collection) else np.empty(0, np.int64)
        new = np.ones(len(ids), bool)
        if len(there):
            known = collection.reconstruct([ids[i] for i in there.tolist()])
            new[there] = (known != codes[there]).any(axis=1)
        changed = np.flatnonzero(new)
        if len(changed):
            part = Index(bits)
            part.add(codes[changed], [ids[i] for i in changed.tolist()])
            collection.merge(part, duplicates="replace")
        if not (place / NAME).exists() or before != items:
            _write(place / NAME, items)
    return len(changed), removed


def read_items(place: Path) -> tuple[FlatIndex, Items]:
    """An index and what its codes are codes of: a collection's folder, or an index file of an earlier release.

    Raises
    ------
    InputError
        One of the two is missing or damaged, or they do not belong together.
    """
    if place.is_dir():
        return _read_collection(place)
    try:
        index = load(place)
    except ValueError as error:
        raise InputError(str(error)) from None
    beside = place.with_name(f"{place.name}.items.json")
    if not beside.exists():
        raise InputError(f"{beside} is missing, which names the items; 'udsph index RUN' makes a collection anew")
    items, content = _read(beside, OF_FILES)
    if content.get("index") != _seal(place) or len(items.names) != len(index):
        raise InputError(f"{beside} is not of the index beside it; make it again with 'udsph index RUN'")
    return index, items


def model_mark(hasher: Any) -> str:
    """SHA-256 of a model's weights: the same in a run, a shared folder and another place."""
    digest = hashlib.sha256()
    for name, tensor in sorted(hasher.tensors().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


def _read_collection(place: Path) -> tuple[Collection, Items]:
    try:
        collection = Collection.open(place)
    except ValueError as error:
        raise InputError(str(error)) from None
    if not (place / NAME).is_file():
        raise InputError(
            f"{place} has no {NAME}, which names the items: 'udsph index RUN' writes it; "
            "'udsph index search' and 'udsph search --database' find codes by codes"
        )
    return collection, _read(place / NAME, FORMAT)[0]


def _read(path: Path, expected: str) -> tuple[Items, dict[str, Any]]:
    """Items and everything else that a file says."""
    content = read_json(path)
    try:
        if content["format"] != expected:
            raise InputError(f"{path} has the format '{content['format']}'; this version reads '{expected}' here")
        names, captions = content["names"], content["captions"]
        ids = None if expected == OF_FILES else content["ids"] or names
        items = Items(content["modality"], names, captions, content["source"], content["model"], ids)
        lists = [part for part in (names, captions, ids) if part is not None]
        texts = all(isinstance(part, list) and all(isinstance(text, str) for text in part) for part in lists)
        if not texts or len({len(part) for part in lists}) != 1 or not isinstance(items.source, dict):
            raise TypeError
    except (KeyError, TypeError):
        message = f"{path} does not describe the items of an index; make it again with 'udsph index RUN'"
        raise InputError(message) from None
    return items, content


def _write(path: Path, items: Items) -> None:
    content = {
        "format": FORMAT,
        "modality": items.modality,
        "names": items.names,
        "captions": items.captions,
        "ids": None if items.ids == items.names else items.ids,
        "source": items.source,
        "model": items.model,
    }
    write_text(path, json.dumps(content, indent=1) + "\n")  # in ASCII: names of files may be no UTF-8


def _seal(path: str | os.PathLike[str]) -> dict[str, int]:
    """Bytes and checksum of an index file."""
    checksum = size = 0
    with open(path, "rb") as file:
        while part := file.read(_STEP):
            checksum, size = zlib.crc32(part, checksum), size + len(part)
    return {"bytes": size, "crc32": checksum}
