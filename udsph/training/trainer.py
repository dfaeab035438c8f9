"""The training of one model: the teacher first, then both modality networks against it, epoch by epoch.

A training is a list of phases. ``label`` trains the label network, which is fixed from then on. ``select`` trains
on the training split without its validation part and measures the validation part's MAP. ``refit`` starts again on
the whole training split for as many epochs as were best. Each epoch draws its random numbers from the seed and its
own number, so that a training that continues from a checkpoint is the same as one that was never interrupted.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from udsph.data import Dataset
from udsph.encoding.model import Model
from udsph.errors import InputError
from udsph.training import objective
from udsph.training.batches import batches, pieces
from udsph.training.phase import Phase
from udsph.training.plan import Plan
from udsph.training.progress import Progress, in_words
from udsph.training.schedule import seed_of
from udsph.training.teacher import train_label_network
from udsph.training.validation import LARGEST, validate

FORECAST_STEPS = 60  # a training of fewer is over before its time is guessed
REHEARSED = 3  # steps that are timed before the training
FORWARD_SHARE = 0.35  # of a training step, that a batch takes without the way back


class Trainer:
    """Trains one model on one dataset; ``state`` and ``restore`` make it interruptible between epochs.

    Attributes
    ----------
    phase
        ``label``, ``select``, ``refit``, ``done``.
    done_epochs
        Of the phase.
    best
        Validation score and number of epochs.
    taught
        int64, the classes that labelled items have; None: all.
    current
        Networks, optimisers and moving average of the phase, where it trains the modality networks.
    """

    def __init__(self, fabric: Fabric, plan: Plan, dataset: Dataset, model: Model, progress: Progress) -> None:
        self.fabric, self.plan, self.dataset, self.model, self.progress = fabric, plan, dataset, model, progress
        self.config = plan.config
        smallest = min(len(piece) for piece in pieces(plan.fitted, self.config.batch_size)) // fabric.world_size
        if smallest < 2:
            raise InputError(
                f"{dataset.name}: {len(plan.fitted)} items to fit leave less than 2 to each of {fabric.world_size} "
                "processes; give fewer devices"
            )
        self.labels = dataset.labels[plan.labelled]
        self.single = bool((self.labels.sum(1) == 1).all())
        seen = self.labels.any(0)
        self.taught = None if seen.all() else np.flatnonzero(seen)
        self.phase = "label" if self.config.label_net else "select"
        self.done_epochs = 0
        self.best: tuple[float, int] = (-1.0, 0)
        self.current: Phase | None = None

    # -- phases ---------------------------------------------------------------------------------------------------

    def epochs_of(self, phase: str) -> int:
        """How many epochs a phase has."""
        if phase == "label":
            return 1
        return self.best[1] if phase == "refit" else self.config.epochs

    def run(self) -> Iterator[None]:
        """Train to the end; yields after every epoch, where the state may be stored."""
        if self.progress.listened:
            self._announce()
        if self.current is None:
            self.begin(self.phase)
        while self.phase != "done":
            while self.done_epochs < self.epochs_of(self.phase):
                # Every process draws its own noise; the order of the items is the same in all.
                torch.manual_seed(seed_of(self.config.seed, self.phase, self.done_epochs) + self.fabric.global_rank)
                found = self._label_epoch() if self.phase == "label" else self._epoch()
                self.done_epochs += 1
                scores = self._validate() if self.phase == "select" else {}
                epochs = self.epochs_of(self.phase)
                self.progress.epoch(self.phase, self.done_epochs, epochs, found, scores, self.steps_left())
                if scores and self._out_of_patience():
                    break
                yield
            self._end_phase()
        yield

    def begin(self, phase: str) -> None:
        """Begin a phase, with new networks where it trains the modality networks."""
        self.phase, self.done_epochs = phase, 0
        trains = phase in ("select", "refit")
        self.current = self._new_phase() if trains else None

    def _new_phase(self) -> Phase:
        return Phase(self.fabric, self.model, self.dataset, self.plan.items(self.phase), self.single, self.taught)

    def _end_phase(self) -> None:
        """Keep what the phase was for, and begin the one that follows."""
        following = {"label": "select", "select": "refit" if self.config.refit == "true" else "done", "refit": "done"}
        if self.phase == "refit":
            self.model.pair.load_state_dict(self.networks.average)
        elif self.phase == "select" and self.config.refit == "false":
            self.model.pair.load_state_dict(self.networks.best_weights)
        self.begin(following[self.phase])

    @property
    def networks(self) -> Phase:
        """The modality networks of the phase."""
        assert self.current is not None, f"the phase {self.phase} has no modality networks"
        return self.current

    # -- epochs ---------------------------------------------------------------------------------------------------

    def _label_epoch(self) -> dict[str, float]:
        """The whole training of the label network."""

        def report(done: float, found: objective.Losses) -> None:
            self.progress.step("label", done, found, self.steps_left())

        return train_label_network(
            self.model.teacher, self.labels, self.config, single=self.single, taught=self.taught, report=report
        )

    def _epoch(self) -> dict[str, float]:
        """One pass of both modality networks over the items of the phase."""
        config, phase, networks = self.config, self.phase, self.networks
        random = np.random.default_rng(seed_of(config.seed, phase + " order", self.done_epochs))
        order = batches(self.plan.items(phase), self.dataset.supervised, config.batch_size, random)
        sums: dict[str, float] = {}
        networks.pair.train()
        for k, batch in enumerate(order):
            # The learning rate falls towards the planned end.
            networks.set_rates((self.done_epochs + k / len(order)) / config.epochs)
            share = batch[self.fabric.global_rank :: self.fabric.world_size]
            # The last group of accumulated batches may be a shorter one.
            group_size = min(config.accumulate, len(order) - k // config.accumulate * config.accumulate)
            last = (k + 1) % config.accumulate == 0 or k + 1 == len(order)
            try:
                found = networks.step(share, weight=1 / group_size, last=last)
            except FloatingPointError as error:
                where = f"{phase} epoch {self.done_epochs + 1}, batch {k + 1} of {len(order)}"
                raise FloatingPointError(
                    f"the loss {error} in {where}; the last checkpoint is kept; try a lower learning_rate"
                ) from None
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            self.progress.step(phase, (k + 1) / len(order), found, self.steps_left(k + 1))
        return {name: value / len(order) for name, value in sums.items()}

    # -- validation -----------------------------------------------------------------------------------------------

    def _validate(self) -> dict[str, float]:
        """Measure the averaged weights on the validation part, some ten times in a phase; keep the best."""
        epochs = self.config.epochs
        every = max(1, epochs // 10)
        if self.done_epochs % every and self.done_epochs != epochs:
            return {}
        found = self.fabric.broadcast(self._scores() if self.fabric.is_global_zero else {})  # one verdict for all
        score = sum(found.values()) / len(found)
        if score > self.best[0]:
            self.best = (score, self.done_epochs)
            self.networks.keep_best()
        return found

    def _scores(self) -> dict[str, float]:
        with self.networks.averaged():
            return validate(self.model, self.dataset, self.plan.fitted, self.plan.held)

    def _out_of_patience(self) -> bool:
        return bool(self.config.patience) and self.done_epochs - self.best[1] >= self.config.patience

    # -- time -----------------------------------------------------------------------------------------------------

    def steps_left(self, done: int = 0) -> int:
        """Steps of the modality networks to come, at most, after ``done`` of the epoch."""
        if self.phase == "label":
            left = self.config.epochs * self.plan.steps("select")
        else:
            left = (self.epochs_of(self.phase) - self.done_epochs) * self.plan.steps(self.phase) - done
        if self.phase != "refit" and self.config.refit == "true":
            left += self.config.epochs * self.plan.steps("refit")
        return max(0, left)

    def _announce(self) -> None:
        """Say what is planned and about how long it will take."""
        config, plan = self.config, self.plan
        epochs = f"{config.epochs} epochs of {plan.steps('select')} steps"
        first = f"{config.label_steps} steps of the label network, " if self.phase == "label" else ""
        again = ", and again on all pairs for as many as were best" if config.refit == "true" else ""
        chosen = f" ({plan.chosen})" if plan.chosen else ""
        some = len(plan.labelled) < len(plan.train)
        with_labels = f", {len(plan.labelled):,} of them with labels" if some else ""
        line = f"training on {len(plan.train):,} pairs{with_labels}: {first}{epochs}{chosen}{again}"
        if self.current is not None or self.done_epochs:
            line = f"continuing after {self.phase} {self.done_epochs} of a {line}"
        elif self.fabric.world_size == 1 and self.steps_left() >= FORECAST_STEPS:
            self.progress.forecast = self.forecast()
            line += f"; about {in_words(self.progress.forecast)}"
        self.progress.say(line)

    def forecast(self) -> float:
        """About how many seconds the training takes, by a few steps that leave nothing behind.

        Every phase starts from its own seed, so that what comes after is the same with and without them.
        """
        rehearsal = self._new_phase()
        rehearsal.pair.train()
        random = np.random.default_rng(0)
        batch = batches(self.plan.fitted, self.dataset.supervised, self.config.batch_size, random)[0]
        rehearsal.step(batch)  # what only the first one pays
        started = time.perf_counter()
        for _ in range(REHEARSED):
            rehearsal.step(batch)
        step = (time.perf_counter() - started) / REHEARSED
        seconds = step * self.steps_left()
        encoded = min(len(self.plan.fitted), LARGEST) + len(self.plan.held)
        seconds += min(10, self.config.epochs) * FORWARD_SHARE * step * encoded / self.config.batch_size
        if self.phase == "label":
            few = dataclasses.replace(self.config, label_steps=REHEARSED)
            started = time.perf_counter()
            teacher = copy.deepcopy(self.model.teacher)
            train_label_network(teacher, self.labels, few, single=self.single, taught=self.taught)
            seconds += (time.perf_counter() - started) / REHEARSED * self.config.label_steps
        return seconds

    # -- state ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that a later process needs to continue, in tensors and plain values."""
        state: dict[str, Any] = {"phase": self.phase, "done_epochs": self.done_epochs, "best": list(self.best)}
        state["teacher"] = self.model.teacher.state_dict() if self.config.label_net else {}
        if self.current is not None:
            state |= self.current.state()
        state["pair"] = self.model.pair.state_dict()
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
        self.begin(state["phase"])
        self.done_epochs = state["done_epochs"]
        self.best = (state["best"][0], state["best"][1])
        if self.config.label_net:
            self.model.teacher.load_state_dict(state["teacher"])
        if self.current is not None:
            self.current.restore(state)
        self.model.pair.load_state_dict(state["pair"])
