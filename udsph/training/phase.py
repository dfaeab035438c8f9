"""One pass through a phase of a training: both modality networks from new weights, step by step."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from udsph.data import Dataset
from udsph.encoding.batches import read
from udsph.encoding.model import Model
from udsph.models.networks import ModalityNetwork, Outputs
from udsph.training import objective
from udsph.training.adversary import Adversary
from udsph.training.batches import augment
from udsph.training.canonical import start_linear
from udsph.training.schedule import one_cycle, parameter_groups, seed_of

GRADIENT_NORM = 5.0


class Scale(nn.Module):
    """A positive number that is learnt."""

    def __init__(self, start: float = 10.0) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self) -> Tensor:
        return self.logarithm.exp()


class Phase:
    """Both modality networks and the discriminators from new weights, their optimisers, and the moving average.

    The label network, once trained, stays as it is.

    Parameters
    ----------
    fabric
        Device, precision and processes.
    model
        Whose modality networks are made anew here.
    dataset
        From which the batches are read.
    items
        Through which the phase goes; linear networks start from what their pairs have in common.
    single
        Whether every item has one label.
    taught
        int64, the classes that have labelled items; None: all.

    Attributes
    ----------
    adversary
        The discriminators.
    scale
        Of the cosines of codes where pairs have no labels, learnt.
    average
        The moving average of the weights, which is what is kept in the end.
    best_weights
        The average at the epoch that was best so far.
    updates
        Steps of the optimiser.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: Model,
        dataset: Dataset,
        items: np.ndarray,
        single: bool,
        taught: np.ndarray | None = None,
    ) -> None:
        self.fabric, self.model, self.dataset, self.single = fabric, model, dataset, single
        self.taught = None if taught is None else torch.from_numpy(taught).to(fabric.device)
        self.config = config = model.config
        torch.manual_seed(seed_of(config.seed, "weights", 0))  # the same weights in every phase and every process
        model.reset_modalities()
        if model.config.linear == "true":
            start_linear(model, dataset, items)
        self.pair = model.pair
        for network in (self.pair.image, self.pair.text):
            if isinstance(network, ModalityNetwork) and network.reader is not None:
                network.reader.start_from(model.teacher)
        self.adversary = Adversary(fabric, config)
        # A fused step unscales half precision itself, which leaves no room to clip the gradients between.
        fused = config.precision != "16-mixed"
        optimiser = torch.optim.AdamW(
            parameter_groups(self.pair, config),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=fused,
        )
        self.scale = Scale().to(fabric.device)
        self.scale_optimiser = torch.optim.Adam(self.scale.parameters(), lr=config.learning_rate)
        self.wrapped, self.optimiser = fabric.setup(self.pair, optimiser)
        self.average: dict[str, Tensor] = copy.deepcopy(self.pair.state_dict())
        self.best_weights = copy.deepcopy(self.average)
        self.updates = 0

    def set_rates(self, done: float) -> None:
        """The learning rates where ``done`` of the planned training is over."""
        factor = one_cycle(done)
        for optimiser in (self.optimiser, self.scale_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = self.config.learning_rate * group.get("factor", 1.0) * factor
        self.adversary.set_rate(factor)

    def step(self, batch: np.ndarray, *, weight: float = 1.0, last: bool = True) -> objective.Losses:
        """Forward, the losses, backward; the optimisers step with the ``last`` of the accumulated batches, each of
        which has its ``weight`` in the gradient. Items with labels come first in a batch.
        """
        config, dataset, device = self.config, self.dataset, self.fabric.device
        image_batch = read(dataset.image, batch, device)
        if config.augment and dataset.image.kind == "pixels":
            image_batch = augment(image_batch[0]), image_batch[1]
        text_batch = read(dataset.text, batch, device)
        labelled = int(dataset.supervised[batch].sum())
        labels = torch.from_numpy(dataset.labels[batch[:labelled]]).to(device).float()
        with self.fabric.no_backward_sync(self.wrapped, enabled=not last):
            image, text = self.wrapped(image_batch, text_batch)
            said = {"image": image, "text": text}
            teacher = self._teach(labels)
            found = objective.modality_losses(
                *(image, text, teacher, labels, config, self.single), taught=self.taught, scale=self.scale()
            )
            found |= self.adversary.deception(said, labelled, teacher)
            objective.check_finite(found)
            loss = objective.total(found) * weight
            if self.fabric.world_size > 1:  # the gradients of several processes are of the same parameters
                loss = loss + objective.nothing(image, text)
            self.fabric.backward(loss)
        if last:
            self.fabric.clip_gradients(self.wrapped, self.optimiser, max_norm=GRADIENT_NORM)
            self.optimiser.step()
            self.optimiser.zero_grad()
            self._update_scale()
            self._update_average()
        return found | self.adversary.step(said, labelled, teacher)

    def _update_scale(self) -> None:
        """A step of the scale, which belongs to no network and is the same in all processes."""
        gradient = self.scale.logarithm.grad
        if gradient is None:
            if self.fabric.world_size == 1:
                return
            gradient = torch.zeros_like(self.scale.logarithm)
        self.scale.logarithm.grad = cast(Tensor, self.fabric.all_reduce(gradient, reduce_op="mean"))
        if bool(torch.isfinite(self.scale.logarithm.grad)):  # in half precision a scaled gradient may overflow
            self.scale_optimiser.step()
        self.scale_optimiser.zero_grad()

    def _teach(self, labels: Tensor) -> Outputs | None:
        if not self.config.label_net or not len(labels):
            return None
        self.model.teacher.eval()
        with torch.no_grad():
            return self.model.teacher(labels)

    def _update_average(self) -> None:
        self.updates += 1
        decay = min(self.config.averaging, self.updates / (10 + self.updates))  # short memory while weights move fast
        current = self.pair.state_dict()
        smooth = [name for name, value in current.items() if value.dtype.is_floating_point]
        with torch.no_grad():
            torch._foreach_lerp_([self.average[name] for name in smooth], [current[name] for name in smooth], 1 - decay)
            for name in current.keys() - smooth:
                self.average[name].copy_(current[name])

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the networks have their averaged weights."""
        current = copy.deepcopy(self.pair.state_dict())
        self.pair.load_state_dict(self.average)
        try:
            yield
        finally:
            self.pair.load_state_dict(current)

    def keep_best(self) -> None:
        """The average of now is the best so far."""
        self.best_weights = copy.deepcopy(self.average)

    def state(self) -> dict[str, Any]:
        """Everything that a later process needs to continue, in tensors and plain values."""
        return {
            "updates": self.updates,
            "average": self.average,
            "best_weights": self.best_weights,
            "adversary": self.adversary.state(),
            "scale": self.scale.state_dict(),
            "scale_optimiser": self.scale_optimiser.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state`` returned; the weights of the networks themselves are the model's."""
        self.adversary.restore(state["adversary"])
        self.scale.load_state_dict(state["scale"])
        self.scale_optimiser.load_state_dict(state["scale_optimiser"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.updates = state["updates"]
        self.average, self.best_weights = dict(state["average"]), dict(state["best_weights"])
