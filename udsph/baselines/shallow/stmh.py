"""STMH: semantic topic multimodal hashing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy import linalg

from udsph.baselines.base import Kind, ShallowMethod
from udsph.baselines.inputs import AT_LEAST_1, NOT_NEGATIVE, Range
from udsph.baselines.linalg import ridge


class STMH(ShallowMethod):
    """Topics of texts and concepts of images, tied by a linear map; a bit says whether an item has a topic.

    Source: D. Wang, X. Gao, X. Wang, L. He, "Semantic topic multimodal hashing for cross-media retrieval", IJCAI 2015.

    Objective: ``r sum_i ||x_i - F1 g1_i|| + r sum_ij G2_ij ||t_i - f2_j||^2 + l ||G2 - G1 R||^2 + g (||F1||^2 +
    ||F2||^2 + ||R||^2 + ||G1||^2)`` over image concepts ``F1``, coefficients ``G1``, text topics ``F2``, topic
    membership ``G2`` (0 or 1, half of the topics of each item) and ``R``. The unsquared norm is handled by
    reweighting (``D_ii = 1 / (2 ||e_i||)``); every other step is exact, so the objective falls. A text has the half of
    the topics that are nearest to it; an image the half that its coefficients, mapped by ``R``, favour.

    Deviations: a topic is the shrunk mean of its texts, which is what the objective asks for (the published code takes
    ``T' G2 (G2'G2 + g/r I)^-1``, which belongs to ``||T - G2 F2'||^2``, and retrieves less well); ``g`` is 1 on rows of
    mean squared norm 1 (published code: 1e-4 on unscaled data), without which the image map overfits; an odd number of
    bits has ``bits // 2`` topics an item; topics start from random texts.

    Parameters
    ----------
    bits, random_state
        Length of the codes (at least 2); seed of the first topics and coefficients.
    reconstruction
        ``r``.
    coupling
        ``l``.
    penalty
        ``g``.
    iterations
        Alternations.
    """

    kind: ClassVar[Kind] = "unsupervised"
    ranges: ClassVar[Mapping[str, Range]] = {
        "iterations": AT_LEAST_1,
        "coupling": NOT_NEGATIVE,
        "penalty": NOT_NEGATIVE,
        "reconstruction": NOT_NEGATIVE,
    }

    def __init__(
        self,
        bits: int = 64,
        random_state: int = 0,
        reconstruction: float = 0.5,
        coupling: float = 0.5,
        penalty: float = 1.0,
        iterations: int = 10,
    ) -> None:
        self.bits = bits
        self.random_state = random_state
        self.reconstruction = reconstruction
        self.coupling = coupling
        self.penalty = penalty
        self.iterations = iterations

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        r, coupling, penalty = self.reconstruction, self.coupling, self.penalty
        n, half = len(images), max(1, self.bits // 2)
        topics = texts[rng.choice(n, self.bits, replace=n < self.bits)].T
        topics = topics + 1e-3 * rng.standard_normal(topics.shape)
        members = smallest(squared_distances(texts, topics), half)
        coefficients = rng.standard_normal((n, self.bits)) / np.sqrt(self.bits)
        trust = np.ones(n)
        self.objective_ = []
        for _ in range(self.iterations):
            weighted = coefficients * trust[:, None]
            concepts = linalg.solve(
                coefficients.T @ weighted + penalty / r * np.eye(self.bits), weighted.T @ images, assume_a="pos"
            ).T
            topics = r * texts.T @ members / (r * members.sum(0) + penalty)
            link = ridge(coefficients, members, penalty / coupling)
            wanted = r * trust[:, None] * (images @ concepts) + coupling * members @ link.T
            coefficients = solve_rows(
                r * concepts.T @ concepts, coupling * link @ link.T + penalty * np.eye(self.bits), trust, wanted
            )
            distances = squared_distances(texts, topics)
            members = smallest(r * distances - 2 * coupling * coefficients @ link, half)
            errors = np.linalg.norm(images - coefficients @ concepts.T, axis=1)
            trust = 0.5 / np.maximum(errors, 1e-6)
            norms = sum(np.square(part).sum() for part in (concepts, topics, link, coefficients))
            match = np.square(members - coefficients @ link).sum()
            self.objective_.append(
                float(r * errors.sum() + r * (members * distances).sum() + coupling * match + penalty * norms)
            )
        self.topics_ = topics
        self.image_map_ = concepts @ linalg.solve(
            concepts.T @ concepts + penalty / r * np.eye(self.bits), link, assume_a="pos"
        )

    def _project_image(self, images: np.ndarray) -> np.ndarray:
        return smallest(-(images @ self.image_map_), max(1, self.bits // 2))

    def _project_text(self, texts: np.ndarray) -> np.ndarray:
        return smallest(squared_distances(texts, self.topics_), max(1, self.bits // 2))


def squared_distances(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """From each row ``(n, dims)`` to each column ``(dims, k)``: ``(n, k)``."""
    return np.square(rows).sum(1)[:, None] - 2 * rows @ columns + np.square(columns).sum(0)[None]


def smallest(values: np.ndarray, count: int) -> np.ndarray:
    """1 for the ``count`` smallest entries of each row, 0 for the others; ties by position."""
    order = np.argsort(values, axis=1, kind="stable")[:, :count]
    chosen = np.zeros_like(values)
    np.put_along_axis(chosen, order, 1.0, axis=1)
    return chosen


def solve_rows(first: np.ndarray, second: np.ndarray, trust: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows ``g_i`` with ``g_i (trust_i first + second) = wanted_i`` through one joint diagonalisation."""
    values, vectors = linalg.eigh(first, second)  # vectors' second vectors = I, vectors' first vectors = diag(values)
    return (wanted @ vectors / (trust[:, None] * np.maximum(values, 0)[None] + 1)) @ vectors.T


METHODS = {"stmh": STMH}
