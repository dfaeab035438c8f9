"""ACMR: adversarial cross-modal retrieval, real-valued and binarised."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from udsph.baselines.networks import Batch, DeepMethod
from udsph.data import Modality
from udsph.hamming import pack
from udsph.training.losses import classification


class ACMR(DeepMethod):
    """A common space in which classes are apart and modalities cannot be told.

    Source: B. Wang, Y. Yang, X. Xu, A. Hanjalic, H. T. Shen, "Adversarial cross-modal retrieval", ACM Multimedia 2017.

    Objective: ``classification + w (triplet + adversarial)`` with ``w = 1/100``, the published proportion: a linear
    classifier on both embeddings; a hinge that wants an item's pair nearer than the most similar item of another class
    by a margin, both ways; a modality classifier behind a gradient reversal whose strength grows as ``2 / (1 + exp(-10
    p)) - 1`` over the training.

    The embedding has ``bits`` dimensions. Codes are ``embedding > median over the training items`` per modality;
    :class:`RealACMR` ranks by cosine instead.

    Deviations: the encoders and the optimiser are those of the whole comparison; several labels an item are
    classified by one sigmoid each.
    """

    weight = 0.01  # w; at equal weights the adversary and the hinge undo what the classifier learns
    margin = 0.1

    def _prepare(self, image: Modality, text: Modality, labels: np.ndarray | None) -> nn.Module:
        modality = nn.Sequential(nn.Linear(self.bits, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
        return nn.ModuleDict({"classes": nn.Linear(self.bits, self.classes_), "modality": modality})

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        parts: nn.ModuleDict = self.extra_  # type: ignore[assignment]
        views = {"image": torch.tanh(batch.image.code_logits), "text": torch.tanh(batch.text.code_logits)}
        strength = 2 / (1 + math.exp(-10 * self.progress_)) - 1
        found = {}
        for real, (view, embedded) in enumerate(views.items()):
            logits = parts["classes"](embedded)
            found[f"{view}_classify"] = classification(logits, batch.labels, single=self.single_label_)
            verdict = parts["modality"](reverse(embedded, strength)).squeeze(1)
            guess = F.binary_cross_entropy_with_logits(verdict, torch.full_like(verdict, real))
            found[f"{view}_adversary"] = self.weight * guess
        apart = batch.labels @ batch.labels.T == 0
        found["triplet"] = self.weight * triplet(views["image"], views["text"], apart, self.margin)
        found["triplet_back"] = self.weight * triplet(views["text"], views["image"], apart, self.margin)
        return found

    def _finish(self, image: Modality, text: Modality) -> None:
        """The medians of the training embeddings are the thresholds."""
        self.medians_ = {view: np.median(self._project(view, x), 0) for view, x in (("image", image), ("text", text))}

    def encode_image(self, images: Any) -> np.ndarray:
        """Packed codes of images alone: uint8 ``(n, ceil(bits / 8))``."""
        return pack(self._project("image", images) - self.medians_["image"])

    def encode_text(self, texts: Any) -> np.ndarray:
        """Packed codes of texts alone: uint8 ``(n, ceil(bits / 8))``."""
        return pack(self._project("text", texts) - self.medians_["text"])


class RealACMR(ACMR):
    """ACMR as published: real-valued embeddings, ranked by cosine."""

    real_valued = True

    def embed_image(self, images: Any) -> np.ndarray:
        """Embeddings of images, of Euclidean norm 1: float32 ``(n, bits)``."""
        return unit_rows(np.tanh(self._project("image", images)))

    def embed_text(self, texts: Any) -> np.ndarray:
        """Embeddings of texts, of Euclidean norm 1: float32 ``(n, bits)``."""
        return unit_rows(np.tanh(self._project("text", texts)))


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Rows of Euclidean norm 1."""
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def reverse(values: Tensor, strength: float) -> Tensor:
    """The same values, through which gradients pass with their sign turned and scaled."""
    return (1 + strength) * values.detach() - strength * values


def triplet(anchors: Tensor, others: Tensor, apart: Tensor, margin: float) -> Tensor:
    """Hinge on the cosine of each pair against the most similar item that shares no class."""
    cosine = F.normalize(anchors, dim=1) @ F.normalize(others, dim=1).T
    hardest = cosine.masked_fill(~apart, -torch.inf).amax(1)
    return (margin + hardest - cosine.diagonal()).clamp_min(0).mean()


METHODS = {"acmr": ACMR, "acmr-real": RealACMR}
