"""What is minimised: the losses of one batch by name, for the teacher, the modality networks and the discriminators.

Where some pairs have no labels, those that have come first in a batch.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from udsph.attention import cross_attention_scores
from udsph.encoding.config import Config
from udsph.models.networks import Outputs
from udsph.training import losses

Losses = dict[str, Tensor]
RANKED = 64  # items of a batch that the label network ranks; the cost grows with their cube


def label_losses(
    teacher: Outputs, labels: Tensor, single: bool, taught: Tensor | None = None, *, loss: str = "auto"
) -> Losses:
    """The label network's own losses: it learns from the labels alone.

    With one label an item every loss ranks perfectly, and ``pairwise`` draws the classes the furthest apart; with
    several ``auto`` is ``ranking``.
    """
    similar = losses.similarity(labels, labels)
    classified = losses.classification(teacher.class_logits, labels, single=single, taught=taught)
    if loss == "pairwise" or (loss == "auto" and single):
        codes = {"label_pairwise": losses.pairwise_likelihood(teacher.codes, teacher.codes, similar)}
    else:
        codes = {"label_ranking": 10 * losses.graded_ranking(teacher.codes[:RANKED], labels[:RANKED])}
    return codes | {
        "label_feature": 0.1 * losses.pairwise_likelihood(teacher.features, teacher.features, similar),
        "label_quantisation": 0.1 * losses.quantisation(teacher.codes),
        "label_classify": 0.5 * classified,
        "label_equal": 0.1 * losses.balance(teacher.codes),
    }


def modality_losses(
    image: Outputs,
    text: Outputs,
    teacher: Outputs | None,
    labels: Tensor,
    config: Config,
    single: bool,
    *,
    taught: Tensor | None = None,
    scale: Tensor | float = 10.0,
) -> Losses:
    """The losses of the two modality networks, without the adversarial one.

    Parameters
    ----------
    teacher, labels
        Of the first items of the batch; those of all others have no labels, for which there are the pairs.
    single, taught
        Whether every item has one label, and which classes have any: :func:`udsph.training.losses.classification`.
    scale
        Of the cosines of :func:`udsph.training.losses.pairing`.
    """
    labelled, found = len(labels), {}
    if labelled == len(image.codes):
        found = supervised_losses(image, text, teacher, labels, config, single, taught)
    else:
        if labelled:
            parts = image.first(labelled), text.first(labelled)
            found = supervised_losses(*parts, teacher, labels, config, single, taught)
        found |= unsupervised_losses(image, text, labels, config, scale)
    for name, said in (("image", image), ("text", text)):
        found[f"{name}_equal"] = config.weight_equal * losses.balance(said.codes)
    return found


def supervised_losses(
    image: Outputs,
    text: Outputs,
    teacher: Outputs | None,
    labels: Tensor,
    config: Config,
    single: bool,
    taught: Tensor | None = None,
) -> Losses:
    """The losses of items with labels.

    With a teacher both networks follow its features, codes and bits. Without one they follow each other, and the bits
    that both would choose together.
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
        classified = losses.classification(said.class_logits, labels, single=single, taught=taught)
        found[f"{name}_bit"] = config.weight_bit * losses.bit_likelihood(said.code_logits, bits)
        found[f"{name}_classify"] = config.weight_classify * classified
        if said.attended is not None:
            attended = losses.classification(said.attended.logits, labels, single=single, taught=taught)
            found[f"{name}_attend"] = config.weight_attend * attended
    if config.weight_match and image.parts is not None and text.parts is not None:
        found["match"] = config.weight_match * matching_loss(image, text, labels, config)
    return found


def unsupervised_losses(image: Outputs, text: Outputs, labels: Tensor, config: Config, scale: Tensor | float) -> Losses:
    """What pairs teach without labels; the first items of the batch may have some, and those that share one are not
    told apart.
    """
    labelled, items = len(labels), len(image.codes)
    similar = image.codes.new_zeros(items, items, dtype=torch.float32)
    if labelled:
        similar[:labelled, :labelled] = losses.similarity(labels, labels)
    found = {"pairing": config.weight_pairing * losses.pairing(image.codes, text.codes, scale, similar)}
    if not labelled:
        both = _sum(losses.quantisation(said.codes) for said in (image, text))
        found["quantisation"] = config.weight_quantise * both
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


def nothing(*said: Outputs) -> Tensor:
    """Zero, through everything that the networks said, also what no loss of this batch looks at."""
    tensors = [value for one in said for value in (*one[:-1], *(one.attended or ())) if value is not None]
    return _sum(value.float().sum() * 0 for value in tensors if value.is_floating_point())


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
