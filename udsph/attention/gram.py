"""The scores of all pairs at once without attended vectors, in plain torch.

With S = query . context and G = context . context, the cosine of a query with what it attended to is

    <e, a> / (|e| |a|) = sum_r alpha_r S_r / (|e| sqrt(alpha' G alpha)),

so nothing of the features' dimension is kept per pair; a few arrays of pairs x queries x context items still are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from udsph.attention.formula import EPSILON, Formula
from udsph.attention.reference import normalized, pooled
from udsph.attention.rows import Rows


def scores(regions: Rows, words: Rows, directions: Sequence[tuple[str, Formula]]) -> list[Tensor]:
    """(n_images, n_captions) scores of every direction."""
    return [
        _scores(words, regions, formula).mT if direction == "t2i" else _scores(regions, words, formula)
        for direction, formula in directions
    ]


def _scores(query_rows: Rows, context_rows: Rows, formula: Formula) -> Tensor:
    """(n_query_items, n_context_items)."""
    query, context = query_rows.zero_padded(), context_rows.zero_padded()  # (n, q, dim), (m, c, dim)
    query_mask, context_mask = query_rows.mask(), context_rows.mask()
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
