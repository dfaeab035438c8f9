"""A short training on real data: above linear CCA of the same features, which has 0.237 and 0.234 (needs the data)."""

from __future__ import annotations

import pytest

from udsph.data import load
from udsph.training import UDSPH, evaluate


def test_a_short_training_on_wiki_beats_linear_cca(real_data):
    dataset = load("wiki", root=real_data / "wiki")
    settings = {"bits": 32, "epochs": 8, "refit": "false", "device": "cpu", "label_steps": 300}
    model = UDSPH(**settings).fit(dataset, progress=False)
    metrics = evaluate(model, dataset)
    assert metrics["chance"] == pytest.approx(0.111, abs=0.001)
    found = [metrics[direction]["map"] for direction in ("image_to_text", "text_to_image")]
    assert min(found) > 0.237, found
    assert metrics["label_to_label"] > 0.99
    assert metrics["codes"]["bit_entropy"] > 0.7
