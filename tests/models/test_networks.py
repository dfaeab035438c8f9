"""Networks: shapes, one modality alone, padding without effect, gradients."""

from __future__ import annotations

import pytest
import torch

from udsph.models import (
    Discriminator,
    LabelNetwork,
    ModalitySpec,
    PixelEncoder,
    RegionEncoder,
    TokenEncoder,
    VectorEncoder,
    build_modality,
)

SPECS = {
    "pixels": ModalitySpec("pixels", (16, 16, 3)),
    "tokens": ModalitySpec("tokens", (6,), vocabulary=12),
    "regions": ModalitySpec("regions", (5, 7)),
    "vectors": ModalitySpec("vectors", (9,)),
}


def items(kind: str, n: int = 4) -> tuple[torch.Tensor, torch.Tensor | None]:
    torch.manual_seed(3)
    if kind == "pixels":
        return torch.randint(0, 256, (n, 16, 16, 3), dtype=torch.uint8), None
    if kind == "tokens":
        return torch.randint(1, 12, (n, 6)), torch.tensor([6, 3, 1, 4])[:n]
    if kind == "regions":
        return torch.randn(n, 5, 7), torch.tensor([5, 2, 1, 4])[:n]
    return torch.randn(n, 9), None


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("view", ["image", "text"])
def test_shapes(kind, view):
    network = build_modality(SPECS[kind], view, 24, 3, part_width=8, parts=0)
    said = network(*items(kind))
    assert said.features.shape == (4, 512) and said.code_logits.shape == (4, 24) and said.class_logits.shape == (4, 3)
    torch.testing.assert_close(said.codes, torch.tanh(said.code_logits / 2))
    if kind == "vectors":
        assert said.parts is None
    else:
        assert said.parts.shape[0] == 4 and said.parts.shape[2] == 8


@pytest.mark.parametrize("kind", SPECS)
def test_a_code_depends_on_its_own_item_alone(kind):
    network = build_modality(SPECS[kind], "image", 24, 3, part_width=8, parts=0).eval()
    values, lengths = items(kind)
    together = network(values, lengths).code_logits
    for k in range(4):
        alone = network(values[k : k + 1], None if lengths is None else lengths[k : k + 1]).code_logits
        torch.testing.assert_close(alone[0], together[k], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["tokens", "regions"])
def test_what_lies_behind_the_length_has_no_effect(kind):
    network = build_modality(SPECS[kind], "text", 24, 3, part_width=8, parts=0).eval()
    values, lengths = items(kind)
    spoilt = values.clone()
    for k, length in enumerate(lengths.tolist()):
        spoilt[k, length:] = 11
    torch.testing.assert_close(network(values, lengths).code_logits, network(spoilt, lengths).code_logits)


@pytest.mark.parametrize("kind", ["tokens", "regions"])
def test_an_item_without_parts_still_has_a_code(kind):
    network = build_modality(SPECS[kind], "text", 24, 3, part_width=8, parts=0).eval()
    values, lengths = items(kind)
    lengths = torch.zeros_like(lengths)
    said = network(torch.zeros_like(values), lengths)
    assert torch.isfinite(said.code_logits).all()


@pytest.mark.parametrize("kind", SPECS)
def test_every_parameter_that_makes_a_code_gets_a_gradient(kind):
    network = build_modality(SPECS[kind], "text", 24, 3, part_width=8, parts=4)
    said = network(*items(kind))
    (said.code_logits.square().mean() + said.class_logits.square().mean() + said.parts.square().mean()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_cells_of_an_image_are_local():
    encoder = PixelEncoder(512, 8).eval()
    image = torch.randint(0, 256, (1, 256, 256, 3), dtype=torch.uint8)
    other = image.clone()
    other[:, :8, :8] = 255 - other[:, :8, :8]
    difference = (encoder(image).parts - encoder(other).parts).abs().sum(2)[0].reshape(32, 32)
    assert difference[0, 0] > 0 and difference[-8:, -8:].max() == 0


def test_words_tell_order_and_not_only_which():
    torch.manual_seed(0)
    encoder = TokenEncoder(12, 512, 8).eval()
    first, second = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[3, 2, 1, 4]])
    length = torch.tensor([4])
    assert (encoder(first, length).vector - encoder(second, length).vector).abs().max() > 1e-4


def test_a_bag_of_words_has_no_order_of_columns():
    """Turning the columns round, and the weights with them, changes nothing: nothing pools neighbouring columns."""
    torch.manual_seed(0)
    encoder = VectorEncoder(9, 512, 8, scales=(2, 4)).eval()
    values, order = torch.randn(3, 9), torch.randperm(9)
    before = encoder(values).vector
    with torch.no_grad():
        for layer in (encoder.direct, *(scale[0] for scale in encoder.scales)):
            layer.weight.copy_(layer.weight[:, order])
    torch.testing.assert_close(encoder(values[:, order]).vector, before, rtol=1e-4, atol=1e-5)


def test_vectors_are_standardised_and_a_constant_column_does_no_harm():
    encoder = VectorEncoder(3, 512, 8).eval()
    values = torch.tensor([[1.0, 100.0, 5.0], [3.0, 300.0, 5.0]])
    encoder.set_statistics(values.mean(0), values.std(0, unbiased=False))
    scaled = VectorEncoder(3, 512, 8).eval()
    scaled.load_state_dict(encoder.state_dict())
    scaled.set_statistics(torch.zeros(3), torch.ones(3))
    torch.testing.assert_close(
        encoder(values).vector, scaled(torch.tensor([[-1.0, -1.0, 0.0], [1.0, 1.0, 0.0]])).vector
    )


def test_parts_of_a_vector_are_its_largest_columns():
    encoder = VectorEncoder(5, 512, 8, parts=2).eval()
    parts = encoder(torch.tensor([[0.0, 3.0, -9.0, 0.5, 2.0]])).parts
    wanted = torch.stack([encoder.columns.weight[1] * 3, encoder.columns.weight[4] * 2])
    torch.testing.assert_close(parts[0], wanted)


def test_regions_have_no_order():
    encoder = RegionEncoder(7, 512, 8).eval()
    values = torch.randn(2, 5, 7)
    turned = encoder(values.flip(1))
    torch.testing.assert_close(encoder(values).vector, turned.vector, rtol=1e-4, atol=1e-5)


def test_label_network_and_discriminator():
    said = LabelNetwork(24, 3)(torch.tensor([[1, 0, 1], [0, 1, 0]], dtype=torch.uint8))
    assert said.features.shape == (2, 512) and said.code_logits.shape == (2, 24) and said.class_logits.shape == (2, 3)
    assert Discriminator()(said.features).shape == (2,)


def test_what_attention_teaches_a_vectors_parts_reaches_its_code():
    network = build_modality(SPECS["vectors"], "text", 24, 3, part_width=8, parts=4)
    said = network(*items("vectors"))
    said.code_logits.square().mean().backward()
    assert network.encoder.columns.weight.grad.abs().sum() > 0


def test_a_rare_word_does_not_outweigh_the_others():
    bag, plain = VectorEncoder(2, 512, 8, scales=(2,)), VectorEncoder(2, 512, 8)
    for encoder in (bag, plain):
        encoder.set_statistics(torch.zeros(2), torch.tensor([1.0, 0.01]))
    assert plain.deviation.tolist() == pytest.approx([1.0, 0.01])
    assert bag.deviation.tolist() == pytest.approx([1.5**0.5, 0.5**0.5], rel=1e-3)


def test_the_shortcut_starts_at_nothing_and_is_linear_in_the_vector():
    network = build_modality(SPECS["vectors"], "text", 24, 3, part_width=8, parts=0, shortcut=True).eval()
    assert build_modality(SPECS["regions"], "text", 24, 3, part_width=8, parts=0, shortcut=True).shortcut is None
    vectors = torch.randn(5, SPECS["vectors"].shape[0])
    before = network(vectors)
    torch.nn.init.normal_(network.shortcut.weight)
    after, added = network(vectors), vectors @ network.shortcut.weight.T
    torch.testing.assert_close(after.code_logits - before.code_logits, added[:, :24], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after.class_logits - before.class_logits, added[:, 24:], atol=1e-4, rtol=1e-4)
    without = build_modality(SPECS["vectors"], "text", 24, 3, part_width=8, parts=0).eval()
    without.load_state_dict({name: value for name, value in network.state_dict().items() if "shortcut" not in name})
    torch.testing.assert_close(without(vectors).code_logits, before.code_logits)
