"""The linear algebra that several methods share. Rows are items; views are centred."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import svds

from udsph.baselines.inputs import POSITIVE

REGULARISATIONS = (0.01, 0.1, 1.0, 10.0, 100.0)


class Directions(NamedTuple):
    """Paired directions of two views: ``image`` ``(dx, r)``, ``text`` ``(dy, r)``, ``strength`` ``(r,)``, falling."""

    image: np.ndarray
    text: np.ndarray
    strength: np.ndarray


def fix_signs(columns: np.ndarray) -> np.ndarray:
    """Signs ``(r,)`` that make the largest entry of each column positive: eigenvectors are defined up to them."""
    largest = np.abs(columns).argmax(axis=0)
    return np.where(columns[largest, np.arange(columns.shape[1])] < 0, -1.0, 1.0)


def whitener(values: np.ndarray, regularisation: float) -> np.ndarray:
    """The lower Cholesky factor ``L`` of the regularised covariance: ``values @ inv(L).T`` has unit covariance.

    ``regularisation`` is relative to the mean variance of a column.
    """
    return _whitener(values.T @ values / len(values), regularisation)


def _whitener(covariance: np.ndarray, regularisation: float) -> np.ndarray:
    dims = len(covariance)
    ridge = regularisation * max(np.trace(covariance) / dims, np.finfo(float).tiny)
    return linalg.cholesky(covariance + ridge * np.eye(dims), lower=True)


def paired_directions(cross: np.ndarray, image_factor: np.ndarray, text_factor: np.ndarray, count: int) -> Directions:
    """Directions that maximise ``w_x' cross w_y`` with unit variance in both views.

    The generalised eigenproblem ``cross inv(Cyy) cross' w = m^2 Cxx w`` as one singular value decomposition of the
    whitened cross matrix. Directions whose strength is numerically zero are left out, so fewer than ``count`` may
    return.
    """
    whitened = linalg.solve_triangular(image_factor, cross, lower=True)
    whitened = linalg.solve_triangular(text_factor, whitened.T, lower=True).T
    left, strength, right = leading_triplets(whitened, count)
    count = min(count, int((strength > 1e-9 * max(strength[0], 1e-300)).sum()))
    signs = fix_signs(left[:, :count])
    image = linalg.solve_triangular(image_factor, left[:, :count] * signs, lower=True, trans="T")
    text = linalg.solve_triangular(text_factor, right[:count].T * signs, lower=True, trans="T")
    return Directions(image, text, strength[:count])


def leading_triplets(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At least ``count`` leading singular triplets, falling; a few of a large matrix cost a few products with it."""
    smaller = min(matrix.shape)
    if 20 * count > smaller:
        return linalg.svd(matrix, full_matrices=False)
    start = np.random.default_rng(0).standard_normal(smaller)  # ARPACK's own would differ from call to call
    left, strength, right = svds(matrix, k=count, v0=start)
    order = np.argsort(-strength, kind="stable")
    return left[:, order], strength[order], right[order]


def canonical_directions(images: np.ndarray, texts: np.ndarray, count: int, regularisation: float) -> Directions:
    """Regularised canonical correlation analysis: unit-variance directions and their correlations."""
    return _canonical(_covariances(images, texts), count, regularisation)


def _covariances(images: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = len(images)
    return images.T @ texts / n, images.T @ images / n, texts.T @ texts / n


def _canonical(covariances: tuple[np.ndarray, ...], count: int, regularisation: float) -> Directions:
    cross, image, text = covariances
    return paired_directions(cross, _whitener(image, regularisation), _whitener(text, regularisation), count)


def held_out_regularisation(images: np.ndarray, texts: np.ndarray, rng: np.random.Generator) -> float:
    """The regularisation whose canonical directions correlate most on pairs that they were not fitted on.

    A tenth of the pairs (at most 1000) is held out; the sum of the squared correlations of the ten leading directions
    decides between ``REGULARISATIONS``. No labels are involved.
    """
    order = rng.permutation(len(images))
    held, fitted = np.split(order, [min(1000, max(1, len(order) // 10))])
    covariances = _covariances(images[fitted], texts[fitted])
    scores = []
    for amount in REGULARISATIONS:
        found = _canonical(covariances, 10, amount)
        scores.append(np.square(correlations(images[held] @ found.image, texts[held] @ found.text)).sum())
    return REGULARISATIONS[int(np.argmax(scores))]


def regularisation_of(given: float | None, images: np.ndarray, texts: np.ndarray, rng: np.random.Generator) -> float:
    """The regularisation that was asked for, or, where that is None, the one that held-out pairs choose."""
    if given is None:
        return held_out_regularisation(images, texts, rng)
    POSITIVE.check(given, "regularisation")  # or None to choose it on held-out pairs
    return given


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each column of one matrix with the same column of the other."""
    norms = np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
    return (first * second).sum(axis=0) / np.maximum(norms, 1e-12)


def expansion(strength: np.ndarray, bits: int, rng: np.random.Generator) -> np.ndarray:
    """How ``r`` paired directions give ``bits`` bits: a matrix ``(r, bits)`` applied to both views alike.

    Up to ``r`` bits are the directions themselves. Where a method has fewer directions than bits (a view with few
    columns, a similarity of low rank), the remaining bits are random Gaussian mixtures of all directions, each
    weighted by its strength. Every method with this limit fills its bits in this way.
    """
    rank = len(strength)
    if bits <= rank:
        return np.eye(rank)[:, :bits]
    mixtures = rng.standard_normal((rank, bits - rank)) * (strength / strength[0])[:, None]
    return np.concatenate([np.eye(rank), mixtures / np.linalg.norm(mixtures, axis=0)], axis=1)


def ridge(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """``argmin_W ||targets - inputs W||^2 + penalty ||W||^2``, ``(dims, outputs)``."""
    gram = inputs.T @ inputs
    gram.flat[:: len(gram) + 1] += penalty
    return linalg.solve(gram, inputs.T @ targets, assume_a="pos")


def procrustes(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The ``(r, k)`` matrix with orthonormal rows (or columns, if ``k < r``) that best turns inputs into targets."""
    left, _, right = linalg.svd(inputs.T @ targets, full_matrices=False)
    return left @ right


def signs(values: np.ndarray) -> np.ndarray:
    """+1 where positive, -1 elsewhere, as the codes have it (zero is bit 0)."""
    return np.where(values > 0, 1.0, -1.0)
