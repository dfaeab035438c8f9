"""Linear networks, of pairs of vectors without labels: when they are taken, where they start, what they find."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.training.conftest import QUICK, make_dataset
from tests.training.test_unlabelled import bare
from udsph.baselines.linalg import canonical_directions
from udsph.data import Dataset, Modality
from udsph.encoding import Hasher
from udsph.errors import InputError
from udsph.evaluation import evaluate_pairs
from udsph.models.linear import LinearNetwork, Standardised
from udsph.training import UDSPH, Config
from udsph.training.canonical import canonical_codes, start_linear
from udsph.training.plan import Plan, resolve


def correlated(n: int = 400, seed: int = 0) -> Dataset:
    """Pairs of vectors that share 8 hidden values, under as much noise, without labels; the last column is constant."""
    random = np.random.default_rng(seed)
    hidden = random.standard_normal((n, 8))
    views = []
    for dims in (40, 30):
        values = hidden @ random.standard_normal((8, dims)) + random.standard_normal((n, dims))
        values[:, -1] = 3.0
        views.append(Modality("vectors", values.astype(np.float32)))
    order = np.arange(n)
    splits = {"query": order[: n // 4], "train": order[n // 4 :], "database": order[n // 4 :]}
    return Dataset("pairs", *views, None, (), splits)


@pytest.mark.parametrize(
    ("kinds", "labelled", "settings", "linear"),
    [
        (("vectors", "vectors"), False, {}, "true"),
        (("vectors", "vectors"), False, {"linear": "false"}, "false"),
        (("vectors", "vectors"), False, {"parts": 4}, "false"),
        (("vectors", "vectors"), True, {}, "false"),
        (("vectors", "tokens"), False, {}, "false"),
    ],
)
def test_networks_are_linear_where_vectors_have_no_labels(
    kinds: tuple[str, str], labelled: bool, settings: dict[str, object], linear: str
):
    dataset = make_dataset(kinds)
    dataset = dataset if labelled else bare(dataset)
    assert resolve(Config(**QUICK | settings), dataset).linear == linear


@pytest.mark.parametrize(("kinds", "why"), [(("vectors", "vectors"), "labels"), (("vectors", "regions"), "regions")])
def test_linear_networks_that_are_asked_for_and_cannot_be_are_refused(kinds: tuple[str, str], why: str):
    with pytest.raises(InputError, match=f"linear=true.*{why}"):
        resolve(Config(linear="true", **QUICK), make_dataset(kinds))


def test_the_start_is_canonical_correlation_turned():
    random = np.random.default_rng(0)
    hidden = random.standard_normal((200, 6))
    image, text = (hidden @ random.standard_normal((6, d)) + random.standard_normal((200, d)) for d in (20, 12))
    image, text = image - image.mean(0), text - text.mean(0)
    found = canonical_codes(torch.from_numpy(image), torch.from_numpy(text), 8, ridge=0.5)
    wanted = canonical_directions(image, text, 8, 0.5)
    for weights, directions in zip(found, wanted[:2], strict=True):
        scaled = directions * wanted.strength
        outer = (weights @ weights.T).numpy()  # which no turn changes
        np.testing.assert_allclose(outer / np.trace(outer), scaled @ scaled.T / np.trace(scaled @ scaled.T), atol=1e-9)


def test_there_may_be_more_bits_than_directions():
    found = canonical_codes(torch.randn(50, 3), torch.randn(50, 20), 16)
    assert [weights.shape for weights in found] == [(3, 16), (20, 16)]
    assert all(bool(torch.isfinite(weights).all()) for weights in found)


def test_the_start_knows_nothing_of_the_pairs_that_are_held_out():
    dataset = correlated()
    plan = Plan.of(Config(**QUICK), dataset)
    weights = []
    for noise in (0.0, 10.0):
        image = dataset.image.values.copy()
        image[plan.held] += noise * np.random.default_rng(1).standard_normal(image[plan.held].shape)
        changed = dataclasses.replace(dataset, image=Modality("vectors", image.astype(np.float32)))
        model = plan.new_model(dataset, torch.device("cpu"))
        model.reset_modalities()
        start_linear(model, changed, plan.fitted)
        weights.append(model.pair.image.to_code.weight.detach().clone())
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)


def test_a_column_that_was_constant_counts_for_nothing():
    encoder = Standardised(2, dropout=0.0)
    encoder.set_statistics(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0]))
    torch.testing.assert_close(encoder(torch.tensor([[5.0, 900.0]])).vector, torch.tensor([[2.0, 0.0]]))


def test_partners_that_training_has_not_seen_are_found_and_a_stored_run_gives_the_same_codes(tmp_path):
    dataset = correlated()
    model = UDSPH(**QUICK | {"bits": 32, "epochs": 10}).fit(dataset, output=tmp_path / "run", progress=False)
    assert isinstance(model.model.pair.image, LinearNetwork)
    query = dataset.splits["query"]
    image, text = model.encode_image(dataset.image.take(query)), model.encode_text(dataset.text.take(query))
    assert evaluate_pairs(image, text, cutoffs=[10], bits=32).recall[10] > 0.6  # chance: 0.1
    again = Hasher.load(tmp_path / "run")
    np.testing.assert_array_equal(again.encode_image(dataset.image.take(query)), image)


@pytest.mark.parametrize(
    ("kinds", "asked", "found"),
    [
        (("vectors", "vectors"), "auto", "pairwise"),
        (("vectors", "vectors"), "ranking", "ranking"),
        (("regions", "vectors"), "auto", "auto"),
    ],
)
def test_the_label_network_of_vectors_learns_by_pairs_unless_told_otherwise(
    kinds: tuple[str, str], asked: str, found: str
):
    data = make_dataset(kinds, multi=True)
    assert resolve(Config(label_loss=asked, **{**QUICK, "bits": 32}), data).label_loss == found


@pytest.mark.parametrize(
    ("bits", "asked", "found"), [(64, "auto", "pairwise"), (63, "auto", "auto"), (128, "ranking", "ranking")]
)
def test_the_label_network_of_long_codes_learns_by_pairs(bits: int, asked: str, found: str):
    data = make_dataset(("regions", "tokens"), multi=True)
    assert resolve(Config(label_loss=asked, **{**QUICK, "bits": bits}), data).label_loss == found
