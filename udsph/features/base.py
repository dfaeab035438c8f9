"""What an extractor is, and what its errors look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from udsph.errors import InputError, MissingExtra

Form = Literal["vectors", "regions"]
Reads = Literal["words", "captions"]
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


class TextExtractor(Protocol):
    """Texts to features.

    Attributes
    ----------
    reads
        ``words``: each text is the list of its words. ``captions``: it is the text as written.
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
