"""The training of one model: the teacher first, then both modality networks against it, epoch by epoch.

A training is a list of phases. ``label`` trains the label network, which is fixed from then on. ``select`` trains
on the training split without its validation part and measures the validation part's MAP. ``refit`` starts again on
the whole training split for as many epochs as were best. Each epoch draws its random numbers from the seed and its
own number, so that a training that continues from a checkpoint is the same as one that was never interrupted.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from udsph.data import Dataset, split_validation
from udsph.encoding.batches import read
from udsph.encoding.config import Config
from udsph.encoding.model import Model
from udsph.errors import InputError
from udsph.models.backbone import parameter_groups
from udsph.models.networks import Discriminator, Outputs
from udsph.training import objective
from udsph.training.batches import augment, pieces
from udsph.training.progress import Progress
from udsph.training.schedule import one_cycle, seed_of
from udsph.training.teacher import train_label_network
from udsph.training.validation import validation_map

GRADIENT_NORM = 5.0


class Trainer:
    """Trains one model on one dataset; ``state`` and ``restore`` make it interruptible between epochs."""

    def __init__(self, fabric: Fabric, config: Config, dataset: Dataset, model: Model, progress: Progress) -> None:
        self.fabric, self.config, self.dataset, self.model, self.progress = fabric, config, dataset, model, progress
        self.fitted, self.held = split_validation(dataset.splits["train"], config.validation, config.seed)
        smallest = min(len(piece) for piece in pieces(self.fitted, config.batch_size)) // fabric.world_size
        if smallest < 2:
            raise InputError(
                f"{dataset.name}: {len(self.fitted)} items to fit leave less than 2 to each of {fabric.world_size} "
                "processes; give fewer devices"
            )
        labels = dataset.labels[dataset.splits["train"]]
        self.single = bool((labels.sum(1) == 1).all())
        self.device = fabric.device
        self.done_epochs = 0  # of the current phase
        self.phase = "label" if config.label_net else "select"
        self.best: tuple[float, int] = (-1.0, 0)  # validation MAP and number of epochs
        self._start_phase()

    # -- phases ---------------------------------------------------------------------------------------------------

    def epochs_of(self, phase: str) -> int:
        """How many epochs a phase has."""
        if phase == "label":
            return 1
        return self.best[1] if phase == "refit" else self.config.epochs

    def run(self) -> Iterator[None]:
        """Train to the end; yields after every epoch, where the state may be stored."""
        while self.phase != "done":
            while self.done_epochs < self.epochs_of(self.phase):
                # Every process draws its own noise; the order of the items is the same in all.
                torch.manual_seed(seed_of(self.config.seed, self.phase, self.done_epochs) + self.fabric.global_rank)
                found = self._label_epoch() if self.phase == "label" else self._epoch()
                self.done_epochs += 1
                score = self._validate() if self.phase == "select" else None
                self.progress.epoch(self.phase, self.done_epochs, self.epochs_of(self.phase), found, score)
                if score is not None and self._out_of_patience():
                    break
                yield
            self._next_phase()
        yield

    def _next_phase(self) -> None:
        following = {"label": "select", "select": "refit" if self.config.refit == "true" else "done", "refit": "done"}
        if self.phase == "refit":
            self.model.pair.load_state_dict(self.average)
        elif self.phase == "select" and self.config.refit == "false":
            self.model.pair.load_state_dict(self.best_weights)
        self.phase = following[self.phase]
        self.done_epochs = 0
        if self.phase != "done":
            self._start_phase()

    def _start_phase(self) -> None:
        """Fresh networks and optimisers; the teacher, once trained, stays."""
        config = self.config
        torch.manual_seed(seed_of(config.seed, "weights", 0))
        if self.phase == "label":
            return
        self.model.reset_modalities()
        self.pair = self.model.pair
        names = ("image", "text") if config.label_net else ("pair",)
        self.critics = nn.ModuleDict({name: Discriminator(config.width) for name in names}).to(self.device)
        # A fused step unscales half precision itself, which leaves no room to clip the gradients between.
        fused = config.precision != "16-mixed"
        self.optimiser = torch.optim.AdamW(
            parameter_groups(self.pair, config.backbone_rate),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=fused,
        )
        self.critic_optimiser = torch.optim.AdamW(
            self.critics.parameters(), lr=config.discriminator_rate, betas=(0.5, 0.99), fused=fused
        )
        self.wrapped, self.optimiser = self.fabric.setup(self.pair, self.optimiser)
        self.average = copy.deepcopy(self.pair.state_dict())
        self.best_weights = copy.deepcopy(self.average)
        self.updates = 0  # of the average

    # -- epochs ---------------------------------------------------------------------------------------------------

    def _label_epoch(self) -> dict[str, float]:
        """The whole training of the label network."""
        labels = self.dataset.labels[self.dataset.splits["train"]]

        def report(done: float, found: objective.Losses) -> None:
            self.progress.step("label", done, found)

        return train_label_network(self.model.teacher, labels, self.config, single=self.single, report=report)

    def _epoch(self) -> dict[str, float]:
        """One pass of both modality networks over the items of the phase."""
        config, phase = self.config, self.phase
        items = self.fitted if phase == "select" else self.dataset.splits["train"]
        order = np.random.default_rng(seed_of(config.seed, phase + " order", self.done_epochs)).permutation(items)
        batches = pieces(order, config.batch_size)
        epochs = self.config.epochs  # the learning rate falls towards the planned end
        sums: dict[str, float] = {}
        self.pair.train()
        for k, batch in enumerate(batches):
            done = (self.done_epochs + k / len(batches)) / epochs
            for optimiser, rate in (
                (self.optimiser, config.learning_rate),
                (self.critic_optimiser, config.discriminator_rate),
            ):
                for group in optimiser.param_groups:
                    group["lr"] = rate * group.get("factor", 1.0) * one_cycle(done)
            share = batch[self.fabric.global_rank :: self.fabric.world_size]
            # The last group of accumulated batches may be a shorter one.
            group_size = min(config.accumulate, len(batches) - k // config.accumulate * config.accumulate)
            last = (k + 1) % config.accumulate == 0 or k + 1 == len(batches)
            try:
                found = self._step(share, weight=1 / group_size, last=last)
            except FloatingPointError as error:
                where = f"{phase} epoch {self.done_epochs + 1}, batch {k + 1} of {len(batches)}"
                raise FloatingPointError(
                    f"the loss {error} in {where}; the last checkpoint is kept; try a lower learning_rate"
                ) from None
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            self.progress.step(phase, (k + 1) / len(batches), found)
        return {name: value / len(batches) for name, value in sums.items()}

    def _step(self, batch: np.ndarray, *, weight: float = 1.0, last: bool = True) -> objective.Losses:
        """Forward, the losses, backward; the optimisers step with the ``last`` of the accumulated batches, each of
        which has its ``weight`` in the gradient.
        """
        config = self.config
        image_batch = read(self.dataset.image, batch, self.device)
        if config.augment and self.dataset.image.kind == "pixels":
            image_batch = augment(image_batch[0]), image_batch[1]
        text_batch = read(self.dataset.text, batch, self.device)
        labels = torch.from_numpy(self.dataset.labels[batch]).to(self.device).float()
        adversarial = config.adversarial and config.weight_adversary
        with self.fabric.no_backward_sync(self.wrapped, enabled=not last):
            image, text = self.wrapped(image_batch, text_batch)
            teacher = self._teach(labels)
            found = objective.modality_losses(image, text, teacher, labels, config, self.single)
            if adversarial:
                found |= objective.deception_losses(self.critics, image, text, config)
            objective.check_finite(found)
            self.fabric.backward(objective.total(found) * weight)
        if last:
            self.fabric.clip_gradients(self.wrapped, self.optimiser, max_norm=GRADIENT_NORM)
            self.optimiser.step()
            self.optimiser.zero_grad()
            self._update_average()
        if adversarial:
            found |= self._critic_step(image, text, teacher)
        return found

    def _critic_step(self, image: Outputs, text: Outputs, teacher: Outputs | None) -> objective.Losses:
        losses = objective.discriminator_losses(self.critics, image, text, teacher)
        objective.check_finite(losses)
        self.critic_optimiser.zero_grad()
        objective.total(losses).backward()
        for parameter in self.critics.parameters():
            parameter.grad = cast(Tensor, self.fabric.all_reduce(cast(Tensor, parameter.grad), reduce_op="mean"))
        self.critic_optimiser.step()
        return losses

    def _teach(self, labels: Tensor) -> Outputs | None:
        if not self.config.label_net:
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

    # -- validation -----------------------------------------------------------------------------------------------

    def _validate(self) -> float | None:
        """Measure the averaged weights on the validation part, some ten times in a phase; keep the best."""
        epochs = self.config.epochs
        every = max(1, epochs // 10)
        if self.done_epochs % every and self.done_epochs != epochs:
            return None
        score = self.fabric.broadcast(self._score() if self.fabric.is_global_zero else 0.0)  # one verdict for all
        if score > self.best[0]:
            self.best = (score, self.done_epochs)
            self.best_weights = copy.deepcopy(self.average)
        return score

    def _score(self) -> float:
        current = copy.deepcopy(self.pair.state_dict())
        self.pair.load_state_dict(self.average)
        score = validation_map(self.model, self.dataset, self.fitted, self.held)
        self.pair.load_state_dict(current)
        return score

    def _out_of_patience(self) -> bool:
        return bool(self.config.patience) and self.done_epochs - self.best[1] >= self.config.patience

    # -- state ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that a later process needs to continue, in tensors and plain values."""
        state: dict[str, Any] = {"phase": self.phase, "done_epochs": self.done_epochs, "best": list(self.best)}
        state["teacher"] = self.model.teacher.state_dict() if self.config.label_net else {}
        state["pair"] = self.model.pair.state_dict()
        if self.phase in ("select", "refit"):
            state |= {
                "updates": self.updates,
                "average": self.average,
                "best_weights": self.best_weights,
                "critics": self.critics.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "critic_optimiser": self.critic_optimiser.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
            }
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state`` returned.

        Raises
        ------
        InputError
            If the state is of other networks or another kind of training.
        """
        try:
            self._restore(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"the checkpoint is of another training ({reason}); remove it to start again") from None

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.phase, self.done_epochs = state["phase"], state["done_epochs"]
        self.best = (state["best"][0], state["best"][1])
        if self.config.label_net:
            self.model.teacher.load_state_dict(state["teacher"])
        if self.phase in ("select", "refit"):
            self._start_phase()
            self.critics.load_state_dict(state["critics"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.critic_optimiser.load_state_dict(state["critic_optimiser"])
            self.fabric.strategy.precision.load_state_dict(state["precision"])
            self.updates = state["updates"]
            self.average, self.best_weights = dict(state["average"]), dict(state["best_weights"])
        self.model.pair.load_state_dict(state["pair"])
