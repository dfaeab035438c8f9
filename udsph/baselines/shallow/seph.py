"""SePH: semantics-preserving hashing with kernel logistic regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.cluster import KMeans

from udsph.baselines.base import Kind, ShallowMethod
from udsph.baselines.inputs import AT_LEAST_1, NOT_NEGATIVE, POSITIVE, Range
from udsph.baselines.stochastic import embed
from udsph.hamming import pack


class SePH(ShallowMethod):
    """Codes whose distances follow the label similarities as probabilities; each bit is then predicted from either
    view.

    Source: Z. Lin, G. Ding, M. Hu, J. Wang, "Semantics-preserving hashing for cross-view retrieval", CVPR 2015.

    Step 1, codes of the training pairs: ``P`` is the cosine of label rows, ``Q_ij`` proportional to ``1 / (1 + ||z_i
    - z_j||^2 / 4)``, both without diagonal and summing to 1; ``KL(P || Q)`` plus a term that draws ``|z|`` to 1 is
    minimised over ``z`` by gradient descent, and ``sign(z)`` are the codes
    (:func:`udsph.baselines.stochastic.embed`).

    Step 2, hash functions: for each view a kernel logistic regression per bit, on the RBF kernel to ``centres``
    k-means centres; all bits of a view are one convex problem, solved by L-BFGS. An item's bit is 1 where its
    log-odds are positive.

    The paper gives database items that are seen in both views the fused code, :meth:`encode_pair`; the comparison codes
    each view alone.

    Deviations: the published kernel width is the mean squared distance, here it is ``width`` of that; step 1 costs
    ``n^2``, so at most ``samples`` pairs are used, drawn at random, and the predictors are fitted on those.

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed of the sample, the first codes and the centres.
    centres
        K-means centres of each view.
    width
        Squared width of the kernel, relative to the mean squared distance of two training items.
    penalty
        Of the logistic regressions: half the squared norm of the weights, against the sum over the pairs.
    iterations
        Of step 1.
    samples
        Most pairs that are used.
    """

    kind: ClassVar[Kind] = "supervised"
    supervised = True
    ranges: ClassVar[Mapping[str, Range]] = {
        "iterations": AT_LEAST_1,
        "samples": Range(2, whole=True),
        "centres": AT_LEAST_1,
        "width": POSITIVE,
        "penalty": NOT_NEGATIVE,
    }

    def __init__(
        self,
        bits: int = 64,
        random_state: int = 0,
        centres: int = 500,
        width: float = 0.1,
        penalty: float = 0.01,
        iterations: int = 100,
        samples: int = 5000,
    ) -> None:
        self.bits = bits
        self.random_state = random_state
        self.centres = centres
        self.width = width
        self.penalty = penalty
        self.iterations = iterations
        self.samples = samples

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        assert labels is not None
        if len(images) > self.samples:
            index = np.sort(rng.choice(len(images), self.samples, replace=False))
            images, texts, labels = images[index], texts[index], labels[index]
        relaxed, self.objective_ = embed(labels, self.bits, self.iterations, rng)
        ones = relaxed > 0
        self.prior_ = (ones.mean(axis=0) * len(ones) + 1) / (len(ones) + 2)
        self.image_model_ = KernelLogistic(images, ones, self.centres, self.width, self.penalty, self.random_state)
        self.text_model_ = KernelLogistic(texts, ones, self.centres, self.width, self.penalty, self.random_state)

    def _project_image(self, images: np.ndarray) -> np.ndarray:
        return self.image_model_(images)

    def _project_text(self, texts: np.ndarray) -> np.ndarray:
        return self.text_model_(texts)

    def encode_pair(self, images: Any, texts: Any) -> np.ndarray:
        """Packed codes of items seen in both views: ``p(b | x, y)`` proportional to ``p(b | x) p(b | y) / p(b)``."""
        self._check_fitted()
        odds = self.image_model_(self.image_view_(self.image_features_(images)))
        odds = odds + self.text_model_(self.text_view_(self.text_features_(texts)))
        return pack(odds - np.log(self.prior_ / (1 - self.prior_)))


class KernelLogistic:
    """Logistic regressions of many bits on one RBF kernel to k-means centres.

    Parameters
    ----------
    values
        ``(n, dims)``.
    bits
        bool ``(n, bits)``, what to predict.
    """

    def __init__(
        self, values: np.ndarray, bits: np.ndarray, centres: int, width: float, penalty: float, seed: int
    ) -> None:
        count = min(centres, len(np.unique(values, axis=0)))
        self.centres = KMeans(count, n_init=1, max_iter=50, random_state=seed).fit(values).cluster_centers_
        self.width = (
            width * 2 * float(np.square(values).sum(1).mean())
        )  # the mean squared distance of two items, scaled
        features = self._kernel(values)
        targets = bits.astype(np.float64)
        n, (rows, columns) = len(values), (features.shape[1], targets.shape[1])

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weights = flat.reshape(rows, columns)
            odds = features @ weights
            value = np.logaddexp(0, odds).sum() - (targets * odds).sum() + 0.5 * penalty * np.square(weights).sum()
            gradient = features.T @ (expit(odds) - targets) + penalty * weights
            return float(value) / n, (gradient / n).ravel()

        found = minimize(loss, np.zeros(rows * columns), jac=True, method="L-BFGS-B", options={"maxiter": 200})
        self.weights = found.x.reshape(rows, columns)

    def _kernel(self, values: np.ndarray) -> np.ndarray:
        """RBF kernel to the centres, and a constant column: ``(n, centres + 1)``."""
        squares = np.square(values).sum(1)[:, None] - 2 * values @ self.centres.T + np.square(self.centres).sum(1)[None]
        kernel = np.exp(-np.maximum(squares, 0) / (2 * self.width))
        return np.concatenate([kernel, np.ones((len(values), 1))], axis=1)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Log-odds ``(n, bits)``."""
        return self._kernel(values) @ self.weights


METHODS = {"seph": SePH}
