"""Layers: what one group of columns sees, and into how many groups bits part."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from udsph.models import ModalitySpec, build_modality
from udsph.models.layers import GroupedLinear, groups_of


def test_one_group_is_a_linear_layer():
    layer, plain = GroupedLinear(6, 4), nn.Linear(6, 4)
    with torch.no_grad():
        plain.weight.copy_(layer.weight[0].T)
        plain.bias.copy_(layer.bias[0, 0])
    values = torch.randn(5, 6)
    torch.testing.assert_close(layer(values), plain(values))


def test_a_group_sees_its_own_columns_alone():
    layer = GroupedLinear(6, 4, groups=2)
    seen = torch.autograd.functional.jacobian(layer, torch.randn(1, 6))[0, :, 0]
    assert (seen[:2, :3] != 0).all() and (seen[2:, 3:] != 0).all()
    assert (seen[:2, 3:] == 0).all() and (seen[2:, :3] == 0).all()


def test_columns_that_cannot_be_parted_are_refused():
    with pytest.raises(ValueError, match="6 and 5 columns cannot be parted into 2"):
        GroupedLinear(6, 5, groups=2)


@pytest.mark.parametrize(
    ("wanted", "bits", "groups"), [(8, 64, 8), (8, 128, 8), (8, 16, 4), (8, 36, 4), (8, 3, 1), (1, 64, 1), (8, 65, 1)]
)
def test_every_group_has_some_bits_and_as_many_as_the_others(wanted, bits, groups):
    assert groups_of(wanted, bits, 1024) == groups


@pytest.mark.parametrize("kind", ["vectors", "regions"])
def test_above_the_encoder_a_group_of_bits_has_layers_of_its_own(kind):
    spec = ModalitySpec(kind, (5, 9) if kind == "regions" else (9,))
    network = build_modality(spec, "image", 16, 3, part_width=8, parts=0, width=32, groups=4)
    items = torch.randn(6, *spec.shape)
    said = network(items)
    said.code_logits[:, :4].square().sum().backward()
    for layer in (network.to_features[0], network.to_code):
        moved = layer.weight.grad.abs().sum((1, 2)) > 0
        assert moved.tolist() == [True, False, False, False]
