"""The forms of the same scores that bench/attention.py compares: what is published, what one would write, and the op.

Every form takes (regions, words, lengths) and returns the (n_images, n_captions) scores of the default formula:
words attend to regions, clipped l2 normalisation, smooth 9, log-sum-exp with 6.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from udsph.attention import cross_attention_scores

SMOOTH, SHARPNESS = 9.0, 6.0
Form = Callable[[Tensor, Tensor, Tensor], Tensor]


def _l2_normalized(x: Tensor, dim: int) -> Tensor:
    return x / (x.pow(2).sum(dim, keepdim=True).sqrt() + 1e-8)


def published_loop(regions: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
    """One caption at a time, repeated for every image, attended vectors written out."""
    columns = []
    for caption, n in zip(words, lengths.tolist(), strict=True):
        query = caption[:n].repeat(len(regions), 1, 1)
        affinity = _l2_normalized(F.leaky_relu(regions @ query.mT, 0.1), 2)
        attended = (regions.mT @ torch.softmax(SMOOTH * affinity.mT.contiguous(), -1).mT.contiguous()).mT
        norms = (query.norm(dim=2) * attended.norm(dim=2)).clamp_min(1e-8)
        cosine = (query * attended).sum(2) / norms
        columns.append((SHARPNESS * cosine).exp().sum(1).log() / SHARPNESS)
    return torch.stack(columns, 1)


def _masked_log_sum_exp(cosine: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
    mask = torch.arange(words.shape[1], device=words.device) < lengths.to(words.device)[:, None]
    return torch.logsumexp((SHARPNESS * cosine).masked_fill(~mask, -1e9), -1) / SHARPNESS


def _affinity(regions: Tensor, words: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """S (images, captions, regions, words), and it rectified and normalised over the words of each caption."""
    s = torch.einsum("ird,cwd->icrw", regions, words)
    mask = torch.arange(words.shape[1], device=words.device) < lengths.to(words.device)[:, None]
    return s, _l2_normalized(F.leaky_relu(s, 0.1) * mask[None, :, None], -1)


def attended_einsum(regions: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
    """All pairs at once, attended vectors written out."""
    alpha = torch.softmax(SMOOTH * _affinity(regions, words, lengths)[1], 2)
    attended = torch.einsum("icrw,ird->icwd", alpha, regions)
    return _masked_log_sum_exp(F.cosine_similarity(attended, words[None], dim=-1), words, lengths)


def gram_einsum(regions: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
    """All pairs at once without attended vectors; padded words are computed and masked."""
    s, ready = _affinity(regions, words, lengths)
    alpha = torch.exp(SMOOTH * ready)
    dot = (alpha * s).sum(2)
    square = torch.einsum("icrw,irs,icsw->icw", alpha, regions @ regions.mT, alpha)
    cosine = dot / (words.norm(dim=-1) * square.sqrt()).clamp_min(1e-8)
    return _masked_log_sum_exp(cosine, words, lengths)


def gram_matmul(regions: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
    """The same with the quadratic form as one batched product."""
    s, ready = _affinity(regions, words, lengths)
    alpha = torch.exp(SMOOTH * ready)
    dot = (alpha * s).sum(2)
    square = ((regions @ regions.mT)[:, None] @ alpha * alpha).sum(2)
    cosine = dot / (words.norm(dim=-1) * square.sqrt()).clamp_min(1e-8)
    return _masked_log_sum_exp(cosine, words, lengths)


def op(backend: str, recompute: bool = False) -> Form:
    """``cross_attention_scores`` by one backend."""

    def scores(regions: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
        return cross_attention_scores(regions, words, None, lengths, backend=backend, recompute=recompute)

    return scores


def hardest(scores: Tensor, margin: float = 0.2) -> Tensor:
    """Hinge loss on the hardest negative of every image and every caption; row i and column i belong together."""
    positive = scores.diagonal()
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    negatives = scores.masked_fill(own, -torch.inf)
    by_image, by_caption = negatives.amax(1), negatives.amax(0)
    return (margin + by_image - positive).clamp_min(0).sum() + (margin + by_caption - positive).clamp_min(0).sum()


def two_pass_hardest(form: Form, regions: Tensor, words: Tensor, lengths: Tensor, margin: float = 0.2) -> Tensor:
    """The same loss: all scores without gradients, then the at most 3 B pairs that matter once more, pair by pair."""
    with torch.no_grad():
        own = torch.eye(len(regions), dtype=torch.bool, device=regions.device)
        negatives = form(regions, words, lengths).masked_fill(own, -torch.inf)
        worst_caption, worst_image = negatives.argmax(1), negatives.argmax(0)
    everyone = torch.arange(len(regions), device=regions.device)
    images = torch.cat([everyone, everyone, worst_image])
    captions = torch.cat([everyone, worst_caption, everyone])
    pairs = pair_scores(regions[images], words[captions], lengths[captions.cpu()])
    positive, by_image, by_caption = pairs.chunk(3)
    return (margin + by_image - positive).clamp_min(0).sum() + (margin + by_caption - positive).clamp_min(0).sum()


def pair_scores(regions: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
    """(n,) scores of image i with caption i alone, by the Gram form."""
    s = regions @ words.mT
    mask = torch.arange(words.shape[1], device=words.device) < lengths.to(words.device)[:, None]
    alpha = torch.exp(SMOOTH * _l2_normalized(F.leaky_relu(s, 0.1) * mask[:, None], -1))
    square = ((regions @ regions.mT) @ alpha * alpha).sum(1)
    cosine = (alpha * s).sum(1) / (words.norm(dim=-1) * square.sqrt()).clamp_min(1e-8)
    return _masked_log_sum_exp(cosine, words, lengths)


def products(regions: Tensor, words: Tensor, lengths: Tensor) -> tuple[Callable[[], None], Callable[[], None]]:
    """The op's own matrix products alone, forward and backward: S, G and their gradients over the real words."""
    packed = torch.cat([caption[:n] for caption, n in zip(words.detach(), lengths.tolist(), strict=True)])
    v, flat = regions.detach(), regions.detach().flatten(0, 1)
    affinity, gram = packed @ flat.mT, v @ v.mT

    def forward() -> None:
        packed @ flat.mT
        v @ v.mT

    def backward() -> None:
        affinity @ flat
        affinity.mT @ packed
        gram @ v
        gram.mT @ v

    return forward, backward
