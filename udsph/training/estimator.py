"""UDSPH from Python: a :class:`~udsph.encoding.Hasher` that can be trained."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from udsph.data import Dataset, Modality
from udsph.encoding import Hasher, run_folder
from udsph.encoding.batches import spec_of
from udsph.encoding.config import Config
from udsph.encoding.inputs import Inputs
from udsph.encoding.model import Description, Model
from udsph.errors import InputError
from udsph.training.batches import statistics
from udsph.training.checkpoint import read_checkpoint, write_checkpoint
from udsph.training.launch import launch, no_denormals
from udsph.training.progress import Progress
from udsph.training.trainer import Trainer

DEFAULT_EPOCHS = {"pixels": 24, "vectors": 40, "regions": 40, "tokens": 24}
LEAST_STEPS = 400  # of the optimiser: a small dataset gets more epochs


class UDSPH(Hasher):
    """A cross-modal hashing model: images and texts in, packed binary codes out.

    Parameters
    ----------
    bits
        Length of the codes, 1 to 8192; 64 by default.
    config
        A whole configuration instead of single settings.
    settings
        Any other field of :class:`~udsph.encoding.Config`.

    Attributes
    ----------
    asked
        The settings as they were given. ``fit`` works out what they leave to the data, such as the number of epochs,
        anew for every dataset; ``config`` is what came of it.

    Examples
    --------
    >>> model = UDSPH(bits=64, epochs=10).fit(dataset)             # doctest: +SKIP
    >>> codes = model.encode_image(dataset.image)                  # doctest: +SKIP
    """

    def __init__(self, bits: int | None = None, *, config: Config | None = None, **settings: Any) -> None:
        super().__init__()
        if bits is not None:
            settings["bits"] = bits
        if config is not None and not isinstance(config, Config):
            raise InputError(f"config={config!r}: expected a Config")
        if config is not None and settings:
            raise InputError(f"{next(iter(settings))} and config are both given; put every setting into the config")
        self.asked: Config = Config.of(settings) if config is None else config

    @property
    def config(self) -> Config:
        """The settings with which the model was trained; those that were asked for while it is not."""
        return self.asked if self._model is None else self._model.config

    def fit(
        self,
        dataset: Dataset,
        *,
        output: str | os.PathLike[str] | None = None,
        progress: bool = True,
        resume: str = "auto",
    ) -> UDSPH:
        """Train on the training split of a dataset.

        Parameters
        ----------
        output
            The run folder: configuration, splits, log, checkpoints, weights. Without one nothing is written.
        progress
            Show a bar and the losses.
        resume
            ``auto`` continues (or, if complete, loads) a run of the same settings in ``output``; ``never`` refuses one.

        Raises
        ------
        InputError
            For data that cannot be trained on, or an output folder that holds something else.
        FloatingPointError
            If a loss stops being finite; the last checkpoint is kept.
        """
        if resume not in ("auto", "never"):
            raise InputError(f"resume={resume}: expected auto or never")
        check_trainable(dataset)
        config = resolve(self.asked, dataset)
        data = {"name": dataset.name, "root": dataset.root, "settings": dict(dataset.settings)}
        folder = None if output is None else Path(output)
        fabric = launch(config)
        description = with_backbone(describe(dataset), config.backbone)
        content = {"data": data, "training": dataclasses.asdict(config), "model": description.as_json()}
        if folder is not None and _open_run(fabric, folder, content, dataset, resume):
            return self._adopt(Hasher.load(folder))
        torch.manual_seed(config.seed)
        model = Model(description, config, fabric.device)
        for view in ("image", "text"):
            model.statistics[view] = statistics(getattr(dataset, view), dataset.splits["train"])
        first = fabric.is_global_zero
        log = folder / run_folder.LOG if folder is not None and first else None
        with no_denormals(), Progress(progress and first, log) as shown:
            _train(Trainer(fabric, config, dataset, model, shown), folder)
        trained = Hasher(model, Inputs.of(dataset), data)
        if folder is not None and fabric.is_global_zero:
            run_folder.finish(folder, trained.inputs, trained.tensors())
        return self._adopt(trained)

    @classmethod
    def _of(cls, model: Model, inputs: Inputs, data: Mapping[str, Any]) -> UDSPH:
        return cls(config=model.config)._adopt(Hasher(model, inputs, data))

    def _adopt(self, other: Hasher) -> UDSPH:
        self._model, self.inputs, self.data = other.model, other.inputs, other.data
        return self


def _open_run(fabric: Fabric, folder: Path, content: Mapping[str, Any], dataset: Dataset, resume: str) -> bool:
    """Make or find the run folder, in the first process for all; whether its training is complete."""
    complete, problem = False, ""
    if fabric.is_global_zero:
        try:
            there = run_folder.create(folder, content, dataset.splits)
            if there and resume == "never":
                raise InputError(f"{folder} holds a run already; choose another output or remove it")
            complete = (folder / run_folder.WEIGHTS).exists()
        except InputError as error:
            problem = str(error)
    complete, problem = fabric.broadcast((complete, problem))
    if problem:
        raise InputError(problem)
    return complete


def _train(trainer: Trainer, folder: Path | None) -> None:
    state = None if folder is None else read_checkpoint(folder)
    if state is not None:
        trainer.restore(state)
    trainer.fabric.barrier()  # all have read before the first writes again
    written = 0.0
    for _ in trainer.run():
        due = time.monotonic() - written >= trainer.config.checkpoint_seconds
        if folder is not None and due and trainer.fabric.is_global_zero:
            write_checkpoint(folder, trainer.state())
            written = time.monotonic()


def resolve(config: Config, dataset: Dataset) -> Config:
    """The configuration with everything chosen that depends on the data."""
    views = (dataset.image, dataset.text)
    if config.epochs == 0:
        epochs = default_epochs(*views, len(dataset.splits["train"]), config.batch_size)
        config = dataclasses.replace(config, epochs=epochs)
    if config.refit == "auto":
        config = dataclasses.replace(config, refit=str(all(view.kind != "pixels" for view in views)).lower())
    return config


def default_epochs(image: Modality, text: Modality, pairs: int, batch_size: int) -> int:
    """Passes over so many training pairs of these kinds."""
    batches = max(1, round(pairs / batch_size))
    return max(DEFAULT_EPOCHS[image.kind], DEFAULT_EPOCHS[text.kind], -(-LEAST_STEPS // batches))


def describe(dataset: Dataset) -> Description:
    """What decides the networks' shapes."""
    return Description(spec_of(dataset.image), spec_of(dataset.text), tuple(dataset.classes))


def with_backbone(description: Description, place: str) -> Description:
    """The description with that of a pretrained vision model, where the configuration names one."""
    if not place:
        return description
    if description.image.kind != "pixels":
        raise InputError(f"backbone={place}: it reads pixels, the dataset's images are {description.image.kind}")
    from udsph.features.huggingface import VisionBackbone

    found = VisionBackbone.load(place).describe()
    if description.image.shape[0] < found["size"]:
        warnings.warn(
            f"images of {description.image.shape[0]} pixels are enlarged to the {found['size']} that {place} reads; "
            f"--set size={found['size']} decodes them at that size",
            stacklevel=3,
        )
    return dataclasses.replace(description, backbone=found)


def check_trainable(dataset: Dataset) -> None:
    """Refuse data from which no similarity can be learnt."""
    train = dataset.splits["train"]
    labels = dataset.labels[train]
    if len(train) < 4:
        raise InputError(f"{dataset.name}: {len(train)} training items are too few; give at least 4")
    unlabelled = int((labels.sum(1) == 0).sum())
    if unlabelled:
        raise InputError(
            f"{dataset.name}: {unlabelled} training items have no label; leave them out of the split 'train'"
        )
    if (labels == labels[0]).all():
        raise InputError(f"{dataset.name}: all training items have the same labels; nothing tells them apart")
