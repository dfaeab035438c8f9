"""One annotation file of MS COCO, as dictionaries by id; an entry that cannot be used is named and left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from udsph.data.lines import composed
from udsph.data.problems import Problems
from udsph.data.quotes import shown
from udsph.errors import InputError

Identity = int | str


@dataclass(frozen=True)
class Annotations:
    """What a file says.

    Attributes
    ----------
    images
        By id, in the order of the ids: each has a ``file_name``.
    of_image
        The annotations of each image by the image's id, in the order of the file.
    categories
        Names of the classes by id, in the order of the ids.
    """

    images: dict[Identity, dict[str, Any]] = field(default_factory=dict)
    of_image: dict[Identity, list[dict[str, Any]]] = field(default_factory=dict)
    categories: dict[Identity, str] = field(default_factory=dict)


def read_annotations(path: Path, problems: Problems) -> Annotations:
    """The images, annotations and categories of one file.

    Raises
    ------
    InputError
        If the file is no JSON with lists of images and annotations.
    """
    content = _content(path, problems.layout)
    images = {}
    for identity, entry in _entries(content, "images", "id", path, problems):
        if not isinstance(entry.get("file_name"), str):
            problems.leave_out("the image has no file name", f"{path.name}: {identity}")
            continue
        if identity in images:
            problems.leave_out("the image id is repeated; its last entry counts", f"{path.name}: {identity}")
        images[identity] = entry
    categories: dict[Identity, str] = {}
    names: set[str] = set()
    for identity, entry in _entries(content, "categories", "id", path, problems):
        name = entry.get("name")
        if not isinstance(name, str) or not name.strip():
            problems.leave_out("the category has no name", f"{path.name}: {identity}")
            continue
        if identity in categories:
            problems.leave_out("the category id is repeated; its last entry counts", f"{path.name}: {identity}")
        name = composed(name.strip())
        if name in names and categories.get(identity) != name:
            problems.remark(f"{path.name}: several categories are called {name!r}; they are one class")
        categories[identity] = name
        names.add(name)
    annotations: dict[Any, tuple[Identity, dict[str, Any]]] = {}
    for number, (identity, entry) in enumerate(_entries(content, "annotations", "image_id", path, problems)):
        own = identity_of(entry.get("id"))
        key = (number,) if own is None else own  # the annotations of other programs may have none
        if key in annotations:
            problems.leave_out("the annotation id is repeated; its last entry counts", f"{path.name}: {key}")
        annotations[key] = identity, entry
    of_image: dict[Identity, list[dict[str, Any]]] = {}
    for identity, entry in annotations.values():
        of_image.setdefault(identity, []).append(entry)
    return Annotations(_sorted(images), of_image, _sorted(categories))


def _content(path: Path, layout: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())  # bytes: a byte-order mark may say UTF-16
    except ValueError as error:
        raise InputError(f"{layout}: {path.name} is no COCO annotation file ({shown(str(error))})") from None
    except RecursionError:
        raise InputError(f"{layout}: {path.name} is no COCO annotation file (it is nested too deeply)") from None
    for section in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(section), list):
            raise InputError(f"{layout}: {path.name} is no COCO annotation file (it has no list '{section}')")
    return content


def _entries(
    content: dict[str, Any], section: str, key: str, path: Path, problems: Problems
) -> Iterator[tuple[Identity, dict[str, Any]]]:
    """Each entry with what identifies it; the others are named."""
    found = content.get(section, [])
    for number, entry in enumerate(found if isinstance(found, list) else [found]):
        identity = identity_of(entry.get(key)) if isinstance(entry, dict) else None
        if identity is not None:
            yield identity, entry
        else:
            reason = f"the entry of '{section}' has no '{key}' that is a whole number or a text"
            problems.leave_out(reason, f"{path.name}, entry {number}")


def identity_of(value: Any) -> Identity | None:
    """An id, whole numbers as such (some programs write 7.0); None for what is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _sorted(entries: dict[Identity, Any]) -> dict[Identity, Any]:
    """In the order of the ids: numbers, then texts."""
    return dict(sorted(entries.items(), key=lambda item: (isinstance(item[0], str), item[0])))
