"""CMFH: collective matrix factorisation hashing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy import linalg

from udsph.baselines.base import Kind, LinearMethod
from udsph.baselines.inputs import AT_LEAST_1, NOT_NEGATIVE, Range
from udsph.baselines.linalg import regularisation_of


class CMFH(LinearMethod):
    """One latent factor for both views of an item, and linear maps to it.

    Source: G. Ding, Y. Guo, J. Zhou, "Collective matrix factorization hashing for multimodal data", CVPR 2014.

    Objective: ``sum_v a_v ||X_v - V U_v||^2 + mu (||V - X_v W_v||^2 + r_v ||W_v||^2) + g (||V||^2 + ||U_v||^2)`` over
    the factor ``V`` ``(n, bits)``, which starts as noise, the bases ``U_v`` and the maps ``W_v``. Each of the three is
    a ridge regression with the others held, so the objective never rises. Codes are ``sign(X_v W_v)``.

    Deviations: the maps have a penalty ``r_v`` of their own, chosen on held-out pairs (published: ``g`` for all three,
    with which the maps overfit wide views). Views are scaled to the same size, so ``a_v = 1/2`` weighs them equally;
    the published code does not scale them, and on the Wikipedia features the images then have 0.15 of the weight
    (``balance=0.15`` does the same here). The published MATLAB line for ``W`` divides by ``mu`` twice, which this form
    does not. The published results code the database by ``sign(V)``, that is from both views.

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed of the first factor.
    balance
        ``a_1``, the weight of the images; ``a_2`` is the rest of 1.
    coupling
        ``mu``.
    penalty
        ``g``.
    regularisation
        Sets ``r_v``, relative to the mean eigenvalue of ``X_v' X_v``; None chooses it as CVH does.
    iterations
        Alternations.
    """

    kind: ClassVar[Kind] = "unsupervised"
    ranges: ClassVar[Mapping[str, Range]] = {
        "iterations": AT_LEAST_1,
        "balance": Range(0, 1),
        "coupling": NOT_NEGATIVE,
        "penalty": NOT_NEGATIVE,
    }

    def __init__(
        self,
        bits: int = 64,
        random_state: int = 0,
        balance: float = 0.5,
        coupling: float = 100.0,
        penalty: float = 0.01,
        regularisation: float | None = None,
        iterations: int = 50,
    ) -> None:
        self.bits = bits
        self.random_state = random_state
        self.balance = balance
        self.coupling = coupling
        self.penalty = penalty
        self.regularisation = regularisation
        self.iterations = iterations

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        views = (images, texts)
        weights = (self.balance, 1 - self.balance)
        factor = rng.standard_normal((len(images), self.bits))
        amount = regularisation_of(self.regularisation, images, texts, rng)
        ridges = [amount * len(view) / view.shape[1] for view in views]
        grams = [view.T @ view + r * np.eye(view.shape[1]) for view, r in zip(views, ridges, strict=True)]
        inverses = [linalg.inv(gram) for gram in grams]
        sizes = [np.square(view).sum() for view in views]
        eye = np.eye(self.bits)
        square, products = factor.T @ factor, [view.T @ factor for view in views]  # V'V and X_v'V
        self.objective_ = []
        for _ in range(self.iterations):
            bases = [
                linalg.solve(square + self.penalty / a * eye, product.T, assume_a="pos")
                for product, a in zip(products, weights, strict=True)
            ]
            maps = [inverse @ product for product, inverse in zip(products, inverses, strict=True)]
            weight = (2 * self.coupling + self.penalty) * eye
            weight = weight + sum(a * u @ u.T for a, u in zip(weights, bases, strict=True))
            wanted = sum(
                view @ (a * u.T + self.coupling * w) for view, a, u, w in zip(views, weights, bases, maps, strict=True)
            )
            factor = linalg.solve(weight, wanted.T, assume_a="pos").T
            square, products = factor.T @ factor, [view.T @ factor for view in views]
            total = self.penalty * np.trace(square)
            for a, size, gram, product, u, w in zip(weights, sizes, grams, products, bases, maps, strict=True):
                # ||X - V U||^2 and ||V - X W||^2 + r ||W||^2 from the products that are there
                total += a * (size - 2 * np.sum(product * u.T) + np.sum(square * (u @ u.T)))
                total += self.coupling * (np.trace(square) - 2 * np.sum(w * product) + np.sum(w * (gram @ w)))
                total += self.penalty * np.square(u).sum()
            self.objective_.append(float(total))
        self.factor_ = factor
        self.image_weights_, self.text_weights_ = (
            inverse @ product for product, inverse in zip(products, inverses, strict=True)
        )


METHODS = {"cmfh": CMFH}
