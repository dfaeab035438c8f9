"""Attention inside an encoder: against a plain loop, with masked and missing parts, and what it is wired to."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.models.test_networks import SPECS, items
from udsph.models import ModalityPair, build_modality
from udsph.models import attention as room


def batch(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, parts and which are valid: all, some, one, none."""
    torch.manual_seed(0)
    valid = torch.arange(5) < torch.tensor([5, 3, 1, 0]).unsqueeze(1)
    return torch.randn(3, 6, dtype=dtype), torch.randn(4, 5, 6, dtype=dtype), valid


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 16.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_attending_is_the_plain_loop(sharpness, dtype):
    queries, parts, valid = batch(dtype)
    wanted = room.reference(queries.double(), parts.double(), valid, sharpness)
    exact = {torch.bfloat16: 0.08, torch.float32: 1e-5, torch.float64: 1e-5}[dtype]  # the softmax is in float32
    for found, right in zip(room.attend(queries, parts, valid, sharpness), wanted, strict=True):
        torch.testing.assert_close(found.double(), right, rtol=exact, atol=exact)


def test_no_mask_is_a_mask_of_all_parts():
    queries, parts, valid = batch()
    every = room.attend(queries, parts, torch.ones_like(valid), 3.0)
    torch.testing.assert_close(room.attend(queries, parts, None, 3.0), every)


def test_gradients_are_those_of_the_plain_loop():
    queries, parts, valid = batch(torch.float32)
    found = []
    for form in (room.attend, room.reference):
        inputs = [queries.clone().requires_grad_(), parts.clone().requires_grad_(), torch.tensor(4.0).requires_grad_()]
        vectors, weights = form(inputs[0], inputs[1], valid, inputs[2])
        found.append(torch.autograd.grad(vectors.square().sum() + weights.square().sum(), inputs))
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_weights_are_a_mean_over_valid_parts_and_nothing_without_any():
    queries, parts, valid = batch()
    vectors, weights = room.attend(queries, parts, valid, 3.0)
    torch.testing.assert_close(weights.sum(2), valid.any(1).float().unsqueeze(1).expand(4, 3))
    assert (weights.movedim(1, 2)[~valid] == 0).all() and (vectors[3] == 0).all()
    spoilt = torch.where(valid.unsqueeze(2), parts, 1e6)
    torch.testing.assert_close(room.attend(queries, spoilt, valid, 3.0), (vectors, weights))


def test_zero_parts_and_queries_have_finite_gradients():
    queries, parts = torch.zeros(3, 6, requires_grad=True), torch.zeros(4, 5, 6, requires_grad=True)
    vectors, _ = room.attend(queries, parts, torch.ones(4, 5, dtype=torch.bool), 16.0)
    vectors.sum().backward()
    assert torch.isfinite(queries.grad).all() and torch.isfinite(parts.grad).all()


def pair_of(
    attention: str, kinds: tuple[str, str] = ("pixels", "tokens"), parts: int = 0, reading: str = "false"
) -> ModalityPair:
    torch.manual_seed(0)
    networks = [
        build_modality(SPECS[kind], view, 24, 3, part_width=8, parts=parts, width=64)
        for kind, view in zip(kinds, ("image", "text"), strict=True)
    ]
    return ModalityPair(networks[0], networks[1], attention=attention, reading=reading)


@pytest.mark.parametrize("form", ["label", "uniform"])
@pytest.mark.parametrize("kind", ["pixels", "tokens", "regions"])
def test_what_is_attended_to_reaches_code_and_classes_of_one_item_alone(form, kind):
    network = pair_of(form, (kind, kind)).eval().image
    values, lengths = items(kind)
    said = network(values, lengths)
    assert said.attended.logits.shape == (4, 3) and said.attended.weights.shape == (4, 3, said.parts.shape[1])
    torch.testing.assert_close(said.attended.weights.sum(2), torch.ones(4, 3))
    for k in range(4):
        alone = network(values[k : k + 1], None if lengths is None else lengths[k : k + 1])
        torch.testing.assert_close(alone.code_logits[0], said.code_logits[k], rtol=1e-4, atol=1e-5)
    network.attention.to_features[-1].weight.data.mul_(3)
    assert not torch.allclose(network(values, lengths).code_logits, said.code_logits)


def test_uniform_weights_are_equal_and_label_weights_are_not():
    for form, equal in (("uniform", True), ("label", False)):
        weights = pair_of(form).eval().image(*items("pixels")).attended.weights
        assert torch.allclose(weights, torch.full_like(weights, 1 / weights.shape[2])) == equal


def test_both_modalities_ask_with_the_same_queries():
    pair = pair_of("label")
    names = [name for name, _ in pair.named_parameters() if "queries" in name]
    assert names == ["queries.weight"] and "queries.weight" in pair.state_dict()
    for view, kind in (("image", "pixels"), ("text", "tokens")):
        pair.zero_grad()
        getattr(pair, view)(*items(kind)).code_logits.square().mean().backward()
        assert pair.queries.weight.grad.abs().sum() > 0, view
    twin = copy.deepcopy(pair)
    for view in ("image", "text"):
        assert getattr(twin, view).attention.shared[0] is twin.queries is not pair.queries


def test_every_parameter_of_the_attention_gets_a_gradient():
    pair = pair_of("label")
    said = pair(items("pixels"), items("tokens"))
    sum(one.code_logits.square().mean() + one.attended.logits.square().mean() for one in said).backward()
    without = [name for name, p in pair.named_parameters() if p.grad is None and "to_classes" not in name]
    assert [name for name in without if "attention" in name or "queries" in name] == []


def test_a_modality_without_parts_stays_as_it_is():
    plain, attending = pair_of("none", ("vectors", "vectors")), pair_of("label", ("vectors", "vectors"))
    assert list(plain.state_dict()) == list(attending.state_dict())
    mixed = pair_of("label", ("regions", "vectors"))
    assert mixed.image.attention is not None and mixed.text.attention is None
    assert pair_of("label", ("vectors", "vectors"), parts=2).text.attention is not None


def test_many_classes_pass_a_bottleneck():
    queries = room.ClassQueries(80, 64)
    weights = sum(p.numel() for p in room.ClassAttention(queries, 1024).to_features.parameters() if p.dim() == 2)
    assert weights == 80 * 64 * room.RANK + room.RANK * 1024
    assert room.ClassAttention(queries, 256).to_features[-1].weight.shape == (256, 80 * 64), "nothing to save"
    few = room.ClassAttention(room.ClassQueries(16, 64), 1024).to_features
    assert few[-1].weight.shape == (1024, 16 * 64)


def test_autocast_gives_nearly_the_same():
    network = pair_of("label").eval().image
    with torch.no_grad():
        full = network(*items("pixels"))
        with torch.autocast("cpu", torch.bfloat16):
            half = network(*items("pixels"))
    assert half.attended.weights.dtype == torch.float32
    torch.testing.assert_close(half.attended.weights, full.attended.weights, atol=0.05, rtol=0.2)
    torch.testing.assert_close(half.code_logits.float(), full.code_logits, atol=0.05, rtol=0.2)
