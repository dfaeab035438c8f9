"""SCM: semantic correlation maximisation, orthogonal and sequential."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from udsph.baselines.base import Kind, LinearMethod
from udsph.baselines.linalg import expansion, paired_directions, signs, whitener


class SCM(LinearMethod):
    """Linear codes whose inner products follow the cosine of the labels.

    Source: D. Zhang, W.-J. Li, "Large-scale supervised multimodal hashing with semantic correlation maximization", AAAI 2014.

    Objective: ``min || sign(X Wx) sign(Y Wy)' - K S ||^2`` with ``S = 2 Lt Lt' - 1 1'`` (``Lt``: label rows of norm 1).
    ``S`` is never formed: ``X' S Y = 2 (X'Lt)(Y'Lt)' - (X'1)(Y'1)'``, so training is linear in the number of pairs.

    - orthogonal: signs are dropped and ``Wx' Cxx Wx = I`` asked for; all bits are the leading directions of ``X' S Y``.
    - sequential: one bit at a time, the leading direction of ``X' R Y``, where the residue ``R`` starts as ``K S`` and loses
      ``sign(X w) sign(Y v)'`` with each bit.

    Deviations: the similarity has rank ``classes``, so the orthogonal form has at most that many directions; the published
    code goes on into directions of no strength, here they are filled as :func:`udsph.baselines.linalg.expansion` says. The
    published code of the sequential form stops when an eigenvalue grows and takes canonical directions; here it goes on.
    The regularisation is relative to the mean variance of a column (published code: 1e-6 absolute).

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed.
    sequential
        Which form.
    regularisation
        As for CVH.
    """

    kind: ClassVar[Kind] = "supervised"
    supervised = True

    def __init__(
        self, bits: int = 64, random_state: int = 0, sequential: bool = True, regularisation: float = 1.0
    ) -> None:
        self.bits = bits
        self.random_state = random_state
        self.sequential = sequential
        self.regularisation = regularisation

    def _learn(self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator) -> None:
        assert labels is not None
        unit = labels / np.maximum(np.linalg.norm(labels, axis=1, keepdims=True), 1e-12)
        cross = 2 * (images.T @ unit) @ (texts.T @ unit).T - np.outer(images.sum(0), texts.sum(0))
        factors = whitener(images, self.regularisation), whitener(texts, self.regularisation)
        learn = self._one_by_one if self.sequential else self._all_at_once
        self.image_weights_, self.text_weights_ = learn(images, texts, self.bits * cross, factors, rng)

    def _all_at_once(self, images, texts, cross, factors, rng) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
        found = paired_directions(cross, *factors, self.bits)
        mixing = expansion(found.strength, self.bits, rng)
        return found.image @ mixing, found.text @ mixing

    def _one_by_one(self, images, texts, cross, factors, rng) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
        columns = []
        for _ in range(self.bits):
            found = paired_directions(cross, *factors, 1)
            image, text = found.image[:, 0], found.text[:, 0]
            columns.append((image, text))
            cross = cross - np.outer(images.T @ signs(images @ image), texts.T @ signs(texts @ text))
        image_columns, text_columns = zip(*columns, strict=True)
        return np.stack(image_columns, 1), np.stack(text_columns, 1)


class OrthogonalSCM(SCM):
    """The orthogonal form under its own name on the command line."""

    def __init__(
        self, bits: int = 64, random_state: int = 0, sequential: bool = False, regularisation: float = 1.0
    ) -> None:
        super().__init__(bits, random_state, sequential, regularisation)


METHODS = {"scm-orth": OrthogonalSCM, "scm-seq": SCM}
