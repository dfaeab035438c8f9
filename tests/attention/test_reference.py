"""The reference against the formula written out pair by pair and word by word in plain Python numbers."""

import math

import numpy as np
import pytest

from udsph.attention import cross_attention_scores

from .batches import SETTINGS, make_batch, setting_id


def normalized(affinity, normalize):
    """Affinities of one pair, [queries][context items], made ready for the softmax."""
    if normalize.startswith("clipped"):
        affinity = np.where(affinity > 0, affinity, 0.1 * affinity)
    if normalize.endswith("l2"):
        affinity = affinity / (np.sqrt((affinity**2).sum(0)) + 1e-8)
    if normalize == "softmax":
        affinity = np.exp(affinity) / np.exp(affinity).sum(0)
    return affinity


def pair_score(query, context, smooth, pool, normalize):
    affinity = normalized(query @ context.T, normalize)
    cosines = []
    for word, row in zip(query, affinity, strict=True):
        weights = np.exp(smooth * row) / np.exp(smooth * row).sum()
        attended = sum(weight * item for weight, item in zip(weights, context, strict=True))
        cosines.append(word @ attended / max(np.linalg.norm(word) * np.linalg.norm(attended), 1e-8))
    if pool == "lse":
        return math.log(sum(math.exp(6.0 * c) for c in cosines)) / 6.0
    return {"max": max(cosines), "sum": sum(cosines), "mean": sum(cosines) / len(cosines)}[pool]


@pytest.mark.parametrize("setting", SETTINGS, ids=setting_id)
def test_scores_are_the_formula(setting):
    regions, words, region_lengths, word_lengths = make_batch()
    scores = cross_attention_scores(regions, words, region_lengths, word_lengths, backend="reference", **setting)
    assert scores.shape == (5, 6)
    smooth = {"t2i": {"t2i": 9.0}, "i2t": {"i2t": 9.0}, "both": {"t2i": 9.0, "i2t": 4.0}}[setting["direction"]]
    for i, j in np.ndindex(5, 6):
        image, caption = regions[i, : region_lengths[i]].numpy(), words[j, : word_lengths[j]].numpy()
        expected = [
            pair_score(
                *((caption, image) if way == "t2i" else (image, caption)), value, setting["pool"], setting["normalize"]
            )
            for way, value in smooth.items()
        ]
        assert float(scores[i, j]) == pytest.approx(sum(expected) / len(expected), abs=1e-12)
