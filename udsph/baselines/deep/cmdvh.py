"""CMDVH: cross-modal deep variational hashing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from udsph.baselines.networks import Batch, DeepMethod
from udsph.data import Modality
from udsph.data.directions import MODALITIES
from udsph.encoding.batches import read
from udsph.models import Outputs
from udsph.models.networks import WIDTH
from udsph.training.losses import bit_likelihood, classification

LATENT = 128


class CMDVH(DeepMethod):
    """A fusion network learns one code for each pair; each modality then infers it through a latent variable.

    Source: V. E. Liong, J. Lu, Y.-P. Tan, J. Zhou, "Cross-modal deep variational hashing", ICCV 2017. Sure from its
    abstract: a fusion network learns joint binary codes that discriminate the classes, and modality-specific networks
    with a probabilistic latent variable close to a Gaussian prior are trained towards them. The equations are this
    project's.

    Objective: (1) the features of both encoders joined give relaxed codes ``h``: ``classification(C h) + q ||h - sign
    h||^2``; (2) each modality infers ``z ~ N(m, s^2)`` and predicts the bits ``b = sign h``: ``BCE(b | z) + k KL(N(m,
    s^2) || N(0, 1))``. Codes are the signs of the logits at ``z = m``.

    Deviations: the two stages are trained side by side, the second on the detached codes of the first, instead of one
    after the other.
    """

    quantisation = 0.1  # q
    divergence = 0.01  # k

    def _prepare(self, image: Modality, text: Modality, labels: np.ndarray | None) -> nn.Module:
        self.fusion_ = self._networks(image, text)
        parts = {
            "code": nn.Linear(2 * WIDTH, self.bits),
            "classes": nn.Linear(self.bits, self.classes_),
            "encoders": self.fusion_,
        }
        for view in MODALITIES:
            parts[f"{view}_latent"] = nn.Linear(WIDTH, 2 * LATENT)
            parts[f"{view}_bits"] = nn.Linear(LATENT, self.bits)
        return nn.ModuleDict(parts)

    def _batch(self, image: Modality, text: Modality, labels: np.ndarray, rows: np.ndarray) -> Batch:
        image_rows, text_rows = read(image, rows, self.device_), read(text, rows, self.device_)
        self.fused_ = self._forward(self.fusion_, image_rows, text_rows)
        return super()._batch(image, text, labels, rows)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        parts: nn.ModuleDict = self.extra_  # type: ignore[assignment]
        logits = parts["code"](torch.cat([outputs.features for outputs in self.fused_], 1))
        codes = torch.tanh(logits)
        found = {
            "fusion": classification(parts["classes"](codes), batch.labels, single=self.single_label_),
            "quantise": self.quantisation * (codes.abs() - 1).square().mean(),
        }
        bits = (logits.detach() > 0).float()
        for view, outputs in (("image", batch.image), ("text", batch.text)):
            mean, log_variance = parts[f"{view}_latent"](outputs.features).chunk(2, 1)
            log_variance = log_variance.clamp(-10, 10)
            latent = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            found[f"{view}_bits"] = bit_likelihood(parts[f"{view}_bits"](latent), bits)
            divergence = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).mean()
            found[f"{view}_divergence"] = self.divergence * divergence
        return found

    def _logits(self, view: str, outputs: Outputs) -> Tensor:
        parts: nn.ModuleDict = self.extra_.eval()  # type: ignore[assignment]
        mean = parts[f"{view}_latent"](outputs.features).chunk(2, 1)[0]
        return parts[f"{view}_bits"](mean)


METHODS = {"cmdvh": CMDVH}
