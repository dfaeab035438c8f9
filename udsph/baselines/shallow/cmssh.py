"""CMSSH: cross-modality similarity-sensitive hashing, by boosting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from udsph.baselines.base import Kind, LinearMethod
from udsph.baselines.inputs import AT_LEAST_1, Range
from udsph.baselines.linalg import signs


class CMSSH(LinearMethod):
    """Each bit is a weak classifier of "similar or not" for image-text pairs; boosting reweights the pairs it gets
    wrong.

    Source: M. Bronstein, A. Bronstein, F. Michel, N. Paragios, "Data fusion through cross-modality metric learning
    using similarity-sensitive hashing", CVPR 2010. Derived again from the objective: for pairs ``(x_k, y_k)`` with
    ``s_k = +-1`` and weights ``w_k`` a bit maximises ``r = sum_k w_k s_k sign(p'x_k + a) sign(q'y_k + b)``.

    Steps per bit: ``p``, ``q`` are the leading singular vectors of ``sum_k w_k s_k x_k y_k'`` (signs dropped); ``a``
    and ``b`` are found in turn, each exactly by one sorted sweep; the weights become ``w_k exp(-alpha s_k xi_k
    eta_k)`` with ``alpha = log((1 + r) / (1 - r)) / 2``, and are normalised. The bound ``prod sqrt(1 - r^2)`` on the
    share of misclassified pairs falls with each bit.

    Deviations: pairs are drawn by label (share one: similar), as many similar as not; the sums go through a sparse
    matrix of pair weights, so their cost hardly depends on the number of pairs.

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed of the drawn pairs.
    pairs
        How many pairs are drawn.
    sweeps
        How often the two offsets are improved in turn.
    """

    kind: ClassVar[Kind] = "supervised"
    supervised = True
    ranges: ClassVar[Mapping[str, Range]] = {"pairs": AT_LEAST_1, "sweeps": AT_LEAST_1}

    def __init__(self, bits: int = 64, random_state: int = 0, pairs: int = 100_000, sweeps: int = 2) -> None:
        self.bits = bits
        self.random_state = random_state
        self.pairs = pairs
        self.sweeps = sweeps

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        assert labels is not None
        rows, columns, similar = draw_pairs(labels, self.pairs, rng)
        weights = np.full(len(similar), 1 / len(similar))
        shape = (len(images), len(texts))
        self.bound_: list[float] = []
        found = []
        for _ in range(self.bits):
            weighted = sparse.csr_array((weights * similar, (rows, columns)), shape=shape)
            p, q = leading_pair(images.T @ (weighted @ texts))
            x, y = images @ p, texts @ q
            a = b = 0.0
            for _ in range(self.sweeps):
                a = best_offset(x, weighted @ signs(y + b))
                b = best_offset(y, weighted.T @ signs(x + a))
            agreement = similar * signs(x + a)[rows] * signs(y + b)[columns]
            r = float(np.clip(weights @ agreement, -1 + 1e-9, 1 - 1e-9))
            weights = weights * np.exp(-0.5 * np.log((1 + r) / (1 - r)) * agreement)
            weights = weights / weights.sum()
            self.bound_.append(float(np.sqrt(1 - r * r)) * (self.bound_[-1] if self.bound_ else 1.0))
            found.append((p, q, a, b))
        image, text, image_offsets, text_offsets = (np.stack(parts, -1) for parts in zip(*found, strict=True))
        self.image_weights_, self.image_offsets_ = image, image_offsets
        self.text_weights_, self.text_offsets_ = text, text_offsets

    def _project_image(self, images: np.ndarray) -> np.ndarray:
        return super()._project_image(images) + self.image_offsets_

    def _project_text(self, texts: np.ndarray) -> np.ndarray:
        return super()._project_text(texts) + self.text_offsets_


def draw_pairs(labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image rows, text rows and ``+-1`` of about ``count`` pairs, half of them similar (share a label).

    Dissimilar pairs are drawn at random; a similar pair of a random item comes from a random one of its classes.
    """
    half, n = max(1, count // 2), len(labels)
    rows, columns = rng.integers(0, n, (2, half))
    apart = np.einsum("ij,ij->i", labels[rows], labels[columns]) == 0
    labelled = np.flatnonzero(labels.sum(1) > 0)
    anchors = rng.choice(labelled, half)
    choice = (labels[anchors] * rng.random((half, labels.shape[1]))).argmax(1)
    partners = np.empty(half, dtype=np.int64)
    for label in np.unique(choice):
        of_label = choice == label
        partners[of_label] = rng.choice(np.flatnonzero(labels[:, label]), of_label.sum())
    similar = np.concatenate([np.ones(half), np.full(int(apart.sum()), -1.0)])
    return np.concatenate([anchors, rows[apart]]), np.concatenate([partners, columns[apart]]), similar


def leading_pair(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The leading singular vectors, with the sign fixed by the largest entry of the left one."""
    if min(matrix.shape) <= 2:
        left, _, right = np.linalg.svd(matrix, full_matrices=False)
    else:
        left, _, right = svds(matrix, k=1, v0=np.ones(min(matrix.shape)), solver="arpack")
    p, q = left[:, 0], right[0]
    return (-p, -q) if p[np.abs(p).argmax()] < 0 else (p, q)


def best_offset(projections: np.ndarray, votes: np.ndarray) -> float:
    """The ``a`` that maximises ``votes @ sign(projections + a)``, exactly: one sort, one running sum."""
    order = np.argsort(projections, kind="stable")
    ordered = projections[order]
    above = votes.sum() - 2 * np.concatenate([[0.0], np.cumsum(votes[order])])  # value with the first j items below
    edges = np.concatenate([[ordered[0] - 1.0], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1.0]])
    return -float(edges[above.argmax()])


METHODS = {"cmssh": CMSSH}
