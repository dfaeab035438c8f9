"""The network of vectors for which there are pairs and no labels: one linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from udsph.models.encoders import Encoded
from udsph.models.networks import Nothing, Outputs

DROPOUT = 0.6  # of the columns; with 0.2 the layer learnt its pairs by heart within five passes (flickr8k, validation)
NEVER = 1e30  # deviation of a column that is constant: whatever it is later, it counts for nothing


class Standardised(nn.Module):
    """A given feature vector, standardised with the statistics of the training split; while training columns drop out.

    A column that is constant in the training split stays 0.
    """

    def __init__(self, dims: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("deviation", torch.ones(dims))
        self.dropout = nn.Dropout(dropout)
        self.part_width = 0

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Mean and standard deviation of each column of the training split."""
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, NEVER))

    def forward(self, vectors: Tensor, lengths: Tensor | None = None) -> Encoded:
        """``vectors``: ``(batch, dims)``."""
        return Encoded(self.dropout((vectors.to(self.mean.dtype) - self.mean) / self.deviation), None, None)


class LinearNetwork(nn.Module):
    """From a vector to the logits of its bits by one linear layer; it says nothing of classes.

    Its features are the logits. :func:`udsph.training.canonical.canonical_codes` gives weights to start from.
    """

    part_width = 0

    def __init__(self, dims: int, bits: int) -> None:
        super().__init__()
        self.encoder = Standardised(dims)
        self.to_code = nn.Linear(dims, bits)
        self.to_classes = Nothing()
        self.width, self.classes = bits, 0

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Outputs:
        logits = self.to_code(self.encoder(values).vector)
        return Outputs(logits, logits, self.to_classes(logits))
