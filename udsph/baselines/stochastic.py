"""Relaxed codes from label similarities, as SePH learns them (relatives of t-SNE)."""

from __future__ import annotations

import numpy as np


def embed(labels: np.ndarray, bits: int, iterations: int, rng: np.random.Generator) -> tuple[np.ndarray, list[float]]:
    """Minimise ``KL(P || Q) + a sum (|z| - 1)^2`` over relaxed codes ``z``.

    ``P`` and ``Q`` are ``n x n``: memory is 3 such matrices.

    Parameters
    ----------
    labels
        float64 ``(n, classes)``, multi-hot.

    Returns
    -------
    codes
        ``(n, bits)``, the best met; their signs are the bits.
    objective
        Of each iteration.
    """
    unit = labels / np.maximum(np.linalg.norm(labels, axis=1, keepdims=True), 1e-12)
    wanted = unit @ unit.T
    np.fill_diagonal(wanted, 0)
    wanted /= max(wanted.sum(), 1e-12)
    n = len(labels)
    pull = 0.01 / bits / n
    codes = 1e-4 * rng.standard_normal((n, bits))
    best, least = codes, np.inf
    step, gains = np.zeros_like(codes), np.ones_like(codes)
    objective = []
    positive = wanted > 0
    entropy = float((wanted[positive] * np.log(wanted[positive])).sum())
    for _ in range(iterations):
        squares = np.square(codes).sum(1)
        near = 1 / (1 + np.maximum(squares[:, None] + squares[None] - 2 * codes @ codes.T, 0) / 4)
        np.fill_diagonal(near, 0)
        total = near.sum()
        cost = entropy - float((wanted[positive] * np.log(near[positive])).sum()) + np.log(total) * wanted.sum()
        cost += pull * np.square(np.abs(codes) - 1).sum()
        objective.append(float(cost))
        if cost < least:
            best, least = codes, cost
        forces = (wanted - near / total) * near
        gradient = forces.sum(1)[:, None] * codes - forces @ codes + 2 * pull * (np.abs(codes) - 1) * np.sign(codes)
        gains = np.maximum(np.where(np.sign(gradient) != np.sign(step), gains + 0.2, gains * 0.8), 0.01)
        step = 0.5 * step - 500 * gains * gradient
        codes = codes + step
        codes = codes - codes.mean(0)
    return best, objective
