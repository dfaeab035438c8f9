"""QCH: quantised correlation hashing (a reconstruction)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from udsph.baselines.base import Kind, LinearMethod
from udsph.baselines.inputs import AT_LEAST_1, NOT_NEGATIVE, Range
from udsph.baselines.linalg import canonical_directions, expansion, procrustes, regularisation_of, signs


class QCH(LinearMethod):
    """Correlation of the codes and quantisation loss, optimised together.

    Source: B. Wu, Q. Yang, W.-S. Zheng, Y. Wang, J. Wang, "Quantized correlation hashing for fast cross-modal
    search", IJCAI 2015. Sure from its abstract: the quantisation loss of both views and the correlation of the codes
    of a pair are one objective, optimised alternately. The equations below are this project's.

    Objective: ``||Bx - X Rx||^2 + ||By - Y Ry||^2 - c tr(Bx' By)`` over signs ``Bx``, ``By`` and ``Rx``, ``Ry`` with
    orthonormal rows or columns; ``X``, ``Y`` are the canonical variates, scaled by their correlations. ``Bx`` is
    ``sign(2 X Rx + c By)``, likewise ``By``; ``R`` is the Procrustes solution. No step raises the objective. Codes are
    ``sign(X Rx)``, ``sign(Y Ry)``.

    Bits beyond the number of directions are filled as :func:`udsph.baselines.linalg.expansion` says, before the
    rotations.

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed of the first rotation, which is the same for both views.
    regularisation
        As for CVH.
    correlation
        ``c``, relative to the root mean square of the variates.
    iterations
        Alternations.
    """

    kind: ClassVar[Kind] = "unsupervised"
    ranges: ClassVar[Mapping[str, Range]] = {"iterations": AT_LEAST_1, "correlation": NOT_NEGATIVE}

    def __init__(
        self,
        bits: int = 64,
        random_state: int = 0,
        regularisation: float | None = None,
        correlation: float = 1.0,
        iterations: int = 50,
    ) -> None:
        self.bits = bits
        self.random_state = random_state
        self.regularisation = regularisation
        self.correlation = correlation
        self.iterations = iterations

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        amount = regularisation_of(self.regularisation, images, texts, rng)
        found = canonical_directions(images, texts, self.bits, amount)
        mixing = found.strength[:, None] * expansion(found.strength, self.bits, rng)
        image, text = found.image @ mixing, found.text @ mixing
        x, y = images @ image, texts @ text
        image_turn = text_turn = np.linalg.qr(rng.standard_normal((self.bits, self.bits)))[0]
        weight = self.correlation * float(np.sqrt(np.mean(np.square(x)) + np.mean(np.square(y))))
        x_codes, y_codes = signs(x @ image_turn), signs(y @ text_turn)
        self.objective_ = []
        for _ in range(self.iterations):
            x_codes = signs(2 * x @ image_turn + weight * y_codes)
            y_codes = signs(2 * y @ text_turn + weight * x_codes)
            image_turn, text_turn = procrustes(x, x_codes), procrustes(y, y_codes)
            loss = np.square(x_codes - x @ image_turn).sum() + np.square(y_codes - y @ text_turn).sum()
            self.objective_.append(float(loss - weight * np.sum(x_codes * y_codes)))
        self.image_weights_, self.text_weights_ = image @ image_turn, text @ text_turn


METHODS = {"qch": QCH}
