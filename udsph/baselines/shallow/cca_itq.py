"""CCA-ITQ: canonical variates, rotated so that signs lose little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from udsph.baselines.base import Kind, LinearMethod
from udsph.baselines.inputs import AT_LEAST_1, Range
from udsph.baselines.linalg import canonical_directions, expansion, procrustes, regularisation_of, signs


class CCAITQ(LinearMethod):
    """Canonical correlation analysis followed by iterative quantisation, one rotation for both views.

    Source: Y. Gong, S. Lazebnik, "Iterative quantization: a Procrustean approach to learning binary codes", CVPR 2011.

    Objective: with ``V`` the canonical variates of both views, one below the other and scaled by their correlations,
    ``min ||B - V R||^2`` over signs ``B`` and orthogonal ``R``. Each iteration sets ``B = sign(V R)`` and ``R`` to the
    Procrustes solution; neither can raise the objective.

    Deviations: the paper applies CCA between images and labels and codes images only; here CCA is between the two
    views and the rotation is learnt on both. Bits beyond the number of directions are filled as
    :func:`udsph.baselines.linalg.expansion` says, before the rotation.

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed of the first rotation.
    regularisation
        As for CVH.
    iterations
        Alternations.
    """

    kind: ClassVar[Kind] = "unsupervised"
    ranges: ClassVar[Mapping[str, Range]] = {"iterations": AT_LEAST_1}

    def __init__(
        self, bits: int = 64, random_state: int = 0, regularisation: float | None = None, iterations: int = 50
    ) -> None:
        self.bits = bits
        self.random_state = random_state
        self.regularisation = regularisation
        self.iterations = iterations

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        amount = regularisation_of(self.regularisation, images, texts, rng)
        found = canonical_directions(images, texts, self.bits, amount)
        mixing = found.strength[:, None] * expansion(found.strength, self.bits, rng)
        image, text = found.image @ mixing, found.text @ mixing
        variates = np.concatenate([images @ image, texts @ text])
        rotation = np.linalg.qr(rng.standard_normal((self.bits, self.bits)))[0]
        self.objective_ = []
        for _ in range(self.iterations):
            codes = signs(variates @ rotation)
            rotation = procrustes(variates, codes)
            self.objective_.append(float(np.square(codes - variates @ rotation).sum()))
        self.image_weights_, self.text_weights_ = image @ rotation, text @ rotation


METHODS = {"cca-itq": CCAITQ}
