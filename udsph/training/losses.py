"""The losses, each a mean, so that a weight means the same for every batch size, code length and number of classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SHARPNESS = (
    16.0  # of the pairwise likelihood: half the code length of 32 bits, where it equals the published 1/2 <a, b>
)


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """1 where two items share a label, else 0: ``(len(first), len(second))``."""
    return (first.float() @ second.float().T > 0).float()


def pairwise_likelihood(first: Tensor, second: Tensor, similar: Tensor) -> Tensor:
    """Negative log-likelihood of the similarities, which is linear in the logarithm (not squared) and cannot overflow.

    With ``theta = SHARPNESS * cosine``, ``-log p(S) = softplus(theta) - S theta``. The published ``theta = 1/2 <a,
    b>`` grows with the code length; this one is the same at every length. Similar and dissimilar pairs weigh the
    same in total, however rare the similar ones are.

    Parameters
    ----------
    first, second
        ``(n, dims)`` and ``(m, dims)`` features or relaxed codes.
    similar
        ``(n, m)``, 1 or 0.
    """
    theta = SHARPNESS * F.normalize(first.float(), dim=1) @ F.normalize(second.float(), dim=1).T
    losses = F.softplus(theta) - similar * theta
    return balanced_mean(losses, similar)


def ranking(codes: Tensor, similar: Tensor, temperature: float = 0.1) -> Tensor:
    """One minus the average precision of each item's ranking of the others, with a smooth step in place of "is nearer".

    Of the items similar to item q, i has the rank ``1 + sum_j sigmoid((s_qj - s_qi) / temperature)`` among all, and
    the same sum over similar j among these; their quotient is the precision at i. A. Brown, W. Xie, V. Kalogeiton,
    A. Zisserman, "Smooth-AP: smoothing the path towards large-scale image retrieval", ECCV 2020.

    Parameters
    ----------
    codes
        ``(n, bits)`` relaxed codes; ``s`` is their inner product over the number of bits. Memory grows with ``n ** 3``.
    similar
        ``(n, n)``, 1 or 0.
    """
    codes = codes.float()
    scores = codes @ codes.T / codes.shape[1]
    others = 1 - torch.eye(len(codes), device=codes.device)
    nearer = torch.sigmoid((scores.unsqueeze(1) - scores.unsqueeze(2)) / temperature)  # of query, item, other item
    nearer = nearer * others * others.unsqueeze(1)  # an item is not before itself, and the query is in no ranking
    wanted = similar * others
    among_similar = 1 + (nearer @ wanted.unsqueeze(2)).squeeze(2)
    precision = (among_similar / (1 + nearer.sum(2)) * wanted).sum(1)
    found = wanted.sum(1)
    return 1 - (precision / found.clamp_min(1))[found > 0].mean() if bool(found.any()) else scores.sum() * 0


def graded_ranking(codes: Tensor, labels: Tensor, levels: tuple[int, ...] = (1, 2)) -> Tensor:
    """Mean of the ranking loss where 1, 2, ... shared labels make two items similar, over the levels that occur.

    By the first alone items that share more are no nearer than others.
    """
    labels = labels.float()
    shared = labels @ labels.T
    others = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    occurring = [level for level in levels if bool((shared >= level)[others].any())] or [1]
    return torch.stack([ranking(codes, (shared >= level).float()) for level in occurring]).mean()


def balanced_mean(losses: Tensor, similar: Tensor) -> Tensor:
    """Mean in which the pairs with 1 and those with 0 have the same total weight; the plain mean if one kind is
    missing.
    """
    share = similar.mean()
    if not 0 < float(share) < 1:
        return losses.mean()
    return (losses * torch.where(similar > 0, 0.5 / share, 0.5 / (1 - share))).mean()


def bit_likelihood(code_logits: Tensor, bits: Tensor) -> Tensor:
    """Quantisation loss: negative log-likelihood of the wanted bits (1 or 0) under one logit each.

    Its minimum drives every relaxed code ``tanh(logit / 2)`` to the sign that it should have, which the squared
    distance ``(code - sign)^2`` of SSAH does too, but with a gradient that does not vanish where the sign is wrong.
    """
    return F.binary_cross_entropy_with_logits(code_logits.float(), bits)


def quantisation(codes: Tensor) -> Tensor:
    """Squared distance of relaxed codes to their own signs."""
    return (codes.float().abs() - 1).square().mean()


def classification(class_logits: Tensor, labels: Tensor, *, single: bool, taught: Tensor | None = None) -> Tensor:
    """Cross-entropy of the labels: softmax where every item has one label, else one sigmoid per class.

    With several labels an item, present and absent classes weigh the same in total.

    Parameters
    ----------
    taught
        int64, the classes that some labelled item has; the others, of which nothing is known, do not count. None: all.
    """
    labels, logits = labels.float(), class_logits.float()
    if taught is not None:
        labels, logits = labels[:, taught], logits[:, taught]
    if single:
        return F.cross_entropy(logits, labels)
    losses = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return balanced_mean(losses, labels)


def balance(codes: Tensor) -> Tensor:
    """How far bits are from being 1 for half of the items and uncorrelated: 0 for perfectly balanced codes."""
    codes = codes.float()
    correlation = codes.T @ codes / len(codes)
    off_diagonal = correlation - torch.diag(correlation.diagonal())
    return codes.mean(0).square().mean() + off_diagonal.square().mean()


def pairing(image: Tensor, text: Tensor, scale: Tensor | float, similar: Tensor) -> Tensor:
    """Cross-entropy of finding each item's partner among the other modality's codes of the batch, both ways (InfoNCE).

    Parameters
    ----------
    image, text
        ``(n, dims)`` relaxed codes; row i of both is a pair.
    scale
        By which cosines are multiplied.
    similar
        ``(n, n)``, 1 where two items are known to share a label: no mismatch to be told apart.
    """
    scores = scale * F.normalize(image.float(), dim=1) @ F.normalize(text.float(), dim=1).T
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill((similar > 0) & ~own, -torch.inf)
    partners = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2


def separation(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of a critic whose logits should be above 1 for real items and below -1 for others."""
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def discrimination(logits: Tensor, real: bool) -> Tensor:
    """Cross-entropy of a discriminator's (or, with the other answer, its opponent's) verdict."""
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits.float(), float(real)))


def matching(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """SCAN's hinge loss on attention scores: every pair must score above its hardest mismatches by the margin.

    A mismatch whose labels are the same as the pair's is no mismatch.

    Parameters
    ----------
    scores
        ``(n, n)``, images in rows, captions in columns; the diagonal holds the pairs.
    labels
        ``(n, classes)``.
    """
    scores = scores.float()
    pairs = scores.diagonal()
    same = (labels.unsqueeze(1) == labels.unsqueeze(0)).all(2)
    to_captions = (margin + scores - pairs.unsqueeze(1)).clamp_min(0).masked_fill(same, 0)
    to_images = (margin + scores - pairs.unsqueeze(0)).clamp_min(0).masked_fill(same, 0)
    return to_captions.amax(1).mean() + to_images.amax(0).mean()
