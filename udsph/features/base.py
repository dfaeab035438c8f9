"""What an extractor is, and what its errors look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from udsph.data.mapped import read_description
from udsph.errors import InputError, MissingExtra
from udsph.files import write_bytes, write_json

Form = Literal["vectors", "regions"]
Reads = Literal["words", "captions", "open words"]
FORMS = ("vectors", "regions")


class ImageExtractor(Protocol):
    """Pixels to features.

    Attributes
    ----------
    form
        ``vectors``: one vector an image. ``regions``: one for each cell of the network's last map, or each patch.
    shape
        Of the features of one image: ``(dims,)`` or ``(regions, dims)``.
    size
        Side in pixels of the images that the network was made for; others are resized.
    """

    form: Form
    shape: tuple[int, ...]
    size: int

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 ``(n, height, width, 3)``, RGB, to float32 ``(n, *shape)``."""

    def describe(self) -> dict[str, Any]:
        """What decides the features, as JSON."""


@runtime_checkable
class Learning(Protocol):
    """What an image extractor has besides, if it learns from the training pictures."""

    def fit(self, read: Callable[[np.ndarray], Any], train: np.ndarray) -> None:
        """Learn from the pictures that ``read`` gives for row numbers; ``train`` are those of the training split."""

    def save(self, folder: Path) -> None:
        """Write what ``fit`` learnt, as safetensors and JSON."""

    def load(self, folder: Path) -> bool:
        """Read what ``save`` wrote, or have nothing to learn; False where ``fit`` is needed."""


class TextExtractor(Protocol):
    """Texts to features.

    Attributes
    ----------
    reads
        ``words``: each text is the list of its words, as the dataset's vocabulary has them. ``captions``: it is the
        text as written. ``open words``: the list of all words of the text as written, also those that the vocabulary
        lacks; the words of the vocabulary where no text is written.
    form, shape
        As for images; in ``regions`` the regions are words, and ``shape[0]`` is the most that a text may have.
    """

    reads: Reads
    form: Form

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the features of one text."""

    def fit(self, texts: Sequence[Any]) -> None:
        """Learn from the texts of the training split; an extractor that was trained before does nothing."""

    def __call__(self, texts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray | None]:
        """float32 ``(n, *shape)``, and for ``regions`` the number of valid ones, int32 ``(n,)``."""

    def describe(self) -> dict[str, Any]:
        """What decides the features, as JSON."""

    def save(self, folder: Path) -> None:
        """Write what ``fit`` learnt, as safetensors and JSON."""

    def load(self, folder: Path) -> bool:
        """Read what ``save`` wrote; False where there is nothing."""


def check_form(name: str, form: str) -> Form:
    """``form``, or an error that names the known ones."""
    if form == "vectors":
        return "vectors"
    if form == "regions":
        return "regions"
    raise InputError(f"{name}: form={form}; expected one of {', '.join(FORMS)}")


def local_weights(name: str, weights: str, kind: str) -> str:
    """The place of an extractor's weights, or an error that says what it should be."""
    if not weights:
        raise InputError(f"{name} needs its weights: {kind}")
    return weights


def missing(what: str, error: ImportError) -> MissingExtra:
    """The error for a package that is not installed."""
    extra = "timm" if (error.name or "").partition(".")[0] in ("timm", "torchvision") else "data"
    return MissingExtra(what, extra)


def stored(folder: Path, name: str) -> bool:
    """Whether :func:`save_stored` wrote something under this name."""
    return (folder / f"{name}.json").exists() and (folder / f"{name}.safetensors").exists()


def save_stored(folder: Path, name: str, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write what was learnt: ``NAME.json`` and ``NAME.safetensors``."""
    from safetensors.numpy import save

    plain = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    write_bytes(folder / f"{name}.safetensors", save(plain))
    write_json(folder / f"{name}.json", content)


def load_stored(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What :func:`save_stored` wrote.

    Raises
    ------
    InputError
        If it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / f"{name}.safetensors"
    try:
        return read_description(folder / f"{name}.json"), load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged ({error})") from None
