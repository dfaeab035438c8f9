"""Encoders: items of one kind of data in, local parts and one global vector out.

Every encoder returns :class:`Encoded`. ``parts`` are what attention looks at: the grid cells of a convolutional map,
given regions, or words. Feature vectors as a whole have no local parts; :class:`VectorEncoder` says what stands in.
An encoder's ``part_width`` is 0 where it has none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from udsph.models.layers import GroupedLinear


class Encoded(NamedTuple):
    """What an encoder makes of a batch.

    Attributes
    ----------
    vector
        ``(batch, width)``, the global description from which features and codes are computed.
    parts
        ``(batch, parts, part_width)`` local descriptions, or None where the data have none.
    lengths
        int64 ``(batch,)``, how many of the parts are valid, or None where all are.
    standard
        ``(batch, dims)``, of given vectors: the standardised columns, some of which have dropped out.
    """

    vector: Tensor
    parts: Tensor | None
    lengths: Tensor | None
    standard: Tensor | None = None


class PixelEncoder(nn.Module):
    """A small residual network for images of about 64 x 64 pixels; the cells of its last map are the regions.

    Three halvings take 64 x 64 pixels to an 8 x 8 map of ``4 * channels``. The global vector joins the mean and the
    maximum over the map, so that "how much" and "whether anywhere" are both there.
    """

    def __init__(self, width: int, part_width: int, channels: int = 16) -> None:
        super().__init__()
        self.part_width, c = part_width, channels
        self.stem = nn.Sequential(_convolution(3, c, kernel=5, stride=2), _convolution(c, 2 * c, stride=2))
        self.body = nn.Sequential(
            Residual(2 * c), _convolution(2 * c, 4 * c, stride=2), Residual(4 * c), Residual(4 * c)
        )
        self.to_parts = nn.Linear(4 * c, part_width)
        self.to_vector = nn.Sequential(nn.Linear(8 * c, width), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, pixels: Tensor, lengths: Tensor | None = None) -> Encoded:
        """``pixels``: uint8 ``(batch, height, width, 3)``."""
        images = pixels.permute(0, 3, 1, 2).to(self.to_parts.weight.dtype).div(127.5).sub(1)
        cells = self.body(self.stem(images)).flatten(2)
        joined = torch.cat([cells.mean(2), cells.amax(2)], 1)
        return Encoded(self.to_vector(joined), self.to_parts(cells.transpose(1, 2)), None)


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input is led."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.layers(maps))


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class VectorEncoder(nn.Module):
    """Layers on a given feature vector, which is standardised with the statistics of the training split.

    With ``scales`` the vector is a bag of words, described at several scales: a narrow bottleneck keeps the few broad
    topics, a wide one the single words; the descriptions are fused. (SSAH pools neighbouring columns instead, which
    supposes that the order of the columns means something.) The mean variance of all columns is added to that of each,
    so that a word which a handful of texts have does not outweigh the others a hundredfold.

    The parts are the ``parts`` largest standardised columns of an item, each a learnt embedding of the column,
    scaled by its value: visual words of an image, words of a text. Their mean joins the hidden layer, so that what
    attention teaches the embeddings reaches the codes.
    """

    def __init__(
        self,
        dims: int,
        width: int,
        part_width: int,
        *,
        scales: tuple[int, ...] = (),
        dropout: float = 0.1,
        hidden_dropout: float = 0.5,
        parts: int = 0,
        groups: int = 1,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("deviation", torch.ones(dims))
        self.dropout = nn.Dropout(dropout)
        hidden = hidden or 2 * width
        self.direct = nn.Linear(dims, hidden)
        self.scales = nn.ModuleList(
            nn.Sequential(nn.Linear(dims, scale), nn.BatchNorm1d(scale), nn.ReLU(), nn.Linear(scale, hidden))
            for scale in scales
        )
        self.fuse = nn.Sequential(nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(hidden_dropout))
        self.to_vector = nn.Sequential(GroupedLinear(hidden, width, groups), nn.BatchNorm1d(width), nn.ReLU())
        self.parts = min(parts, dims)
        self.part_width = part_width if self.parts else 0
        if self.parts:
            self.columns = nn.Embedding(dims, part_width)
            self.from_parts = nn.Linear(part_width, hidden, bias=False)

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Mean and standard deviation of each column of the training split."""
        self.mean.copy_(mean)
        if self.scales:
            deviation = (deviation.square() + deviation.square().mean()).sqrt()
        self.deviation.copy_(deviation.clamp_min(1e-6))

    def forward(self, vectors: Tensor, lengths: Tensor | None = None) -> Encoded:
        """``vectors``: ``(batch, dims)``."""
        standard = (vectors.to(self.mean.dtype) - self.mean) / self.deviation
        x = self.dropout(standard)
        hidden = self.direct(x)
        for scale in self.scales:
            hidden = hidden + scale(x)
        parts = self._largest_columns(standard)
        if parts is not None:
            hidden = hidden + self.from_parts(parts.mean(1))
        return Encoded(self.to_vector(self.fuse(hidden)), parts, None, x)

    def _largest_columns(self, standard: Tensor) -> Tensor | None:
        if not self.parts:
            return None
        values, columns = standard.topk(self.parts, dim=1)
        return self.columns(columns) * values.clamp(0.1, 5.0).unsqueeze(2)


class RegionEncoder(nn.Module):
    """Sets of given local features: each through one layer; mean and maximum over the valid ones.

    ``hidden`` is the width of that layer, which sees every region and so costs the most.
    """

    def __init__(self, dims: int, width: int, part_width: int, *, hidden: int = 512, dropout: float = 0.2) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("deviation", torch.ones(dims))
        self.part_width = part_width
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(dims, hidden), nn.ReLU())
        self.to_parts = nn.Linear(hidden, part_width)
        self.to_vector = nn.Sequential(nn.Linear(2 * hidden, width), nn.BatchNorm1d(width), nn.ReLU())

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Mean and standard deviation of each dimension over the valid parts of the training split."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp_min(1e-6))

    def forward(self, regions: Tensor, lengths: Tensor | None = None) -> Encoded:
        """``regions``: ``(batch, parts, dims)``, ``lengths`` of them valid."""
        hidden = self.layers((regions.to(self.mean.dtype) - self.mean) / self.deviation)
        valid = valid_parts(hidden, lengths)
        joined = torch.cat([masked_mean(hidden, valid), masked_maximum(hidden, valid)], 1)
        return Encoded(self.to_vector(joined), self.to_parts(hidden), lengths)


class TokenEncoder(nn.Module):
    """Words of a sentence: an embedding and a multi-scale fusion of the bag of words.

    Scale 1 is the bag of single words. A larger scale describes runs of neighbouring words (a convolution over 3 or
    5 of them), which tells "red star, blue box" from "blue star, red box". The maximum over the sentence of each
    scale is fused into one vector. The parts are the words with their nearest neighbours mixed in.
    """

    def __init__(
        self, vocabulary: int, width: int, part_width: int, *, scales: tuple[int, ...] = (1, 3, 5), dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.part_width = part_width
        self.embedding = nn.Embedding(vocabulary, part_width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.context = nn.Conv1d(part_width, part_width, 3, padding=1)
        channels = width // 4
        self.scales = nn.ModuleList(nn.Conv1d(part_width, channels, scale, padding=scale // 2) for scale in scales)
        self.to_vector = nn.Sequential(
            nn.Linear(channels * len(scales) + part_width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2)
        )

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Encoded:
        """``tokens``: int ``(batch, longest)``, 0 is padding; ``lengths`` of them valid."""
        tokens = tokens.long()
        if lengths is None:
            lengths = (tokens != 0).sum(1)
        lengths = lengths.clamp_min(1)
        tokens = tokens[:, : int(lengths.max())]
        words = self.dropout(self.embedding(tokens))
        valid = valid_parts(words, lengths)
        words = words * valid.unsqueeze(2)
        sequence = words.transpose(1, 2)
        views = [masked_mean(words, valid)]
        views += [masked_maximum(F.relu(scale(sequence)).transpose(1, 2), valid) for scale in self.scales]
        parts = words + F.relu(self.context(sequence)).transpose(1, 2)
        return Encoded(self.to_vector(torch.cat(views, 1)), parts, lengths)


def valid_parts(parts: Tensor, lengths: Tensor | None) -> Tensor:
    """Which of the parts are valid: bool ``(batch, parts)``. An item without any keeps its first, which is padding."""
    count = parts.shape[1]
    if lengths is None:
        return torch.ones(parts.shape[:2], dtype=torch.bool, device=parts.device)
    return torch.arange(count, device=parts.device) < lengths.clamp_min(1).unsqueeze(1)


def masked_mean(parts: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid parts: ``(batch, dims)``."""
    weights = valid.unsqueeze(2).to(parts.dtype)
    return (parts * weights).sum(1) / weights.sum(1)


def masked_maximum(parts: Tensor, valid: Tensor) -> Tensor:
    """Maximum over the valid parts: ``(batch, dims)``."""
    return parts.masked_fill(~valid.unsqueeze(2), -torch.inf).amax(1)
