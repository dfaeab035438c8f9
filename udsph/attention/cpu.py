"""The fused CPU kernel: tensors to addresses, and what the kernel takes for granted, checked."""

from __future__ import annotations

import torch
from torch import Tensor

from udsph.attention.formula import NORMALIZATIONS, POOLS, Formula


def forward(
    formula: Formula,
    affinity: Tensor,
    gram: Tensor,
    query_norms: Tensor,
    query_lengths: Tensor,
    context_lengths: Tensor,
) -> Tensor:
    """(query items, context items) scores; arguments as for ``udsph::attention_scores``."""
    scores = affinity.new_empty(query_lengths.shape[0], context_lengths.shape[0])
    _run(formula, [affinity, gram, query_norms], query_lengths, context_lengths, scores, [])
    return scores


def backward(
    formula: Formula,
    grad_scores: Tensor,
    affinity: Tensor,
    gram: Tensor,
    query_norms: Tensor,
    query_lengths: Tensor,
    context_lengths: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of affinity, gram and query_norms."""
    from udsph.attention import _native

    grad_affinity, grad_gram = torch.empty(affinity.shape, dtype=affinity.dtype), torch.empty_like(gram)
    # One partial sum of the norms' gradients per strip of context items: no two threads write to one place.
    grad_norms = query_norms.new_empty(_native.strip_count(context_lengths.shape[0]), query_norms.shape[0])
    outputs = [grad_affinity, grad_gram, grad_norms]
    _run(formula, [affinity, gram, query_norms], query_lengths, context_lengths, grad_scores.contiguous(), outputs)
    return grad_affinity, grad_gram, grad_norms.sum(0)


def _run(
    formula: Formula,
    inputs: list[Tensor],
    query_lengths: Tensor,
    context_lengths: Tensor,
    scores: Tensor,
    outputs: list[Tensor],
) -> None:
    from udsph.attention import _native  # not at the top: where it was not built, backends() says so

    affinity, gram, query_norms = inputs = [x.contiguous() for x in inputs]
    queries, context_rows = query_lengths.tolist(), context_lengths.tolist()
    if affinity.shape != (sum(queries), sum(context_rows)) or query_norms.shape != (sum(queries),):
        raise ValueError(
            f"affinity {tuple(affinity.shape)} and norms {tuple(query_norms.shape)} do not fit the lengths"
        )
    if gram.shape[:1] != (len(context_rows),) or not max(context_rows) <= gram.shape[1] == gram.shape[2]:
        raise ValueError(f"gram {tuple(gram.shape)} does not fit the lengths")
    if {x.dtype for x in (*inputs, scores)} not in ({torch.float32}, {torch.float64}):
        raise TypeError("the kernel takes float32 or float64, the same for all arguments")
    _native.run(
        affinity.dtype == torch.float64,
        formula.smooth,
        formula.pool_temperature,
        POOLS.index(formula.pool),
        NORMALIZATIONS.index(formula.normalize),
        queries,
        context_rows,
        gram.shape[1],
        torch.get_num_threads(),
        *(x.data_ptr() for x in (*inputs, scores, *outputs)),
    )
