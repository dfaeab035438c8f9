"""DCMH: deep cross-modal hashing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from udsph.baselines.networks import Batch, DeepMethod
from udsph.data import Modality
from udsph.data.directions import MODALITIES


class DCMH(DeepMethod):
    """Inner products of image and text outputs follow the shared labels, by pairwise likelihood.

    Source: Q.-Y. Jiang, W.-J. Li, "Deep cross-modal hashing", CVPR 2017.

    Objective: ``-sum_ij (S_ij t_ij - log(1 + exp t_ij)) + g (||B - F||^2 + ||B - G||^2) + e (||F 1||^2 + ||G 1||^2)``
    with ``t_ij = 1/2 <f_i, g_j>``, ``F`` and ``G`` the outputs of the image and the text network for all training
    items, and ``B = sign(F + G)``. A batch compares its items with the remembered outputs of all training items of
    the other modality, as the published code does; the memory is refreshed batch by batch.

    Deviations: both networks take a step on each batch (published: a pass of one, then of the other); AdamW instead of
    plain SGD; every term is a mean; the encoders are those of the whole comparison.
    """

    quantisation = 0.1  # g, of means
    balance = 0.1  # e, of means

    def _prepare(self, image: Modality, text: Modality, labels: np.ndarray | None) -> nn.Module:
        assert labels is not None
        memory = nn.Module()
        for view in MODALITIES:
            memory.register_buffer(view, torch.randn(len(image), self.bits))
        memory.register_buffer("labels", torch.from_numpy(labels).float())
        return memory

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        memory = self.extra_
        image, text = batch.image.code_logits, batch.text.code_logits
        memory.image[batch.rows], memory.text[batch.rows] = image.detach(), text.detach()  # type: ignore[operator, index]
        similar = (batch.labels @ memory.labels.T > 0).float()  # type: ignore[operator, union-attr]
        codes = torch.where(image.detach() + text.detach() > 0, 1.0, -1.0)
        found = {}
        for view, outputs, others in (("image", image, memory.text), ("text", text, memory.image)):
            theta = outputs @ others.T / 2  # type: ignore[operator, union-attr]
            found[f"{view}_pairwise"] = (F.softplus(theta) - similar * theta).mean()
            found[f"{view}_quantise"] = self.quantisation * (codes - outputs).square().mean()
            found[f"{view}_balance"] = self.balance * outputs.mean(0).square().mean()
        return found


METHODS = {"dcmh": DCMH}
