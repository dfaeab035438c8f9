"""UDSPH from Python: ``fit``, ``encode_image``, ``encode_text``, ``save``, ``load``."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from udsph.data import Dataset, Modality
from udsph.errors import InputError
from udsph.training import pretrained
from udsph.training import run as run_folder
from udsph.training.batches import sequence, spec_of, statistics
from udsph.training.config import Config
from udsph.training.inputs import Inputs
from udsph.training.launch import launch, no_denormals, single_device
from udsph.training.model import Description, Model
from udsph.training.progress import Progress
from udsph.training.trainer import Trainer

DEFAULT_EPOCHS = {"pixels": 24, "vectors": 40, "regions": 40, "tokens": 24}
ENCODING_PRECISIONS = ("32-true", "bf16-mixed")
LEAST_STEPS = 400  # of the optimiser: a small dataset gets more epochs


class UDSPH:
    """A cross-modal hashing model: images and texts in, packed binary codes out.

    Parameters
    ----------
    bits
        Length of the codes, 1 to 8192.
    config
        A whole configuration instead of single settings.
    settings
        Any field of :class:`~udsph.training.Config`.

    Examples
    --------
    >>> model = UDSPH(bits=64, epochs=10).fit(dataset)             # doctest: +SKIP
    >>> codes = model.encode_image(dataset.image)                  # doctest: +SKIP
    """

    def __init__(self, bits: int = 64, *, config: Config | None = None, **settings: Any) -> None:
        self.config: Config = config or Config.from_settings({"bits": bits, **settings})
        self.data: dict[str, Any] = {}
        self.inputs = Inputs()
        self.model: Model | None = None

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self.config.bits

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the training data."""
        return self._trained().description.classes

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
        self.config = resolve(self.config, dataset)
        self.data = {"name": dataset.name, "root": dataset.root, "settings": dict(dataset.settings)}
        self.inputs = Inputs.of(dataset)
        description = with_backbone(describe(dataset), self.config.backbone)
        folder = None if output is None else Path(output)
        fabric = launch(self.config)
        if folder is not None and self._open_run(fabric, folder, description, dataset, resume):
            return self._adopt(UDSPH.load(folder))
        torch.manual_seed(self.config.seed)
        model = Model(description, self.config, fabric.device)
        for view in ("image", "text"):
            model.statistics[view] = statistics(getattr(dataset, view), dataset.splits["train"])
        first = fabric.is_global_zero
        log = folder / run_folder.LOG if folder is not None and first else None
        with no_denormals(), Progress(progress and first, log) as shown:
            self._train(Trainer(fabric, self.config, dataset, model, shown), folder)
        self.model = model
        if folder is not None and fabric.is_global_zero:
            self._store(folder)
        return self

    def _open_run(self, fabric: Fabric, folder: Path, description: Description, dataset: Dataset, resume: str) -> bool:
        """Make or find the run folder, in the first process for all; whether its training is complete."""
        complete, problem = False, ""
        if fabric.is_global_zero:
            try:
                there = run_folder.create(folder, self._content(description), dataset.splits)
                if there and resume == "never":
                    raise InputError(f"{folder} holds a run already; choose another output or remove it")
                complete = (folder / run_folder.WEIGHTS).exists()
            except InputError as error:
                problem = str(error)
        complete, problem = fabric.broadcast((complete, problem))
        if problem:
            raise InputError(problem)
        return complete

    def _train(self, trainer: Trainer, folder: Path | None) -> None:
        state = None if folder is None else run_folder.read_checkpoint(folder)
        if state is not None:
            trainer.restore(state)
        trainer.fabric.barrier()  # all have read before the first writes again
        written = 0.0
        for _ in trainer.run():
            due = time.monotonic() - written >= self.config.checkpoint_seconds
            if folder is not None and due and trainer.fabric.is_global_zero:
                run_folder.write_checkpoint(folder, trainer.state())
                written = time.monotonic()

    def encode_image(self, images: Any, batch_size: int = 256, *, precision: str = "32-true") -> np.ndarray:
        """Packed codes of images, from the images alone.

        Parameters
        ----------
        images
            A :class:`~udsph.data.Modality`, or an array of the form that the model was trained on.
        batch_size
            Items that pass through the network at once.
        precision
            ``32-true``, or ``bf16-mixed``: layers in bfloat16, about twice as fast where the processor has
            instructions for it; a few bits in ten thousand differ. Encode queries and database alike.

        Returns
        -------
        numpy.ndarray
            uint8 ``(n, ceil(bits / 8))``, little bit order.
        """
        return self._encode("image", images, batch_size, precision)

    def encode_text(self, texts: Any, batch_size: int = 256, *, precision: str = "32-true") -> np.ndarray:
        """Packed codes of texts, from the texts alone; like :meth:`encode_image`."""
        return self._encode("text", texts, batch_size, precision)

    def _encode(self, view: str, items: Any, batch_size: int, precision: str) -> np.ndarray:
        model = self._trained()
        if precision not in ENCODING_PRECISIONS:
            raise InputError(f"precision={precision}: expected one of {', '.join(ENCODING_PRECISIONS)}")
        modality = items if isinstance(items, Modality) else self._as_modality(view, items)
        spec = getattr(model.description, view)
        same = modality.kind == spec.kind and len(modality.shape) == len(spec.shape)
        # Sentences may be of any length and sets of any size; everything else must agree.
        if not same or (modality.shape[-1:] != spec.shape[-1:] and spec.kind != "tokens"):
            raise InputError(
                f"{view}: {modality.kind} of shape {modality.shape} given, the model takes {spec.kind} of {spec.shape}"
            )
        if len(modality) == 0:
            return np.empty((0, -(-self.bits // 8)), np.uint8)
        batches = sequence(modality, np.arange(len(modality)), batch_size, model.device)
        return model.encode(view, batches, half=precision == "bf16-mixed")

    def _as_modality(self, view: str, items: Any) -> Modality:
        """A bare array as items of the kind that the model was trained on."""
        spec = getattr(self._trained().description, view)
        items = items if hasattr(items, "toarray") else np.asarray(items)
        wanted = "biu" if spec.kind in ("pixels", "tokens") else "biuf"
        if items.dtype.kind not in wanted:
            raise InputError(f"{view}: values of type {items.dtype} given, the model takes {spec.kind}")
        if spec.kind in ("vectors", "regions"):
            finite = np.isfinite(items.data if hasattr(items, "toarray") else items)
            if not finite.all():
                raise InputError(f"{view}: the values hold NaN or infinity")
        if spec.kind == "tokens" and items.size and not 0 <= items.min() <= items.max() < spec.vocabulary:
            raise InputError(
                f"{view}: tokens from {items.min()} to {items.max()}, the vocabulary has {spec.vocabulary}"
            )
        return Modality(spec.kind, items)

    def save(self, output: str | os.PathLike[str]) -> None:
        """Write a trained model as a run folder, which must not exist or be empty."""
        model, folder = self._trained(), Path(output)
        if run_folder.create(folder, self._content(model.description), {}):
            raise InputError(f"{folder} holds a run already; choose another output or remove it")
        self._store(folder)

    @classmethod
    def load(cls, run: str | os.PathLike[str], device: str | None = None) -> UDSPH:
        """The model of a completed run.

        Raises
        ------
        InputError
            If the folder is not a run, is damaged, or its training is not complete.
        """
        folder = Path(run)
        content = run_folder.read_config(folder)
        return cls._assemble(content, run_folder.read_weights(folder), run_folder.read_inputs(folder), folder, device)

    @classmethod
    def _assemble(
        cls, content: Mapping[str, Any], weights: Mapping[str, Tensor], inputs: Inputs, folder: Path, device: str | None
    ) -> UDSPH:
        """A model from what its folder holds."""
        known = {field.name for field in dataclasses.fields(Config)}
        strange = [name for name in content["training"] if name not in known]
        if strange:
            raise InputError(f"{folder} was written by another version: its setting '{strange[0]}' is not known here")
        config = Config.from_settings(content["training"] | ({} if device is None else {"device": device}))
        made = cls(config=config)
        made.data, made.inputs = content["data"], inputs
        try:
            description = Description.from_json(content["model"])
        except (KeyError, TypeError):
            raise InputError(f"{folder}: its configuration does not describe the networks") from None
        model = Model(description, config, single_device(config), pretrained=False)
        for name, module in model.modules().items():
            tensors = {key.removeprefix(f"{name}."): t for key, t in weights.items() if key.startswith(f"{name}.")}
            try:
                module.load_state_dict(tensors)
            except RuntimeError:
                raise InputError(f"{folder}: the weights do not fit the configuration; train it again") from None
        made.model = model
        return made

    def save_pretrained(self, folder: str | os.PathLike[str], **card: Any) -> None:
        """Write the model as a folder to share, in the layout of the Hugging Face hub.

        ``card`` fills the model card: ``licence``, ``metrics``, ``data``, ``name``; see
        :func:`udsph.training.pretrained.save_pretrained`.
        """
        pretrained.save_pretrained(self, Path(folder), **card)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], device: str | None = None) -> UDSPH:
        """The model of a folder that :meth:`save_pretrained` wrote. Nothing in it is executed or unpickled.

        Raises
        ------
        InputError
            If the folder is not such a model, or is damaged.
        """
        content, weights, inputs = pretrained.read_pretrained(Path(folder))
        return cls._assemble(content, weights, inputs, Path(folder), device)

    def _trained(self) -> Model:
        if self.model is None:
            raise InputError("the model is not trained: call fit, or load a run")
        return self.model

    def _adopt(self, other: UDSPH) -> UDSPH:
        self.model, self.data, self.inputs = other.model, other.data, other.inputs
        return self

    def _content(self, description: Description) -> Mapping[str, Any]:
        return {"data": self.data, "training": dataclasses.asdict(self.config), "model": description.as_json()}

    def _store(self, folder: Path) -> None:
        run_folder.write_inputs(folder, self.inputs)
        run_folder.write_weights(folder, self.tensors())
        (folder / run_folder.CHECKPOINT).unlink(missing_ok=True)

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, as they are stored."""
        return {
            f"{name}.{key}": tensor
            for name, module in self._trained().modules().items()
            for key, tensor in module.state_dict().items()
        }


def resolve(config: Config, dataset: Dataset) -> Config:
    """The configuration with everything chosen that depends on the data."""
    views = (dataset.image, dataset.text)
    if config.epochs == 0:
        config = config.with_epochs(default_epochs(*views, len(dataset.splits["train"]), config.batch_size))
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
