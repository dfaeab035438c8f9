"""What may be given to ``encode_image`` and ``encode_text``, and how it becomes rows that the networks read.

Decided here, once for Python and the command line: pictures of any size are read and resized as the training's loader
does (:func:`udsph.data.pixels.pixels_of`); texts become tokens by the vocabulary that is stored with the model; arrays
of anything else must have the form on which the model was trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from udsph.data import Modality
from udsph.data.checks import as_float32
from udsph.data.pixels import DamagedImage, as_bytes, pixels_of
from udsph.encoding.extractors import ExtractedRows
from udsph.encoding.inputs import Inputs
from udsph.errors import InputError
from udsph.hamming.arrays import as_array
from udsph.models.networks import ModalitySpec
from udsph.threads import cores

PATH = (str, os.PathLike)
TEXTS = 256  # that go through an extractor at once


class Pictures:
    """Pictures of any size and form as rows of pixels, made when a batch asks for them.

    Parameters
    ----------
    items
        Paths, PIL images and arrays, mixed as they like; or one array ``(n, height, width, 3)``.
    size
        Height and width of the rows.
    what
        What an error calls them.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, items: Any, size: tuple[int, int], what: str) -> None:
        self._items, self._size, self._what = items, size, what
        self.shape = (len(items), *size, 3)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        rows = [int(row) for row in index]
        with ThreadPoolExecutor(min(cores(), max(1, len(rows)))) as pool:
            return np.stack(list(pool.map(self._row, rows)))

    def _row(self, row: int) -> np.ndarray:
        try:
            return pixels_of(self._items[row], self._size, f"{self._what}[{row}]")
        except DamagedImage as error:
            raise InputError(str(error)) from None


def as_modality(items: Any, name: str, spec: ModalitySpec, inputs: Inputs) -> tuple[Modality, list[str]]:
    """Items as the network of a modality reads them, and remarks on what of them it does not read.

    Parameters
    ----------
    name
        ``image`` or ``text``.
    spec, inputs
        What the network takes, and how raw items are prepared for it.

    Raises
    ------
    InputError
        That says what was given and what the model takes.
    """
    what = f"{name}s"
    if isinstance(items, Modality):
        return _checked(items, what, spec, inputs), []
    if isinstance(items, PATH) or hasattr(items, "getbands"):
        raise _unfit(what, f"a single {type(items).__name__}", spec, inputs, "; give a list, also of one")
    if not hasattr(items, "shape"):
        if not isinstance(items, Iterable) or isinstance(items, bytes | dict | set | frozenset):
            raise _unfit(what, type(items).__name__, spec, inputs)
        items = list(items)
    elif len(items.shape) == 0:
        raise _unfit(what, "a single value", spec, inputs)
    if (items.shape[0] if hasattr(items, "shape") else len(items)) == 0:
        return _none(spec), []
    if spec.kind == "pixels":
        return _pictures(items, what, spec, inputs), []
    if name == "image" and name in inputs.extractors and _holds_pictures(items):
        return _extracted(items, what, spec, inputs), []
    if holds_text(items):
        if not inputs.take(name, spec.kind) and spec.kind != "tokens":
            raise _unfit(what, "text", spec, inputs)
        return _texts(items, what, spec, inputs)
    return _numbers(items, what, spec, inputs), []


def listed(items: Any) -> Any:
    """Items that can only be gone through, as a list; all else as it is."""
    plain = hasattr(items, "shape") or isinstance(items, (Modality, *PATH, bytes, dict, set, frozenset))
    return items if plain or hasattr(items, "getbands") or not isinstance(items, Iterable) else list(items)


def extracted_texts(
    items: Any, name: str, spec: ModalitySpec, inputs: Inputs
) -> Iterator[tuple[Modality, int, int]] | None:
    """Texts that go through an extractor, in pieces, since features of many take much memory; None of other items.

    Beside each piece stands how many texts were cut, and how many have no known word (:meth:`Inputs.texts`).
    """
    if name != "text" or inputs.vocabulary or name not in inputs.extractors or isinstance(items, Modality):
        return None
    if not holds_text(items) or getattr(items, "ndim", 1) != 1 or not len(items):
        return None
    texts = list(items)
    if not all(isinstance(text, str) for text in texts):
        return None
    pieces = (inputs.texts(texts[start : start + TEXTS]) for start in range(0, len(texts), TEXTS))
    return ((_checked(modality, f"{name}s", spec, inputs), cut, unknown) for modality, cut, unknown in pieces)


def takes(spec: ModalitySpec, inputs: Inputs, name: str) -> str:
    """What the network of a modality takes, in words."""
    numbers = _takes(spec, inputs)
    if name not in inputs.extractors or spec.kind == "pixels":
        return numbers
    raw = "paths, PIL images or arrays of pixels" if name == "image" else "texts"
    return f"{raw}, through {inputs.extractors.described[name]['extractor']}, or {numbers}"


def _takes(spec: ModalitySpec, inputs: Inputs) -> str:
    shape = " x ".join(map(str, spec.shape))
    if spec.kind == "pixels":
        height, width = spec.shape[:2]
        return f"paths, PIL images or arrays of pixels (height x width x 3, 0 to 255), resized to {height} x {width}"
    if spec.kind == "tokens":
        texts = "texts, or " if inputs.vocabulary else ""
        return f"{texts}arrays of token numbers below {spec.vocabulary} (n x words)"
    if spec.kind == "regions":
        return f"arrays of regions (n x parts x {spec.shape[-1]})"
    return f"arrays of feature vectors (n x {shape})"


def _unfit(what: str, given: str, spec: ModalitySpec, inputs: Inputs, mend: str = "") -> InputError:
    name = "image" if what.startswith("image") else "text"
    return InputError(f"{what}: {given} given, the model takes {takes(spec, inputs, name)}{mend}")


def _none(spec: ModalitySpec) -> Modality:
    """No items."""
    return Modality(spec.kind, np.empty((0, *spec.shape), np.uint8))  # type: ignore[arg-type]


def holds_text(items: Any) -> bool:
    """Whether a list, an array or a table's column is of strings."""
    if isinstance(items, list):
        return bool(items) and isinstance(items[0], str)
    kind = getattr(getattr(items, "dtype", None), "kind", "")
    return kind in ("U", "T") or (kind == "O" and items.shape[0] > 0 and isinstance(np.asarray(items).ravel()[0], str))


def _holds_pictures(items: Any) -> bool:
    """Whether items are pictures, not their features: of these no array has bytes in three dimensions, or four."""
    if not isinstance(items, list):
        return (
            len(items.shape) == 4
            or (len(items.shape) == 3 and items.dtype == np.uint8)
            or getattr(items.dtype, "kind", "O") in "OUT"
        )
    shape, dtype = getattr(items[0], "shape", ()), getattr(items[0], "dtype", None)
    return isinstance(items[0], PATH) or hasattr(items[0], "getbands") or (len(shape) == 3 and dtype == np.uint8)


# -- pictures -----------------------------------------------------------------------------------------------------


def _pictures(items: Any, what: str, spec: ModalitySpec, inputs: Inputs) -> Modality:
    """Pictures in a list, or an array of them, at the size that the network reads."""
    size = (spec.shape[0], spec.shape[1])
    kind = getattr(getattr(items, "dtype", None), "kind", "O")
    if kind not in "OUT":
        array = as_array(items, what)
        if array.ndim != 4 or array.shape[3] not in (1, 3, 4):
            shape = " x ".join(map(str, array.shape))
            mend = "; give a list, also of one" if array.ndim in (2, 3) else ""
            raise _unfit(what, f"an array of {shape}", spec, inputs, mend)
        if array.dtype == np.uint8 and array.shape[1:] == spec.shape:
            return Modality("pixels", array)
        as_bytes(array[:1], what)  # says at once what is wrong with the type
        return Modality("pixels", Pictures(array, size, what))
    pictures = list(items)
    for row, item in enumerate(pictures):
        if not isinstance(item, PATH) and not hasattr(item, "getbands") and not hasattr(item, "__array__"):
            raise _unfit(f"{what}[{row}]", type(item).__name__, spec, inputs)
    return Modality("pixels", Pictures(pictures, size, what))


def picture_size(spec: ModalitySpec, inputs: Inputs) -> tuple[int, int]:
    """Height and width at which the image network, or the extractor before it, reads pictures."""
    if spec.kind == "pixels":
        return spec.shape[0], spec.shape[1]
    return (inputs.extractors.images.size,) * 2


def from_pixels(pixels: np.ndarray, spec: ModalitySpec, inputs: Inputs) -> Modality:
    """Pictures of :func:`picture_size`, uint8 ``(n, height, width, 3)``, as the image network reads them."""
    if spec.kind == "pixels":
        return Modality("pixels", pixels)
    extractor = inputs.extractors.images
    return Modality(extractor.form, extractor(pixels))


def _extracted(items: Any, what: str, spec: ModalitySpec, inputs: Inputs) -> Modality:
    """Pictures as the features that the extractor of the training makes of them."""
    extractor = inputs.extractors.images
    pictures = _pictures(items, what, ModalitySpec("pixels", (*picture_size(spec, inputs), 3)), inputs)
    return _checked(Modality(extractor.form, ExtractedRows(pictures.values, extractor)), what, spec, inputs)


# -- texts --------------------------------------------------------------------------------------------------------


def _texts(items: Any, what: str, spec: ModalitySpec, inputs: Inputs) -> tuple[Modality, list[str]]:
    """Texts as tokens of the stored vocabulary."""
    texts = [item.item() if isinstance(item, np.str_) else item for item in items]
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise _unfit(f"{what}[{row}]", type(text).__name__, spec, inputs)
    if not inputs.take("text", spec.kind):
        raise _unfit(what, "text", spec, inputs, "; it was stored without its vocabulary")
    modality, cut, unknown = inputs.texts(texts)
    return _checked(modality, what, spec, inputs), inputs.remarks(cut, unknown)


# -- arrays -------------------------------------------------------------------------------------------------------


def _numbers(items: Any, what: str, spec: ModalitySpec, inputs: Inputs) -> Modality:
    """A bare array as items of the kind on which the model was trained."""
    try:
        plain = hasattr(items, "toarray") or isinstance(items, np.ndarray)
        array = items if plain else np.asarray(items)
    except ValueError:  # rows of different length
        raise _unfit(what, "rows of different length", spec, inputs) from None
    if isinstance(array, np.ma.MaskedArray):
        array = as_array(array, what)
    if array.dtype.kind not in ("iu" if spec.kind == "tokens" else "biuf"):
        raise _unfit(what, f"values of type {array.dtype}", spec, inputs)
    if spec.kind != "tokens":
        array = as_float32(array, what)
    return _checked(Modality(spec.kind, array), what, spec, inputs)  # type: ignore[arg-type]


def _checked(modality: Modality, what: str, spec: ModalitySpec, inputs: Inputs) -> Modality:
    """A modality of the kind and the columns that the network takes, or an error; pixels of another size are resized.

    Sentences may be of any length and sets of any size; everything else must agree.
    """
    same = modality.kind == spec.kind and len(modality.shape) == len(spec.shape)
    if not same or (modality.shape[-1:] != spec.shape[-1:] and spec.kind != "tokens"):
        raise _unfit(what, f"{modality.kind} of shape {modality.shape}", spec, inputs)
    if spec.kind == "tokens":
        _check_tokens(modality, what, spec, inputs)
    if spec.kind == "pixels" and modality.shape != spec.shape:
        resized = Pictures(_Rows(modality.values), (spec.shape[0], spec.shape[1]), what)
        return Modality("pixels", resized)
    return modality


def _check_tokens(modality: Modality, what: str, spec: ModalitySpec, inputs: Inputs) -> None:
    """Numbers of words mean the model's words only where they count its vocabulary."""
    known, given = inputs.vocabulary, modality.vocabulary
    if given is not None and (tuple(given) != known if known else len(given) != spec.vocabulary):
        raise _unfit(what, f"tokens of another vocabulary ({len(given)} words)", spec, inputs)
    values = np.asarray(modality.values) if given is None else np.empty(0)
    if values.size and not 0 <= values.min() <= values.max() < spec.vocabulary:
        raise _unfit(what, f"tokens from {values.min()} to {values.max()}", spec, inputs)


class _Rows:
    """Rows of what answers only whole arrays of positions, one at a time."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __len__(self) -> int:
        return int(self._values.shape[0])

    def __getitem__(self, row: int) -> np.ndarray:
        return np.asarray(self._values[np.array([row])])[0]
