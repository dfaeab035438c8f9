"""What is minimised: the losses of one batch by name, for the teacher, the modality networks and the discriminators."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from udsph.attention import cross_attention_scores
from udsph.encoding.config import Config
from udsph.models.networks import Outputs
from udsph.training import losses

Losses = dict[str, Tensor]


def label_losses(teacher: Outputs, labels: Tensor, single: bool) -> Losses:
    """The label network's own losses: it learns from the labels alone."""
    similar = losses.similarity(labels, labels)
    return {
        "label_pairwise": losses.pairwise_likelihood(teacher.codes, teacher.codes, similar),
        "label_feature": 0.1 * losses.pairwise_likelihood(teacher.features, teacher.features, similar),
        "label_quantisation": 0.1 * losses.quantisation(teacher.codes),
        "label_classify": 0.5 * losses.classification(teacher.class_logits, labels, single=single),
        "label_equal": 0.1 * losses.balance(teacher.codes),
    }


def modality_losses(
    image: Outputs, text: Outputs, teacher: Outputs | None, labels: Tensor, config: Config, single: bool
) -> Losses:
    """The losses of the two modality networks, without the adversarial one.

    With a teacher both follow its features, codes and bits. Without one they follow each other, and the bits that both
    would choose together.
    """
    similar = losses.similarity(labels, labels)
    codes = losses.pairwise_likelihood(image.codes, text.codes, similar)
    if teacher is None:
        features = losses.pairwise_likelihood(image.features, text.features, similar)
        wanted = (image.codes + text.codes).detach()
    else:
        anchors = (image, teacher), (text, teacher)
        codes = codes + _sum(losses.pairwise_likelihood(a.codes, b.codes, similar) for a, b in anchors)
        features = _sum(losses.pairwise_likelihood(a.features, b.features, similar) for a, b in anchors)
        wanted = teacher.code_logits
    bits = (wanted > 0).float()
    found = {"pairwise": config.weight_pairwise * codes, "feature": config.weight_feature * features}
    for name, said in (("image", image), ("text", text)):
        classified = losses.classification(said.class_logits, labels, single=single)
        found[f"{name}_bit"] = config.weight_bit * losses.bit_likelihood(said.code_logits, bits)
        found[f"{name}_classify"] = config.weight_classify * classified
        found[f"{name}_equal"] = config.weight_equal * losses.balance(said.codes)
        if said.attended is not None:
            attended = losses.classification(said.attended.logits, labels, single=single)
            found[f"{name}_attend"] = config.weight_classify * attended
    if config.weight_match and image.parts is not None and text.parts is not None:
        found["match"] = config.weight_match * matching_loss(image, text, labels, config)
    return found


def matching_loss(image: Outputs, text: Outputs, labels: Tensor, config: Config) -> Tensor:
    """Cross-modal attention between the local parts of the first ``attention_pairs`` pairs of the batch.

    The batch is in random order, so the first are a random choice; the cost grows with their square.
    """
    assert image.parts is not None and text.parts is not None
    take = slice(0, config.attention_pairs)
    scores = cross_attention_scores(
        image.parts[take].float(),
        text.parts[take].float(),
        None if image.lengths is None else image.lengths[take],
        None if text.lengths is None else text.lengths[take],
        backend=config.backend,
    )
    return losses.matching(scores, labels[take], config.margin)


def deception_losses(critics: nn.ModuleDict, image: Outputs, text: Outputs, config: Config) -> Losses:
    """The adversarial losses of the modality networks: their features should pass for the other side's.

    The discriminators are part of the path but not of what is updated: the gradient passes through them to the
    features.
    """
    found = {}
    with frozen(critics):
        if "pair" in critics:
            found["image_adversary"] = losses.discrimination(critics["pair"](image.features), real=False)
            found["text_adversary"] = losses.discrimination(critics["pair"](text.features), real=True)
        else:
            found["image_adversary"] = losses.discrimination(critics["image"](image.features), real=True)
            found["text_adversary"] = losses.discrimination(critics["text"](text.features), real=True)
    return {name: config.weight_adversary * value for name, value in found.items()}


def discriminator_losses(critics: nn.ModuleDict, image: Outputs, text: Outputs, teacher: Outputs | None) -> Losses:
    """The discriminators' own losses, on features from which no gradient flows back.

    One discriminator per modality tells it from the teacher; without a teacher a single one tells image (1) from
    text (0).
    """
    if teacher is None:
        return {"critic": _verdict(critics["pair"], image.features, text.features)}
    both = ("image", image), ("text", text)
    return {f"{name}_critic": _verdict(critics[name], teacher.features, said.features) for name, said in both}


def _verdict(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """A discriminator's loss on both kinds of features, in one pass."""
    said_real, said_fake = critic(torch.cat([real, fake]).detach()).split([len(real), len(fake)])
    return losses.discrimination(said_real, real=True) + losses.discrimination(said_fake, real=False)


class frozen:
    """Within it the parameters of a module are constants; gradients still pass through to its input."""

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)


def check_finite(found: Losses) -> None:
    """Raise a FloatingPointError that names the first loss which is NaN or infinite, and its value."""
    if bool(torch.isfinite(total(found).detach())):
        return
    for name, value in found.items():
        if not bool(torch.isfinite(value.detach())):
            raise FloatingPointError(f"{name} is {float(value.detach())}")
    raise FloatingPointError(f"sum of {', '.join(found)} is {float(total(found).detach())}")


def total(found: Losses) -> Tensor:
    """The sum of the losses."""
    return _sum(found.values())


def _sum(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()
