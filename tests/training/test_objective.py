"""Which networks each loss moves: the wiring of the model."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from tests.training.conftest import QUICK
from udsph.models import Discriminator, LabelNetwork, ModalityNetwork, ModalityPair, PixelEncoder, TokenEncoder
from udsph.training import Config, objective

CONFIG = Config.from_settings(QUICK | {"weight_match": 0.2, "adversarial": "features"})
N, CLASSES = 8, 4


class Networks:
    """Everything that is trained, and what it says of one batch."""

    def __init__(self, label_net: bool = True, attention: str = "none") -> None:
        torch.manual_seed(0)
        self.image = ModalityNetwork(PixelEncoder(512, 16, channels=4), 16, CLASSES)
        self.text = ModalityNetwork(TokenEncoder(10, 512, 16), 16, CLASSES)
        self.queries = ModalityPair(self.image, self.text, attention=attention).queries
        self.label = LabelNetwork(16, CLASSES)
        names = ("image", "text") if label_net else ("pair",)
        self.critics = nn.ModuleDict({name: Discriminator() for name in names})
        self.labels = torch.eye(CLASSES)[torch.arange(N) % CLASSES]
        self.image_said = self.image(torch.randint(0, 256, (N, 16, 16, 3), dtype=torch.uint8))
        self.text_said = self.text(torch.randint(1, 10, (N, 6)), torch.full((N,), 6))
        self.label_said = self.label(self.labels) if label_net else None

    def moved(self, loss: torch.Tensor) -> set[str]:
        """Names of the networks that the gradient of a loss reaches."""
        modules = {"image": self.image, "text": self.text, "label": self.label, "critics": self.critics}
        modules |= {"queries": self.queries} if self.queries is not None else {}
        for module in modules.values():
            module.zero_grad()
        loss.backward(retain_graph=True)
        return {
            name
            for name, module in modules.items()
            if any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
        }


@pytest.mark.parametrize("label_net", [True, False])
def test_the_adversarial_loss_moves_the_image_and_the_text_network_and_only_them(label_net):
    networks = Networks(label_net)
    found = objective.deception_losses(networks.critics, networks.image_said, networks.text_said, CONFIG)
    assert networks.moved(found["image_adversary"]) == {"image"}
    assert networks.moved(found["text_adversary"]) == {"text"}
    first = next(networks.text.encoder.embedding.parameters())
    assert first.grad is not None and first.grad.abs().sum() > 0, "down to the first layer"
    assert all(p.requires_grad for p in networks.critics.parameters()), "the discriminators can learn again"


@pytest.mark.parametrize("label_net", [True, False])
def test_the_discriminators_losses_move_only_the_discriminators(label_net):
    networks = Networks(label_net)
    found = objective.discriminator_losses(
        networks.critics, networks.image_said, networks.text_said, networks.label_said
    )
    assert set(found) == ({"image_critic", "text_critic"} if label_net else {"critic"})
    assert networks.moved(objective.total(found)) == {"critics"}


def test_deceiving_lowers_what_the_discriminator_can_tell():
    networks = Networks()
    features = networks.image_said.features.detach().requires_grad_()
    said = networks.image_said._replace(features=features)
    found = objective.deception_losses(networks.critics, said, networks.text_said, CONFIG)
    (gradient,) = torch.autograd.grad(found["image_adversary"], features)
    critic = networks.critics["image"]
    before, after = critic(features).mean(), critic(features - 1e3 * gradient).mean()
    assert after > before, "a step downhill makes the features pass for the label network's more, not less"


def test_without_a_label_network_the_two_modalities_deceive_in_opposite_directions():
    networks = Networks(label_net=False)
    features = networks.image_said.features.detach().requires_grad_()
    both = networks.image_said._replace(features=features)
    found = objective.deception_losses(networks.critics, both, both, CONFIG)
    image, text = (torch.autograd.grad(found[f"{view}_adversary"], features)[0] for view in ("image", "text"))
    assert float((image * text).sum()) < 0


def test_the_label_network_learns_alone():
    networks = Networks()
    for loss, single, taken in (("ranking", True, "ranking"), ("pairwise", False, "pairwise"),
                                ("auto", True, "pairwise"), ("auto", False, "ranking")):  # fmt: skip
        found = objective.label_losses(networks.label_said, networks.labels, single=single, loss=loss)
        assert f"label_{taken}" in found and networks.moved(objective.total(found)) == {"label"}


@pytest.mark.parametrize("name", ["pairwise", "feature", "image_bit", "text_bit", "image_classify", "text_equal"])
def test_each_loss_moves_the_networks_it_speaks_of(name):
    networks = Networks()
    label = networks.label_said._replace(**{k: getattr(networks.label_said, k).detach() for k in ("features",)})
    label = label._replace(code_logits=label.code_logits.detach(), class_logits=label.class_logits.detach())
    found = objective.modality_losses(
        networks.image_said, networks.text_said, label, networks.labels, CONFIG, single=True
    )
    wanted = {"image", "text"} if "_" not in name else {name.split("_")[0]}
    assert networks.moved(found[name]) == wanted


@pytest.mark.parametrize("backend", ["reference", "gram", "cpu", "auto"])
def test_attention_reaches_both_encoders_by_every_backend(backend):
    networks, config = Networks(), dataclasses.replace(CONFIG, backend=backend)
    loss = objective.matching_loss(networks.image_said, networks.text_said, networks.labels, config)
    assert networks.moved(loss) == {"image", "text"}
    stem = networks.image.encoder.stem[0][0].weight.grad
    embedding = networks.text.encoder.embedding.weight.grad
    assert stem.abs().sum() > 0 and embedding.abs().sum() > 0
    reference = objective.matching_loss(
        networks.image_said, networks.text_said, networks.labels, dataclasses.replace(CONFIG, backend="reference")
    )
    torch.testing.assert_close(loss, reference, rtol=1e-4, atol=1e-5)


def names(config: Config, label_net: bool = True) -> set[str]:
    networks = Networks(label_net)
    found = objective.modality_losses(
        networks.image_said, networks.text_said, networks.label_said, networks.labels, config, single=True
    )
    return {name for name, value in found.items() if float(value.detach()) != 0}


def test_every_weight_scales_its_losses():
    assert names(CONFIG) >= {"pairwise", "feature", "image_bit", "text_classify", "image_equal", "match"}
    for weight, part in (
        ("pairwise", "pairwise"), ("feature", "feature"), ("bit", "_bit"), ("classify", "_classify"),
        ("equal", "_equal"), ("match", "match"),
    ):  # fmt: skip
        without = names(dataclasses.replace(CONFIG, **{f"weight_{weight}": 0.0}))
        assert names(CONFIG) - without == {name for name in names(CONFIG) if name.endswith(part)}


def test_a_network_with_attention_is_also_classified_by_what_it_attends_to():
    networks = Networks(attention="label")
    losses = [
        objective.modality_losses(
            networks.image_said, networks.text_said, networks.label_said, labels, CONFIG, single=True
        )
        for labels in (networks.labels, networks.labels.roll(1, 1))
    ]
    for name in ("image", "text"):
        assert networks.moved(losses[0][f"{name}_attend"]) == {name, "queries"}
        assert not torch.equal(losses[0][f"{name}_attend"], losses[1][f"{name}_attend"])
    assert "image_attend" not in names(CONFIG)


def test_a_loss_that_is_not_finite_is_named():
    objective.check_finite({"good": torch.tensor(1.0), "other": torch.tensor(0.0)})
    with pytest.raises(FloatingPointError, match=r"^other is nan$"):
        objective.check_finite({"good": torch.tensor(1.0), "other": torch.tensor(torch.nan)})
    with pytest.raises(FloatingPointError, match=r"^good is inf$"):
        objective.check_finite({"good": torch.tensor(torch.inf), "other": torch.tensor(-torch.inf)})
