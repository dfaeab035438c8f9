"""CMNNH: cross-media hashing with neural networks."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from udsph.baselines.networks import Batch, DeepMethod
from udsph.data import Modality
from udsph.training.losses import classification


class CMNNH(DeepMethod):
    """One network per modality whose hash layer tells the classes, and is the same for both sides of a pair.

    Source: Y. Zhuang, Z. Yu, W. Wang, F. Wu, S. Tang, J. Shao, "Cross-media hashing with neural networks", ACM
    Multimedia 2014. Sure: intra-modal discrimination and inter-modal pairwise correspondence on the hash layer. The
    form below is this project's.

    Objective: ``sum_v classification(C h_v) + a ||h_x - h_y||^2``, with ``h`` the relaxed codes in (-1, 1) and one
    linear classifier ``C`` for both modalities; weight decay by the optimiser. Codes are the signs.
    """

    correspondence = 1.0  # a

    def _prepare(self, image: Modality, text: Modality, labels: np.ndarray | None) -> nn.Module:
        return nn.Linear(self.bits, self.classes_)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        found = {
            view: classification(self.extra_(outputs.codes), batch.labels, single=self.single_label_)
            for view, outputs in (("image", batch.image), ("text", batch.text))
        }
        found["pair"] = self.correspondence * (batch.image.codes - batch.text.codes).square().mean()
        return found


METHODS = {"cmnnh": CMNNH}
