"""Scores computed a few captions at a time, and again in the backward pass."""

import pytest

from udsph.attention import cross_attention_scores, pieces
from udsph.attention.formula import formulas
from udsph.attention.rows import rows

from .batches import make_batch, torch
from .emulated import can_emulate

BACKENDS = ["reference", "gram", *(["cpu"] if can_emulate() else [])]


def scores_and_gradients(batch, **setting):
    regions, words = (features.clone().requires_grad_() for features in batch[:2])
    scores = cross_attention_scores(regions, words, *batch[2:], **setting)
    weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    (scores * weights).sum().backward()
    return scores.detach(), regions.grad, words.grad


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("direction", ["t2i", "i2t", "both"])
@pytest.mark.parametrize("captions", [1, 4, 100])
@pytest.mark.parametrize("ragged", [True, False])
def test_pieces_change_nothing(monkeypatch, backend, direction, captions, ragged):
    batch = make_batch(5, 11, 7, 8, 12, ragged=ragged)
    expected = scores_and_gradients(batch, backend=backend, direction=direction)
    monkeypatch.setattr(pieces, "captions_per_piece", lambda *_: captions)
    found = scores_and_gradients(batch, backend=backend, direction=direction, recompute=True)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_no_piece_sees_more_affinities_than_asked_for():
    regions, words, region_lengths, word_lengths = make_batch(6, 50, 7, 8, 12)
    seen = []

    def compute(some_regions, some_words, directions):
        seen.append(7 * 6 * int(some_words.lengths.sum()) * 8)
        return [torch.zeros(6, some_words.features.shape[0])]

    directions = formulas("t2i", None, "lse", 6.0, "clipped_l2")
    sides = rows("region", regions, region_lengths), rows("word", words, word_lengths)
    (scores,) = pieces.scores(compute, *sides, directions, piece_bytes=12_000)
    assert scores.shape == (6, 50)
    assert len(seen) > 4
    assert sum(seen) / len(seen) <= 12_000  # the captions of a piece are counted at the average length
    assert max(seen) <= 2 * 12_000


def test_a_piece_holds_at_least_one_caption():
    regions, words, *_ = make_batch(ragged=False)
    assert pieces.captions_per_piece(rows("region", regions, None), rows("word", words, None), 1) == 1
