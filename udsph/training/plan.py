"""What a training will be: everything chosen that depends on the data, and how many steps it takes."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from udsph.data import Dataset, Modality, split_validation
from udsph.data.directions import MODALITIES
from udsph.encoding.batches import spec_of
from udsph.encoding.config import Config
from udsph.encoding.model import Description, Model
from udsph.errors import InputError
from udsph.training.batches import number_of_pieces, statistics

DEFAULT_EPOCHS = {"pixels": 24, "vectors": 40, "regions": 40, "tokens": 24}
LONG_CODES = 64  # bits from which codes learnt by pairs rank labels as well as those learnt by ranking, and finer
LEAST_STEPS = 400  # of the optimiser: a small dataset gets more epochs
MOST_DIMS = 4096  # of linear networks that are not asked for: their start costs the cube
LEAST_HELD = 2  # labelled items that are held out, where there are unlabelled ones to hold out


@dataclass(frozen=True)
class Plan:
    """One training of one dataset.

    Attributes
    ----------
    asked
        The settings as they were given.
    config
        The same, none of which leaves anything open.
    description
        What decides the networks' shapes.
    data
        Name, place and settings of the dataset, as stored with the run.
    fitted, held
        The parts of the training split for the choice of the epoch: items to fit, items to measure.
    train
        The whole training split.
    labelled
        Those of its items whose labels training may use.
    chosen
        What was left to the data and why it is as it is, in words; empty where nothing was.
    """

    asked: Config
    config: Config
    description: Description
    data: dict[str, Any]
    fitted: np.ndarray
    held: np.ndarray
    train: np.ndarray
    labelled: np.ndarray
    chosen: str

    @classmethod
    def of(cls, asked: Config, dataset: Dataset) -> Plan:
        """The plan for what was asked, or an InputError for data that cannot be trained on."""
        check_trainable(dataset)
        config, train = resolve(asked, dataset), dataset.splits["train"]
        description = with_backbone(describe(dataset), config.backbone)
        data = {"name": dataset.name, "root": dataset.root, "settings": dict(dataset.settings)}
        labelled = train[dataset.supervised[train]]
        fitted, held = hold_out(train, dataset.supervised, config)
        chosen = "" if asked.epochs else why_so_many(dataset.image, dataset.text, len(train), config.batch_size)
        return cls(asked, config, description, data, fitted, held, train, labelled, chosen)

    def items(self, phase: str) -> np.ndarray:
        """The items that a phase goes through in an epoch."""
        return self.train if phase == "refit" else self.fitted

    def steps(self, phase: str) -> int:
        """Batches of an epoch."""
        return 1 if phase == "label" else number_of_pieces(len(self.items(phase)), self.config.batch_size)

    def new_model(self, dataset: Dataset, device: torch.device) -> Model:
        """Networks with initial weights from the seed, and the statistics of the training data beside them."""
        torch.manual_seed(self.config.seed)
        model = Model(self.description, self.config, device)
        for modality in MODALITIES:
            model.statistics[modality] = statistics(getattr(dataset, modality), self.train)
        return model


def hold_out(train: np.ndarray, supervised: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """(fitted, held): a share of the training items is held out, of those with labels and of those without alike.

    A handful of labelled items is fitted as a whole, and the pairs without labels select the epoch.
    """
    labelled, others = train[supervised[train]], train[~supervised[train]]
    parts = [part for part in (labelled, others) if len(part)]
    if len(parts) == 2 and len(labelled) < LEAST_HELD / config.validation:
        fitted, held = split_validation(others, config.validation, config.seed)
        return np.sort(np.concatenate([labelled, fitted])), held
    split = [split_validation(part, config.validation, config.seed) for part in parts]
    fitted, held = (np.sort(np.concatenate(both)) for both in zip(*split, strict=True))
    return fitted, held


def resolve(config: Config, dataset: Dataset) -> Config:
    """The configuration with everything chosen that depends on the data."""
    modalities = dataset.image, dataset.text
    if not dataset.supervised[dataset.splits["train"]].any():  # there is nothing that a label network could learn
        config = dataclasses.replace(config, label_net=False)
    config = dataclasses.replace(config, linear=str(linear_networks(config, dataset)).lower())
    only_vectors = {modality.kind for modality in modalities} == {"vectors"}
    if config.label_loss == "auto" and (only_vectors or config.bits >= LONG_CODES):
        config = dataclasses.replace(config, label_loss="pairwise")
    if config.epochs == 0:
        epochs = default_epochs(*modalities, len(dataset.splits["train"]), config.batch_size)
        config = dataclasses.replace(config, epochs=epochs)
    if config.refit == "auto":
        no_pixels = all(modality.kind != "pixels" for modality in modalities)
        config = dataclasses.replace(config, refit=str(no_pixels).lower())
    return config


def linear_networks(config: Config, dataset: Dataset) -> bool:
    """Whether the networks are to be linear; an InputError where they are asked for and cannot be."""
    if config.linear == "false":
        return False
    kinds = {dataset.image.kind, dataset.text.kind}
    supervised = bool(dataset.supervised[dataset.splits["train"]].any())
    dims = max(dataset.image.shape[-1], dataset.text.shape[-1])
    if config.linear == "auto":
        return kinds == {"vectors"} and not supervised and not config.parts and dims <= MOST_DIMS
    if kinds != {"vectors"} or supervised:
        why = "there are labels" if kinds == {"vectors"} else f"the modalities are {' and '.join(sorted(kinds))}"
        raise InputError(f"linear=true: it is for pairs of vectors without labels, but {why}; leave it out")
    return True


def default_epochs(image: Modality, text: Modality, pairs: int, batch_size: int) -> int:
    """Passes over so many training pairs of these kinds."""
    return max(usual_epochs(image, text), -(-LEAST_STEPS // number_of_pieces(pairs, batch_size)))


def usual_epochs(image: Modality, text: Modality) -> int:
    """Passes over pairs of these kinds, where they are not few."""
    return max(DEFAULT_EPOCHS[image.kind], DEFAULT_EPOCHS[text.kind])


def why_so_many(image: Modality, text: Modality, pairs: int, batch_size: int) -> str:
    """Why :func:`default_epochs` gives so few pairs more passes than usual, in words; nothing where it does not."""
    if default_epochs(image, text, pairs, batch_size) == usual_epochs(image, text):
        return ""
    return f"as many as give {LEAST_STEPS} steps; epochs=N for another number"


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
            f"size={found['size']} of the dataset decodes them at that size",
            stacklevel=4,
        )
    return dataclasses.replace(description, backbone=found)


def check_trainable(dataset: Dataset) -> None:
    """Refuse data from which no similarity can be learnt."""
    train = dataset.splits["train"]
    if len(train) < 4:
        raise InputError(f"{dataset.name}: {len(train)} training items are too few; give at least 4")
    mask = dataset.supervised[train]
    if not mask.any():
        return
    labels = dataset.labels[train[mask]]
    unlabelled = int((labels.sum(1) == 0).sum())
    if unlabelled:
        raise InputError(
            f"{dataset.name}: {unlabelled} training items have no label; leave them out of the split 'train', or say "
            "that their labels are not known, if that is so"
        )
    if (labels == labels[0]).all():
        if mask.all():
            raise InputError(f"{dataset.name}: all training items have the same labels; nothing tells them apart")
        raise InputError(
            f"{dataset.name}: the {len(labels)} training items with labels all have the same; give labels that differ, "
            "or none (labelled=0), and the pairs alone are learnt from"
        )
