"""What the classes of a model attended to, for those who want to see it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.training.conftest import QUICK, make_dataset
from udsph.data import Dataset, Modality
from udsph.errors import InputError
from udsph.training import UDSPH


def test_weights_are_a_mean_over_the_parts_of_each_item(model: UDSPH, scenes: Dataset) -> None:
    seen = model.attended("image", scenes.image)
    assert seen.weights.shape == (80, len(scenes.classes), 64) and seen.grid == (8, 8) and seen.words is None
    np.testing.assert_allclose(seen.weights.sum(2), 1, rtol=1e-5)
    assert seen.scores.shape == (80, len(scenes.classes)) and ((seen.scores >= 0) & (seen.scores <= 1)).all()
    read = model.attended("text", scenes.text, batch_size=7)  # the longest text of a batch differs from batch to batch
    assert read.grid is None and read.words is not None
    for k, words in enumerate(read.words):
        assert len(words) == read.lengths[k] == scenes.text.lengths[k]
        assert (read.weights[k, :, len(words) :] == 0).all() and read.weights[k].sum(1) == pytest.approx(1, rel=1e-4)
        assert " ".join(words) in " ".join(scenes.captions[k].replace(",", " ").replace(".", " ").lower().split())
    np.testing.assert_allclose(read.weights, model.attended("text", scenes.captions).weights, atol=1e-6)


def test_a_class_that_asks_for_one_part_looks_at_it() -> None:
    """Regions of which one is the query itself: all the weight goes there, wherever it stands."""
    model = UDSPH(**QUICK | {"epochs": 1}).fit(make_dataset(("regions", "vectors")), progress=False)
    network = model.model.pair.image
    place = np.arange(6) % 5
    with torch.no_grad():
        network.attention.to_parts = torch.nn.Identity()
        network.encoder.layers = network.encoder.to_parts = torch.nn.Identity()
        network.encoder.set_statistics(torch.zeros(4), torch.ones(4))
        model.model.pair.queries.weight = torch.nn.Parameter(torch.zeros(4, 16).index_fill_(1, torch.tensor(3), 1.0))
        network.forward = lambda values, lengths: _only_attention(network, values, lengths)
    regions = np.zeros((6, 5, 16), np.float32)
    regions[..., 0] = 1
    regions[np.arange(6), place] = np.eye(16, dtype=np.float32)[3]
    from udsph.encoding.attended import attended

    weights = attended(model.model, "image", Modality("regions", regions)).weights
    assert (weights.argmax(2) == place[:, None]).all() and weights.max(2).min() > 0.99


def _only_attention(network, values, lengths):
    from udsph.models import Outputs

    empty = torch.zeros(len(values), 1)
    return Outputs(empty, empty, empty, attended=network.attention(values, lengths)[1])


def test_a_network_without_attention_says_why(model: UDSPH, scenes: Dataset) -> None:
    toy = make_dataset(("regions", "vectors"))
    without = UDSPH(**QUICK | {"epochs": 1, "attention": "none"}).fit(toy, progress=False)
    with pytest.raises(InputError, match="image network has no attention: it was trained with attention=none"):
        without.attended("image", toy.image)
    label = UDSPH(**QUICK | {"epochs": 1}).fit(toy, progress=False)
    assert label.attended("image", toy.image).lengths.tolist() == toy.image.lengths.tolist()
    with pytest.raises(InputError, match="text network has no attention: its items have no local parts"):
        label.attended("text", toy.text)
    with pytest.raises(InputError, match="name='images': expected image or text"):
        model.attended("images", scenes.image)
    nothing = dataclasses.replace(scenes.image, values=scenes.image.values[:0])
    assert model.attended("image", nothing).weights.shape == (0, len(scenes.classes), 0)


def test_a_network_that_was_trained_without_labels_says_so() -> None:
    toy = make_dataset(("regions", "tokens"))
    unlabelled = dataclasses.replace(toy, labels=np.zeros((len(toy.labels), 0), np.uint8), classes=())
    model = UDSPH(**QUICK | {"epochs": 1}).fit(unlabelled, progress=False)
    with pytest.raises(InputError, match="attends to no classes: it was trained without labels"):
        model.attended("image", toy.image)
