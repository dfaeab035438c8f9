"""Attention inside an encoder: each class looks at the local parts of one item, and what it finds there feeds the code.

A query per class is learnt and shared by both modalities, so that "dog" asks image cells and words with one vector; all
other layers are each modality's own. A code still comes from one item of one modality.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from udsph.models.encoders import valid_parts

FORMS = ("label", "uniform", "none")
SHARPNESS = 8.0  # at the start, of the softmax over cosines
MOST_COLUMNS = 4096  # attended columns that one full layer reads; of more it has a bottleneck
RANK = 256  # of that bottleneck


class Attended(NamedTuple):
    """What the classes find among the parts of a batch.

    Attributes
    ----------
    logits
        ``(batch, classes)``, one per class from the vector that it attended to.
    weights
        ``(batch, classes, parts)``, not negative, 1 in total over the valid parts of an item; 0 elsewhere.
    """

    logits: Tensor
    weights: Tensor


def attend(queries: Tensor, parts: Tensor, valid: Tensor | None, sharpness: Tensor | float) -> tuple[Tensor, Tensor]:
    """Mean of an item's valid parts for each query, weighted by the softmax of ``sharpness`` times their cosine.

    Parameters
    ----------
    queries
        ``(classes, dims)``.
    parts
        ``(batch, parts, dims)``.
    valid
        bool ``(batch, parts)``; None: all. An item without a valid part gives weights and vectors of 0.
    sharpness
        0 weighs all valid parts alike.

    Returns
    -------
    tuple of torch.Tensor
        Attended vectors ``(batch, classes, dims)`` and weights ``(batch, classes, parts)``.
    """
    # One product for all parts; their norms divide the scores, of which there are fewer than columns.
    products = (parts.flatten(0, 1) @ F.normalize(queries, dim=-1).T).unflatten(0, parts.shape[:2]).transpose(1, 2)
    scores = products.float() * (sharpness / parts.float().norm(dim=2).clamp_min(1e-12)).unsqueeze(1)
    if valid is None:
        weights = scores.softmax(2)
    else:
        weights = scores.masked_fill(~valid.unsqueeze(1), torch.finfo(torch.float32).min).softmax(2)
        weights = weights * valid.unsqueeze(1)
    return weights.to(parts.dtype) @ parts, weights


def reference(queries: Tensor, parts: Tensor, valid: Tensor, sharpness: Tensor | float) -> tuple[Tensor, Tensor]:
    """The same as :func:`attend`, an item, a class and a part at a time."""
    items = []
    for item, mask in zip(parts, valid, strict=True):
        for query in queries:
            weights = item.new_zeros(len(item))
            kept = [k for k in range(len(item)) if bool(mask[k])]
            if kept:
                cosines = [
                    query @ item[k] / (query.norm().clamp_min(1e-12) * item[k].norm().clamp_min(1e-12)) for k in kept
                ]
                powers = torch.stack([sharpness * cosine for cosine in cosines]).exp()
                weights = weights.index_put((torch.tensor(kept),), powers / powers.sum())
            found = sum((weight * part for weight, part in zip(weights, item, strict=True)), torch.zeros_like(item[0]))
            items.append((found, weights))
    shape = len(parts), len(queries), -1
    return torch.stack([found for found, _ in items]).view(shape), torch.stack([w for _, w in items]).view(shape)


class ClassQueries(nn.Module):
    """One learnt query for each class, of which both modalities use the same."""

    def __init__(self, classes: int, part_width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, part_width) / math.sqrt(part_width))


class ClassAttention(nn.Module):
    """The part of a modality network between its local parts and its features.

    Parameters
    ----------
    queries
        The pair's, which is not counted among this module's parameters.
    width
        Columns of the features to which the attended vectors are added.
    uniform
        Weigh all valid parts alike: the same layers without attention, as a control.
    """

    def __init__(self, queries: ClassQueries, width: int, *, uniform: bool = False) -> None:
        super().__init__()
        self.shared, self.uniform = (queries,), uniform  # a tuple hides it: the pair owns it, and stores it once
        classes, dims = queries.weight.shape
        self.to_parts = nn.Sequential(nn.LayerNorm(dims), nn.Linear(dims, dims))
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)), requires_grad=not uniform)
        # A class is first read off by what was asked: what resembles its query speaks for it.
        self.to_logits = nn.Parameter(queries.weight.detach().clone())
        self.bias = nn.Parameter(torch.zeros(classes))
        columns = classes * dims
        narrow = columns > MOST_COLUMNS and width > RANK  # as wide as the features it would save nothing
        layers: list[nn.Module] = [nn.BatchNorm1d(columns)]
        if narrow:
            layers.append(nn.Linear(columns, RANK, bias=False))
        layers.append(nn.Linear(RANK if narrow else columns, width, bias=False))
        self.to_features = nn.Sequential(*layers)

    def forward(self, parts: Tensor, lengths: Tensor | None) -> tuple[Tensor, Attended]:
        """What to add to the first layer of the features, ``(batch, width)``, and what was attended to."""
        parts = self.to_parts(parts)
        sharpness = 0.0 if self.uniform else self.log_sharpness.exp()
        valid = None if lengths is None else valid_parts(parts, lengths)
        vectors, weights = attend(self.shared[0].weight, parts, valid, sharpness)
        logits = (vectors * self.to_logits).sum(2) + self.bias
        return self.to_features(vectors.flatten(1)), Attended(logits, weights)
