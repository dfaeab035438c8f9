"""IMH: inter-media hashing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.neighbors import kneighbors_graph

from udsph.baselines.base import Kind, LinearMethod
from udsph.baselines.inputs import AT_LEAST_1, NOT_NEGATIVE, Range
from udsph.baselines.linalg import correlations, expansion, fix_signs, regularisation_of, ridge

LEAST_AGREEMENT = 0.1  # held-out correlation below which a direction counts as unpredictable


class IMH(LinearMethod):
    """Spectral codes that both views can predict linearly and that keep the neighbourhoods inside each view.

    Source: J. Song, Y. Yang, Y. Yang, Z. Huang, H. T. Shen, "Inter-media hashing for large-scale retrieval from
    heterogeneous data sources", SIGMOD 2013. With all items seen in both views the two code matrices are one, ``F``.

    Objective: ``min_F tr F' (A_1 + A_2 + l (N_1 + N_2)) F`` with ``F'F = I``, where ``A_v = I - X_v (X_v'X_v + b
    I)^-1 X_v'`` is what a ridge regression on view v cannot explain and ``N_v`` the normalised Laplacian of its
    k-nearest-neighbour graph. ``F`` are the smallest eigenvectors apart from the constant one; ``W_v`` is the ridge
    regression onto ``F``. A bit is ``x W_v`` above its median over the training items.

    Neither ``A_v`` nor ``N_v`` is formed as an ``n x n`` matrix: Lanczos iterations need products only.

    Deviations: at most ``samples`` pairs are used, drawn at random, because the neighbour graphs cost ``n^2``. Many
    spectral directions can be predicted from one view only and then add noise: those whose predictions from both
    views do not correlate on a held-out tenth of the pairs are left out, and their bits are filled as
    :func:`udsph.baselines.linalg.expansion` says.

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed of the sample and of the Lanczos start.
    smoothness
        ``l``.
    regularisation
        ``b``, relative to the mean eigenvalue of ``X_v' X_v``; None chooses it as CVH does.
    neighbours
        Of the graphs.
    samples
        Most pairs that are used.
    """

    kind: ClassVar[Kind] = "unsupervised"
    ranges: ClassVar[Mapping[str, Range]] = {
        "neighbours": AT_LEAST_1,
        "samples": Range(2, whole=True),
        "smoothness": NOT_NEGATIVE,
    }

    def __init__(
        self,
        bits: int = 64,
        random_state: int = 0,
        smoothness: float = 1.0,
        regularisation: float | None = None,
        neighbours: int = 10,
        samples: int = 5000,
    ) -> None:
        self.bits = bits
        self.random_state = random_state
        self.smoothness = smoothness
        self.regularisation = regularisation
        self.neighbours = neighbours
        self.samples = samples

    def _learn(
        self, images: np.ndarray, texts: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
    ) -> None:
        if len(images) > self.samples:
            index = np.sort(rng.choice(len(images), self.samples, replace=False))
            images, texts = images[index], texts[index]
        amount = regularisation_of(self.regularisation, images, texts, rng)
        held, fitted = np.split(rng.permutation(len(images)), [len(images) // 10])
        views = (images[fitted], texts[fitted])
        penalties = tuple(amount * len(view) / view.shape[1] for view in views)
        codes = self._spectral_codes(views, penalties, rng)
        image, text = (ridge(view, codes, penalty) for view, penalty in zip(views, penalties, strict=True))
        agreement = correlations(images[held] @ image, texts[held] @ text)
        kept = np.argsort(-agreement, kind="stable")[: max(1, int((agreement > LEAST_AGREEMENT).sum()))]
        mixing = expansion(np.maximum(agreement[kept], 1e-6), self.bits, rng)
        self.image_weights_, self.text_weights_ = image[:, kept] @ mixing, text[:, kept] @ mixing
        self.image_medians_ = np.median(images @ self.image_weights_, axis=0)
        self.text_medians_ = np.median(texts @ self.text_weights_, axis=0)

    def _spectral_codes(
        self, views: tuple[np.ndarray, ...], penalties: tuple[float, ...], rng: np.random.Generator
    ) -> np.ndarray:
        """The eigenvectors in falling order, orthogonal to the constant vector.

        No more than the narrower view has columns: of the others one view can say nothing.
        """
        n = len(views[0])
        graphs = [self._laplacian(view) for view in views]
        solved = [
            linalg.cho_factor(view.T @ view + penalty * np.eye(view.shape[1]))
            for view, penalty in zip(views, penalties, strict=True)
        ]

        def explained(vectors: np.ndarray) -> np.ndarray:  # smallest of the objective = largest of this
            vectors = vectors - vectors.mean(0)
            total = 4 * self.smoothness * vectors  # shifts the Laplacians, whose eigenvalues reach 2 each
            for view, factor, graph in zip(views, solved, graphs, strict=True):
                total = total + view @ linalg.cho_solve(factor, view.T @ vectors) - self.smoothness * (graph @ vectors)
            return total - total.mean(0)

        count = min(self.bits, n - 1, *(view.shape[1] for view in views))
        if count >= n - 1 or n <= 64:
            values, vectors = linalg.eigh(explained(np.eye(n)))
        else:
            operator = LinearOperator((n, n), matvec=explained, matmat=explained, dtype=np.float64)
            values, vectors = eigsh(operator, k=count, which="LA", v0=rng.standard_normal(n))
        vectors = vectors[:, np.argsort(-values, kind="stable")[:count]]
        return vectors * fix_signs(vectors) * np.sqrt(n)

    def _laplacian(self, view: np.ndarray) -> sparse.csr_array:
        norms = np.linalg.norm(view, axis=1, keepdims=True)
        graph = kneighbors_graph(view / np.maximum(norms, 1e-12), min(self.neighbours, len(view) - 1))
        return sparse.csr_array(laplacian(graph.maximum(graph.T), normed=True))

    def _project_image(self, images: np.ndarray) -> np.ndarray:
        return super()._project_image(images) - self.image_medians_

    def _project_text(self, texts: np.ndarray) -> np.ndarray:
        return super()._project_text(texts) - self.text_medians_


METHODS = {"imh": IMH}
