"""CVH: cross-view hashing, which on paired views is canonical correlation analysis."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from udsph.baselines.base import Kind, LinearMethod
from udsph.baselines.linalg import canonical_directions, expansion, regularisation_of


class CVH(LinearMethod):
    """Signs of canonical variates.

    Source: S. Kumar, R. Udupa, "Learning hash functions for cross-view similarity search", IJCAI 2011.

    Objective: ``max tr(Wx' X'Y Wy)`` subject to ``Wx' (X'X + rI) Wx = Wy' (Y'Y + rI) Wy = I``, which is what their
    objective becomes when each item is seen in both views and is similar to itself alone. Solved in closed form.
    Codes are ``sign(X Wx)``, ``sign(Y Wy)``.

    Deviations: the regularisation is relative to the mean variance of a column (the paper leaves it open) and chosen
    on held-out pairs; bits beyond the number of canonical directions are filled as
    :func:`udsph.baselines.linalg.expansion` says.

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed.
    regularisation
        Added to both covariances, relative to the mean variance of a column; None chooses it on held-out pairs
        (:func:`udsph.baselines.linalg.held_out_regularisation`).
    """

    kind: ClassVar[Kind] = "unsupervised"

    def __init__(self, bits: int = 64, random_state: int = 0, regularisation: float | None = None) -> None:
        self.bits = bits
        self.random_state = random_state
        self.regularisation = regularisation

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        amount = regularisation_of(self.regularisation, images, texts, rng)
        found = canonical_directions(images, texts, self.bits, amount)
        mixing = expansion(found.strength, self.bits, rng)
        self.correlations_ = found.strength
        self.image_weights_ = found.image @ mixing
        self.text_weights_ = found.text @ mixing


METHODS = {"cvh": CVH}
