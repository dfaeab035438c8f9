"""Random projections: the floor that every method must clear."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from udsph.baselines.base import Kind, LinearMethod


class RandomProjections(LinearMethod):
    """Signs of Gaussian projections, drawn for each view on its own, so codes of the two views are unrelated.

    M. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002. Retrieval across views is at
    chance.
    """

    kind: ClassVar[Kind] = "floor"

    def __init__(self, bits: int = 64, random_state: int = 0) -> None:
        self.bits = bits
        self.random_state = random_state

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        self.image_weights_ = rng.standard_normal((images.shape[1], self.bits))
        self.text_weights_ = rng.standard_normal((texts.shape[1], self.bits))


METHODS = {"random": RandomProjections}
