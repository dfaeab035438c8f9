"""The contract of every method: ``fit`` on pairs, then codes of either modality alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import BaseEstimator

from udsph.baselines.features import Describer
from udsph.baselines.inputs import Range, View, check_labels, check_view, labelled_rows, len_rows
from udsph.errors import InputError
from udsph.hamming import pack
from udsph.hamming.codes import MAX_BITS

COMMON = {"bits": Range(1, MAX_BITS, whole=True), "random_state": Range(0, whole=True)}
log = logging.getLogger("udsph.baselines")
Kind = Literal["floor", "unsupervised", "supervised", "deep"]


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 epoch``, ``2,000 epochs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Method(BaseEstimator):
    """What all methods, shallow and deep, have in common.

    Attributes
    ----------
    kind
        In which group of the comparison the method stands.
    supervised
        Whether ``fit`` uses labels. A method that is not supervised never sees them.
    semi_supervised
        Of a supervised method: whether ``fit`` also takes pairs whose labels are not known, as rows of -1, and
        ``labels=None`` for pairs alone. Others are fitted on the labelled pairs only.
    real_valued
        Whether the method also has ``embed_image`` and ``embed_text`` (unit rows, ranked by cosine) and is judged by
        them.
    ranges
        The values that its own numeric settings may have; ``fit`` refuses others.
    """

    kind: ClassVar[Kind]
    supervised: ClassVar[bool] = False
    semi_supervised: ClassVar[bool] = False
    real_valued: ClassVar[bool] = False
    ranges: ClassVar[Mapping[str, Range]] = {}
    bits: int
    random_state: int

    def fit(self, images: Any, texts: Any, labels: Any = None) -> Any:
        """Learn hash functions from pairs; see the subclasses."""
        raise NotImplementedError

    def encode_image(self, images: Any) -> np.ndarray:
        """Packed codes of images alone: uint8 ``(n, ceil(bits / 8))``."""
        raise NotImplementedError

    def encode_text(self, texts: Any) -> np.ndarray:
        """Packed codes of texts alone: uint8 ``(n, ceil(bits / 8))``."""
        raise NotImplementedError

    def _check_settings(self) -> None:
        for name, allowed in {**COMMON, **self.ranges}.items():
            allowed.check(getattr(self, name), name)

    def _labelled(self, labels: Any, rows: int) -> np.ndarray | None:
        """The pairs that the method learns from, where these are not all of them; it is logged.

        Raises
        ------
        InputError
            If the method needs labels and there are none.
        """
        if not self.supervised or self.semi_supervised:
            return None
        known = labelled_rows(labels)
        if known is None:
            from udsph.baselines.registry import name_of, without_labels

            others = ", ".join(without_labels())
            raise InputError(f"{name_of(type(self))} is supervised: give labels to fit; without labels: {others}")
        if len(known) == rows or len(np.asarray(labels)) != rows:  # of another length, check_labels says so
            return None
        log.info(f"{type(self).__name__} learns from the {len(known):,} of {rows:,} pairs that have labels")
        return known

    def _check_fitted(self) -> None:
        if not getattr(self, "fitted_", False):
            raise InputError(f"{type(self).__name__} is not fitted; call fit(images, texts) first")


class ShallowMethod(Method):
    """A method on feature vectors.

    A subclass implements ``_learn`` (from prepared pairs), ``_project_image`` and ``_project_text`` (from prepared
    rows to one real number per bit, whose sign is the bit). Preparation (:class:`~udsph.baselines.inputs.View`) and
    the fixed features for pixels and tokens (:mod:`udsph.baselines.features`) are the same for all.
    """

    def fit(self, images: Any, texts: Any, labels: Any = None) -> ShallowMethod:
        """Learn hash functions from pairs.

        Parameters
        ----------
        images, texts
            ``(n, dims)`` dense or sparse, or a :class:`~udsph.data.Modality` of any kind; row i of both is one pair.
        labels
            ``(n, classes)`` multi-hot or ``(n,)`` class numbers; needed by supervised methods, ignored by the others.
            A pair whose labels are not known has -1, in every column; supervised methods leave it out.

        Raises
        ------
        InputError
            For views of different length, NaN, constant features, missing labels, fewer than two pairs.
        """
        self._check_settings()
        rng = np.random.default_rng(self.random_state)
        self.image_features_, self.text_features_ = Describer(images), Describer(texts)
        image_rows = check_view(self.image_features_(images), "images")
        text_rows = check_view(self.text_features_(texts), "texts")
        rows = len_rows(image_rows)
        if rows != len_rows(text_rows):
            raise InputError(f"{rows} images but {len_rows(text_rows)} texts; row i of both must be one pair")
        known = self._labelled(labels, rows)
        if known is not None:
            image_rows, text_rows, labels = image_rows[known], text_rows[known], np.asarray(labels)[known]
            rows = len(known)
        if rows < 2:
            which = "pair" if known is None else "pair with labels"
            raise InputError(f"one {which} is not enough to learn from; give at least two")
        wanted = check_labels(labels, rows) if self.supervised else None
        self.image_view_ = View(image_rows, "images", rng)
        self.text_view_ = View(text_rows, "texts", rng)
        self._learn(self.image_view_(image_rows), self.text_view_(text_rows), wanted, rng)
        self.fitted_ = True
        return self

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        raise NotImplementedError

    def _project_image(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _project_text(self, texts: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def encode_image(self, images: Any) -> np.ndarray:
        """Packed codes of images alone: uint8 ``(n, ceil(bits / 8))``."""
        self._check_fitted()
        return pack(self._project_image(self.image_view_(self.image_features_(images))))

    def encode_text(self, texts: Any) -> np.ndarray:
        """Packed codes of texts alone: uint8 ``(n, ceil(bits / 8))``."""
        self._check_fitted()
        return pack(self._project_text(self.text_view_(self.text_features_(texts))))


class LinearMethod(ShallowMethod):
    """A shallow method whose hash functions are linear: ``_learn`` sets ``image_weights_`` and ``text_weights_``."""

    image_weights_: np.ndarray
    text_weights_: np.ndarray

    def _project_image(self, images: np.ndarray) -> np.ndarray:
        return images @ self.image_weights_

    def _project_text(self, texts: np.ndarray) -> np.ndarray:
        return texts @ self.text_weights_
