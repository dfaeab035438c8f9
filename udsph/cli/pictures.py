"""The pictures of an index's items, found again where they came from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from udsph.cli.items import Items
from udsph.errors import InputError

SIDE = 160  # pixels of an image file in a picture of answers


def shown_items(items: Items) -> Callable[[int], str | np.ndarray]:
    """A function from a position in the index to the item's picture, uint8 ``(height, width, 3)``, or its text.

    Raises
    ------
    InputError
        The items are images and their pixels are not to be had.
    """
    if items.modality == "text":
        return items.label if items.captions is None else items.captions.__getitem__
    if "folder" in items.source:
        folder = Path(items.source["folder"])
        return lambda position: read_picture(folder / items.names[position])
    if "data" not in items.source:
        raise InputError(f"the images of this index came as arrays ({items.source.get('file')}); no picture shows them")
    images, chosen = _images_of(items.source["data"], items.source["split"])
    return lambda position: np.asarray(images.values[chosen[position : position + 1]])[0]


def read_picture(path: Path) -> np.ndarray:
    """An image file, as a square."""
    from udsph.data.images import DamagedImage, decode

    try:
        return decode(path.parent, path.name, SIDE)
    except DamagedImage as error:
        raise InputError(f"{path.parent}: {error}") from None


def _images_of(place: dict[str, Any], split: str) -> tuple[Any, np.ndarray]:
    """The images of a dataset and the items of its split."""
    from udsph import data

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said when the index was made
        dataset = data.load(place["name"], place["root"], **place["settings"])
    if dataset.image.kind != "pixels":
        raise InputError(f"{dataset.name}: its images are {dataset.image.kind}; no picture shows them")
    return dataset.image, np.arange(len(dataset)) if split == "all" else dataset.splits[split]
