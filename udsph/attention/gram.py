"""The scores of all pairs at once without attended vectors, in plain torch.

With S = query . context and G = context . context, the cosine of a query with what it attended to is

    <e, a> / (|e| |a|) = sum_r alpha_r S_r / (|e| sqrt(alpha' G alpha)),

so nothing of the features' dimension is kept per pair; a few arrays of pairs x queries x context items still are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from udsph.attention.formula import EPSILON, Formula
from udsph.attention.lengths import row_mask, without_padding
from udsph.attention.reference import normalized, pooled


def scores(
    regions: Tensor, words: Tensor, region_lengths: Tensor, word_lengths: Tensor, direction: str, formula: Formula
) -> Tensor:
    """(n_images, n_captions) scores of one direction; lengths are int64 on the CPU, one per item."""
    region_mask = row_mask(region_lengths, regions.shape[1], regions.device)
    word_mask = row_mask(word_lengths, words.shape[1], words.device)
    regions, words = without_padding(regions, region_mask), without_padding(words, word_mask)
    if direction == "t2i":
        return _scores(words, regions, word_mask, region_mask, formula).mT
    return _scores(regions, words, region_mask, word_mask, formula)


def _scores(query: Tensor, context: Tensor, query_mask: Tensor, context_mask: Tensor, formula: Formula) -> Tensor:
    """(n_query_items, n_context_items): queries are (n, q, dim), context items (m, c, dim)."""
    affinity = torch.einsum("nqd,mcd->nmqc", query, context)
    gram = context @ context.mT
    logits = formula.smooth * normalized(affinity, query_mask[:, None, :, None], formula)
    logits = logits.masked_fill(~context_mask[:, None, :], -torch.inf)
    # The cosine does not change when alpha is scaled: the softmax needs no denominator, and its maximum no gradient.
    alpha = torch.exp(logits - logits.detach().amax(-1, keepdim=True))
    dot = (alpha * affinity).sum(-1)
    square = ((alpha @ gram) * alpha).sum(-1)
    norm = torch.where(square > 0, square, 1.0).sqrt() * (square > 0)
    floor = EPSILON * alpha.sum(-1)
    cosine = dot / torch.maximum(torch.linalg.vector_norm(query, dim=-1)[:, None] * norm, floor)
    return pooled(cosine, query_mask[:, None], formula)
