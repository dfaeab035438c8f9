"""The formula as published: one caption at a time, the attended vectors written out. Slow, and what others are held to.

Differs from SCAN's published code only where that breaks: masks for both lengths, a length of 1, a zero norm.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from udsph.attention.formula import EPSILON, LEAK, Formula
from udsph.attention.rows import Rows


def scores(regions: Rows, words: Rows, directions: Sequence[tuple[str, Formula]]) -> list[Tensor]:
    """(n_images, n_captions) scores of every direction."""
    return [_scores(regions, words, direction, formula) for direction, formula in directions]


def _scores(image_rows: Rows, caption_rows: Rows, direction: str, formula: Formula) -> Tensor:
    regions, region_mask = image_rows.zero_padded(), image_rows.mask()
    columns = []
    for caption, length in zip(caption_rows.features, caption_rows.lengths.tolist(), strict=True):
        word = caption[:length].expand(len(regions), -1, -1)
        word_mask = region_mask.new_ones(1, length)
        if direction == "t2i":
            columns.append(_pair_scores(word, regions, word_mask, region_mask, formula))
        else:
            columns.append(_pair_scores(regions, word, region_mask, word_mask, formula))
    return torch.stack(columns, 1)


def _pair_scores(query: Tensor, context: Tensor, query_mask: Tensor, context_mask: Tensor, formula: Formula) -> Tensor:
    """(n_images,) scores of the queries (n_images, q, dim) attending to the context items (n_images, c, dim)."""
    affinity = normalized(query @ context.mT, query_mask[:, :, None], formula)
    logits = (formula.smooth * affinity).masked_fill(~context_mask[:, None, :], -torch.inf)
    attended = torch.softmax(logits, -1) @ context  # (n_images, q, dim)
    dot = (query * attended).sum(-1)
    norms = torch.linalg.vector_norm(query, dim=-1) * torch.linalg.vector_norm(attended, dim=-1)
    return pooled(dot / norms.clamp_min(EPSILON), query_mask, formula)


def normalized(affinity: Tensor, query_mask: Tensor, formula: Formula) -> Tensor:
    """Affinities (..., queries, context items) ready for the softmax. The mask broadcasts against them."""
    if formula.normalize == "softmax":
        return torch.softmax(affinity.masked_fill(~query_mask, -torch.inf), -2)
    if formula.normalize.startswith("clipped"):
        affinity = F.leaky_relu(affinity, LEAK)
    if formula.normalize.endswith("l2"):
        # vector_norm has the gradient 0 at 0, where the published sqrt(sum(x**2)) has NaN.
        affinity = affinity / (torch.linalg.vector_norm(affinity * query_mask, dim=-2, keepdim=True) + EPSILON)
    return affinity


def pooled(cosine: Tensor, query_mask: Tensor, formula: Formula) -> Tensor:
    """One number per pair from the cosines (..., queries); the mask broadcasts against them."""
    if formula.pool == "lse":
        t = formula.pool_temperature
        return torch.logsumexp((t * cosine).masked_fill(~query_mask, -torch.inf), -1) / t
    if formula.pool == "max":
        return cosine.masked_fill(~query_mask, -torch.inf).max(-1).values
    total = (cosine * query_mask).sum(-1)
    return total / query_mask.sum(-1) if formula.pool == "mean" else total
