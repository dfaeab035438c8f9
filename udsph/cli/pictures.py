"""The pictures of an index's items, found again where they came from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from udsph.errors import InputError

if TYPE_CHECKING:
    from udsph.encoding.indexed import Items

SIDE = 160  # pixels of an image file in a picture of answers


def shown_items(items: Items) -> Callable[[Any], str | np.ndarray]:
    """A function from an id in the index to the item's picture, uint8 ``(height, width, 3)``, or its text.

    Raises
    ------
    InputError
        The items are images and their pixels are not to be had.
    """
    if items.modality == "text":
        return lambda id: items.caption(id) or items.name(id)
    if "folder" in items.source:
        folder = Path(items.source["folder"])
        return lambda id: items.name(id) if items.place(id) is None else read_picture(folder / items.name(id))
    if "data" not in items.source:
        raise InputError(f"the images of this index came as arrays ({items.source.get('file')}); no picture shows them")
    dataset, chosen = read_origin(items)
    if dataset.image.kind != "pixels":
        raise InputError(f"{dataset.name}: its images are {dataset.image.kind}; no picture shows them")

    def picture(id: Any) -> str | np.ndarray:
        place = items.place(id)  # None: a code of something else, which was added to the collection
        return items.name(id) if place is None else np.asarray(dataset.image.values[chosen[place : place + 1]])[0]

    return picture


def read_picture(path: Path) -> np.ndarray:
    """An image file, as a square."""
    from udsph.data.images import DamagedImage, decode

    try:
        return decode(path.parent, path.name, SIDE)
    except DamagedImage as error:
        raise InputError(f"{path.parent}: {error}") from None


def read_origin(items: Items) -> tuple[Any, np.ndarray]:
    """The dataset that the items of an index came from, and which of its items they are."""
    from udsph import data

    place, split = items.source["data"], items.source["split"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said when the index was made
        dataset = data.load(place["name"], place["root"], **place["settings"])
    return dataset, np.arange(len(dataset)) if split == "all" else dataset.splits[split]
