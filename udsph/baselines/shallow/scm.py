"""SCM: semantic correlation maximisation, orthogonal and sequential."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from udsph.baselines.base import Kind, LinearMethod
from udsph.baselines.inputs import POSITIVE, Range
from udsph.baselines.linalg import Directions, expansion, paired_directions, signs, whitener


class SCM(LinearMethod):
    """Linear codes whose inner products follow the cosine of the labels.

    Source: D. Zhang, W.-J. Li, "Large-scale supervised multimodal hashing with semantic correlation maximization",
    AAAI 2014.

    Objective: ``min || sign(X Wx) sign(Y Wy)' - K S ||^2`` with ``S = 2 Lt Lt' - 1 1'`` (``Lt``: label rows of norm 1).
    ``S`` is never formed: ``X' S Y = 2 (X'Lt)(Y'Lt)' - (X'1)(Y'1)'``, so training is linear in the number of pairs.

    - orthogonal: signs are dropped and ``Wx' Cxx Wx = I`` asked for; all bits are the leading directions of ``X' S Y``.
    - sequential: one bit at a time, the leading direction of ``X' R Y``, where the residue ``R`` starts as ``K S``
      and loses ``sign(X w) sign(Y v)'`` with each bit.

    Deviations: the similarity has rank ``classes``, so the orthogonal form has at most that many directions; the
    published code goes on into directions of no strength, here they are filled as
    :func:`udsph.baselines.linalg.expansion` says. The published code of the sequential form stops when an eigenvalue
    grows and takes canonical directions; here it goes on. The regularisation is relative to the mean variance of a
    column (published code: 1e-6 absolute).

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed of the bits that are filled.
    regularisation
        Added to both covariances, relative to the mean variance of a column.
    """

    kind: ClassVar[Kind] = "supervised"
    supervised = True
    ranges: ClassVar[Mapping[str, Range]] = {"regularisation": POSITIVE}

    def __init__(self, bits: int = 64, random_state: int = 0, regularisation: float = 0.1) -> None:
        self.bits = bits
        self.random_state = random_state
        self.regularisation = regularisation

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        assert labels is not None
        unit = labels / np.maximum(np.linalg.norm(labels, axis=1, keepdims=True), 1e-12)
        cross = 2 * (images.T @ unit) @ (texts.T @ unit).T - np.outer(images.sum(0), texts.sum(0))
        found = self._directions(Pairs(images, texts, self.regularisation), self.bits * cross)
        mixing = expansion(found.strength, self.bits, rng)
        self.image_weights_, self.text_weights_ = found.image @ mixing, found.text @ mixing

    def _directions(self, pairs: Pairs, cross: np.ndarray) -> Directions:
        raise NotImplementedError


class Pairs:
    """Both views with the factors that whiten them."""

    def __init__(self, images: np.ndarray, texts: np.ndarray, regularisation: float) -> None:
        self.images, self.texts = images, texts
        self.factors = whitener(images, regularisation), whitener(texts, regularisation)

    def leading(self, cross: np.ndarray, count: int) -> Directions:
        """The directions of unit variance that a cross matrix couples most."""
        return paired_directions(cross, *self.factors, count=count)


class OrthogonalSCM(SCM):
    """SCM whose directions are all found at once."""

    def _directions(self, pairs: Pairs, cross: np.ndarray) -> Directions:
        return pairs.leading(cross, self.bits)


class SequentialSCM(SCM):
    """SCM that finds one bit after the other, each correcting those before."""

    def _directions(self, pairs: Pairs, cross: np.ndarray) -> Directions:
        columns = []
        for _ in range(self.bits):
            found = pairs.leading(cross, 1)
            columns.append(found)
            image_bits, text_bits = signs(pairs.images @ found.image), signs(pairs.texts @ found.text)
            cross = cross - (pairs.images.T @ image_bits) @ (pairs.texts.T @ text_bits).T
        return Directions(*(np.concatenate(parts, axis=-1) for parts in zip(*columns, strict=True)))


METHODS = {"scm-orth": OrthogonalSCM, "scm-seq": SequentialSCM}
