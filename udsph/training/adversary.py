"""The adversarial part of a training: critics, their optimiser, and what the modality networks get through them.

``codes`` (the default) has something to do only where some pairs have no labels: each modality's codes of such items
should pass for codes of the label network, of which it is known what labels they stand for. ``features`` is the form of
SSAH, on the features of labelled items. ``quantise`` is a control: it asks of the codes of items without labels only
that they lie near their signs, as the label network's do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from udsph.data.directions import MODALITIES
from udsph.encoding.config import Config
from udsph.models.networks import CodeCritic, Discriminator, Outputs
from udsph.training import losses, objective
from udsph.training.objective import Losses

Said = Mapping[str, Outputs]


class Adversary:
    """Critics of one phase; it acts where the configuration and the batch give it something to compare.

    Parameters
    ----------
    fabric
        Device and processes.
    config
        Of which ``adversarial`` names the form; without a label network ``codes`` has no teacher, and does nothing.
    """

    def __init__(self, fabric: Fabric, config: Config) -> None:
        self.fabric, self.config = fabric, config
        self.form = config.adversarial if config.weight_adversary else "none"
        if self.form == "codes" and not config.label_net:
            self.form = "none"
        self.critics = self._critics().to(fabric.device)
        self.optimiser: torch.optim.Optimizer | None = None
        if len(self.critics):
            # A fused step unscales half precision itself, which leaves no room to clip the gradients between.
            fused = config.precision != "16-mixed"
            form = torch.optim.Adam if self.form == "codes" else torch.optim.AdamW
            self.optimiser = form(
                self.critics.parameters(), lr=config.discriminator_rate, betas=(0.5, 0.99), fused=fused
            )

    def _critics(self) -> nn.ModuleDict:
        config = self.config
        if self.form == "codes":
            return nn.ModuleDict({name: CodeCritic(config.bits) for name in MODALITIES})
        if self.form == "features":
            names = MODALITIES if config.label_net else ("pair",)
            return nn.ModuleDict({name: Discriminator(config.width) for name in names})
        return nn.ModuleDict()

    def deception(self, said: Said, labelled: int, teacher: Outputs | None) -> Losses:
        """The modality networks' adversarial losses for a batch whose first ``labelled`` items have labels."""
        weight = self.config.weight_adversary
        if self.form == "features" and labelled:
            first = {name: outputs.first(labelled) for name, outputs in said.items()}
            return objective.deception_losses(self.critics, first["image"], first["text"], self.config)
        codes = {name: outputs.codes[labelled:] for name, outputs in said.items()}
        if not len(codes["image"]):
            return {}
        if self.form == "quantise":
            return {f"{name}_adversary": weight * losses.quantisation(fake) for name, fake in codes.items()}
        if self.form != "codes" or teacher is None:
            return {}
        with objective.frozen(self.critics):
            return {f"{name}_adversary": -weight * self.critics[name](fake).mean() for name, fake in codes.items()}

    def step(self, said: Said, labelled: int, teacher: Outputs | None) -> Losses:
        """Let the critics learn from the batch, on values from which no gradient flows back; their losses."""
        if self.optimiser is None:
            return {}
        found = self._verdicts(said, labelled, teacher)
        if not found and self.fabric.world_size == 1:
            return {}
        self.optimiser.zero_grad()
        if found:
            objective.check_finite(found)
            objective.total(found).backward()
        for parameter in self.critics.parameters():  # a process with nothing to compare takes part all the same
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = cast(Tensor, self.fabric.all_reduce(gradient, reduce_op="mean"))
        self.optimiser.step()
        return found

    def _verdicts(self, said: Said, labelled: int, teacher: Outputs | None) -> Losses:
        """The losses of the critics; none where the batch has nothing to compare."""
        if self.form == "features":
            if not labelled:
                return {}
            first = {name: outputs.first(labelled) for name, outputs in said.items()}
            return objective.discriminator_losses(self.critics, first["image"], first["text"], teacher)
        if teacher is None or labelled == len(said["image"].codes):
            return {}
        real, found = (teacher.code_logits > 0).float() * 2 - 1, {}
        for name, outputs in said.items():
            fake = outputs.codes[labelled:].detach().float()
            verdicts = self.critics[name](torch.cat([real, fake])).split([len(real), len(fake)])
            found[f"{name}_critic"] = losses.separation(*verdicts)
        return found

    def set_rate(self, factor: float) -> None:
        """The learning rate of the critics, as a share of its highest."""
        if self.optimiser is not None:
            for group in self.optimiser.param_groups:
                group["lr"] = self.config.discriminator_rate * factor

    def state(self) -> dict[str, Any]:
        """What a later process needs to continue."""
        optimiser = {} if self.optimiser is None else self.optimiser.state_dict()
        return {"critics": self.critics.state_dict(), "optimiser": optimiser}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state`` returned."""
        self.critics.load_state_dict(state["critics"])
        if self.optimiser is not None:
            self.optimiser.load_state_dict(state["optimiser"])
