"""The scores a few captions at a time, computed again in the backward pass: memory for time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from udsph.attention.formula import Formula
from udsph.attention.rows import Rows

Scores = Callable[[Rows, Rows, Sequence[tuple[str, Formula]]], list[Tensor]]

PIECE_BYTES = 128 * 2**20
"""Affinities of one piece. The Gram matrices of the images are computed again for every piece, which at this size costs
a few per cent of the matrix products."""


def scores(
    compute: Scores,
    regions: Rows,
    words: Rows,
    directions: Sequence[tuple[str, Formula]],
    piece_bytes: int = PIECE_BYTES,
) -> list[Tensor]:
    """(n_images, n_captions) scores of every direction by ``compute``, which sees about ``piece_bytes`` of affinities.

    Nothing is kept for the backward pass but the features, so no array of all pairs' regions and words ever exists.
    """
    captions = words.features.shape[0]
    n = captions_per_piece(regions, words, piece_bytes)
    found = []
    for first in range(0, captions, n):
        piece = Rows(words.features[first : first + n], words.lengths[first : first + n], words.ragged)
        found.append(checkpoint(compute, regions, piece, directions, use_reentrant=False, preserve_rng_state=False))
    return [torch.cat(columns, 1) for columns in zip(*found, strict=True)]


def captions_per_piece(regions: Rows, words: Rows, piece_bytes: int) -> int:
    """How many captions of average length share a piece; of the padded length where lengths cannot be looked at."""
    captions, width, _ = words.features.shape
    n_words = captions * width if torch.compiler.is_compiling() else int(words.lengths.sum())
    caption_bytes = regions.features.shape[:2].numel() * words.features.element_size() * n_words / captions
    return max(1, int(piece_bytes / caption_bytes))
