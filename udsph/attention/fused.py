"""The op behind the backends ``cpu`` and ``cuda``: matrix products in the BLAS, everything between them in one kernel.

``udsph::attention_scores`` goes from the affinities S = queries . context rows, the Gram matrices of the context items
and the queries' norms to the scores, and ``udsph::attention_scores_backward`` back. Of all the intermediate values only
S is kept for the backward pass, which computes the others again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from udsph.attention import cpu, cuda
from udsph.attention.checks import check_finite
from udsph.attention.formula import Formula
from udsph.attention.rows import Rows


def scores(regions: Rows, words: Rows, directions: Sequence[tuple[str, Formula]]) -> list[Tensor]:
    """(n_images, n_captions) scores of every direction."""
    region_rows, word_rows = regions.packed(), words.packed()
    # The CPU kernel goes through the affinities query by query, the CUDA kernel context row by context row.
    words_first = (directions[0][0] == "t2i") == (word_rows.device.type == "cpu")
    affinity = (
        word_rows @ region_rows.mT if words_first else (region_rows @ word_rows.mT).mT
    )  # (all words, all regions)
    found = []
    for direction, formula in directions:
        if direction == "t2i":
            found.append(_scores(affinity, words, word_rows, regions, formula).mT)
        else:
            found.append(_scores(affinity.mT, regions, region_rows, words, formula))
    return found


def _scores(affinity: Tensor, query: Rows, query_rows: Tensor, context: Rows, formula: Formula) -> Tensor:
    """(n_query_items, n_context_items) from the affinities (queries, context rows)."""
    precise = torch.float64 if affinity.dtype == torch.float64 else torch.float32
    whole = context.zero_padded().to(precise)
    return attention_scores(
        affinity,
        whole @ whole.mT,
        torch.linalg.vector_norm(query_rows, dim=-1, dtype=precise),
        query.lengths,
        context.lengths,
        formula.smooth,
        formula.pool,
        formula.pool_temperature,
        formula.normalize,
    )


@torch.library.custom_op("udsph::attention_scores", mutates_args=(), device_types="cpu")
def attention_scores(
    affinity: Tensor,
    gram: Tensor,
    query_norms: Tensor,
    query_lengths: Tensor,
    context_lengths: Tensor,
    smooth: float,
    pool: str,
    pool_temperature: float,
    normalize: str,
) -> Tensor:
    """Scores of every query item and context item.

    Parameters
    ----------
    affinity : (queries, context rows)
        Inner products of the packed rows of both sides.
    gram : (context items, width, width)
        Inner products of the rows of each context item; the rows behind an item's length are not looked at.
    query_norms : (queries,)
    query_lengths, context_lengths : (items,) int64 on the CPU
        Rows of each item; their sums are the two sides of ``affinity``.
    smooth, pool, pool_temperature, normalize
        As in ``Formula``.

    Returns
    -------
    (query items, context items)
    """
    return _forward(
        cpu.forward,
        affinity,
        gram,
        query_norms,
        query_lengths,
        context_lengths,
        smooth,
        pool,
        pool_temperature,
        normalize,
    )


@attention_scores.register_kernel("cuda")
def _(*arguments: Any) -> Tensor:
    return _forward(cuda.forward, *arguments)


def _forward(kernel: Callable[..., Tensor], *arguments: Any) -> Tensor:
    found = kernel(Formula(*arguments[5:]), *arguments[:5])
    check_finite(found)
    return found


@attention_scores.register_fake
def _(
    affinity: Tensor, gram: Tensor, query_norms: Tensor, query_lengths: Tensor, context_lengths: Tensor, *_: Any
) -> Tensor:
    return gram.new_empty(query_lengths.shape[0], context_lengths.shape[0])


@torch.library.custom_op("udsph::attention_scores_backward", mutates_args=(), device_types="cpu")
def attention_scores_backward(
    grad_scores: Tensor,
    affinity: Tensor,
    gram: Tensor,
    query_norms: Tensor,
    query_lengths: Tensor,
    context_lengths: Tensor,
    smooth: float,
    pool: str,
    pool_temperature: float,
    normalize: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``affinity``, ``gram`` and ``query_norms`` from that of the scores."""
    formula = Formula(smooth, pool, pool_temperature, normalize)
    return cpu.backward(formula, grad_scores, affinity, gram, query_norms, query_lengths, context_lengths)


@attention_scores_backward.register_kernel("cuda")
def _(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    return cuda.backward(Formula(*arguments[6:]), *arguments[:6])


@attention_scores_backward.register_fake
def _(
    grad_scores: Tensor, affinity: Tensor, gram: Tensor, query_norms: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    if affinity.device.type == "cuda":
        grad_affinity = affinity.new_empty(affinity.shape[1], affinity.shape[0]).mT
    else:
        grad_affinity = affinity.new_empty(affinity.shape)
    return grad_affinity, gram.new_empty(gram.shape), query_norms.new_empty(query_norms.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.formula = inputs[5:]


def _backward(ctx: Any, grad_scores: Tensor) -> tuple[Any, ...]:
    gradients = attention_scores_backward(grad_scores, *ctx.saved_tensors, *ctx.formula)
    return (*gradients, *[None] * 6)


attention_scores.register_autograd(_backward, setup_context=_save)
