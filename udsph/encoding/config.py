"""Everything that decides how a model is trained, in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from udsph.errors import InputError

MAXIMUM_BITS = 8192
BACKENDS = ("auto", "reference", "gram", "cpu", "cuda")
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "64-true")


@dataclass(frozen=True)
class Config:
    """Model and training settings; every field can be given as ``--set field=value``.

    Attributes
    ----------
    bits
        Length of the codes, 1 to 8192.
    epochs
        Passes over the fitted part of the training split; 0 chooses by the kind of data, and more for a small dataset.
    seed
        Of initial weights, order of the items, and the validation part.
    device, devices, precision, accumulate
        Where and how to compute: ``auto``, ``cpu``, ``cuda``, ``cuda:1``; number of processes; Lightning Fabric's
        name of the precision; batches per optimiser step.
    batch_size, learning_rate, discriminator_rate, weight_decay, averaging
        Of the optimisers (AdamW, one cycle) and the decay of the moving average of the weights that is kept.
    label_steps, label_rate
        Of the label network, which is trained first and then fixed.
    pairwise, feature, bit, classify, adversary, match, equal
        Weights of the modality networks' losses: pairwise likelihood of codes and of features, bit likelihood,
        classification, adversarial loss, attention matching, balance of the codes.
    width, groups
        Columns of the high-level features, and groups of bits that have a part of them, and layers, for themselves.
    attention, adversarial, label_net
        Switches of the parts of the model.
    backend, attention_pairs, margin, part_width, parts
        Of the attention: which implementation, on how many pairs of a batch, the hinge's margin, the width of the local
        parts, and how many columns of a feature vector stand in for local parts (0: none).
    backbone, backbone_rate
        A Hugging Face vision model as the image network's encoder: a folder or a name on the hub, empty for none; and
        the factor on its learning rate, 0 to keep it frozen.
    validation, patience, refit
        Share of the training split that selects the epoch; epochs without improvement before stopping (0: never);
        whether the model is then trained again on the whole training split for as many epochs (``true``, ``false``;
        ``auto``: unless there are pixels, where it would cost as much again and gain little).
    augment
        Shift and mirror training pixels.
    checkpoint_seconds
        Least time between two checkpoints.
    """

    bits: int = 64
    epochs: int = 0
    seed: int = 0
    device: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    accumulate: int = 1
    batch_size: int = 128
    learning_rate: float = 1e-3
    discriminator_rate: float = 1e-3
    weight_decay: float = 1e-4
    averaging: float = 0.98
    label_steps: int = 600
    label_rate: float = 1e-3
    pairwise: float = 0.1
    feature: float = 0.1
    bit: float = 4.0
    classify: float = 0.5
    adversary: float = 0.005
    match: float = 0.2
    equal: float = 0.1
    width: int = 1024
    groups: int = 8
    attention: bool = True
    adversarial: bool = True
    label_net: bool = True
    backend: str = "auto"
    attention_pairs: int = 32
    margin: float = 0.2
    part_width: int = 64
    parts: int = 0
    backbone: str = ""
    backbone_rate: float = 0.1
    validation: float = 0.1
    patience: int = 0
    refit: str = "auto"
    augment: bool = True
    checkpoint_seconds: float = 2.0

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(f"{name}={value}: expected {least:g} to {most:g}")
        for name, known in (("backend", BACKENDS), ("precision", PRECISIONS), ("refit", ("auto", "true", "false"))):
            if getattr(self, name) not in known:
                raise InputError(f"{name}={getattr(self, name)}: expected one of {', '.join(known)}")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, rest: bool = False) -> Any:
        """A configuration from names and values, where a value may be text as typed on the command line.

        Parameters
        ----------
        settings
            ``{"epochs": "5", "attention": "false", ...}``.
        rest
            Return ``(config, settings that are not the configuration's)`` instead of refusing them. ``seed`` belongs to
            both a configuration and a dataset, and stays with the configuration.
        """
        types = {field.name: field.type for field in dataclasses.fields(cls)}
        unknown = {name: value for name, value in settings.items() if name not in types}
        if unknown and not rest:
            raise InputError(f"unknown setting '{next(iter(unknown))}'; known: {', '.join(types)}")
        known = {name: _convert(name, value, str(types[name])) for name, value in settings.items() if name in types}
        config = cls(**known)
        return (config, unknown) if rest else config

    def with_epochs(self, epochs: int) -> Config:
        """The same configuration for a given number of epochs."""
        return dataclasses.replace(self, epochs=epochs)


_RANGES = (
    ("bits", 1, MAXIMUM_BITS),
    ("epochs", 0, 100_000),
    ("seed", 0, 2**31 - 1),
    ("devices", 1, 1024),
    ("accumulate", 1, 100_000),
    ("batch_size", 2, 1_000_000),
    ("learning_rate", 0, 10),
    ("discriminator_rate", 0, 10),
    ("weight_decay", 0, 10),
    ("averaging", 0, 0.99999),
    ("label_steps", 1, 1_000_000),
    ("label_rate", 0, 10),
    *((name, 0, 1e6) for name in ("pairwise", "feature", "bit", "classify", "adversary", "match", "equal")),
    ("width", 4, 65_536),
    ("groups", 1, 1024),
    ("attention_pairs", 2, 1_000_000),
    ("margin", 0, 10),
    ("part_width", 1, 65_536),
    ("parts", 0, 4096),
    ("backbone_rate", 0, 1),
    ("validation", 0.001, 0.9),
    ("patience", 0, 100_000),
    ("checkpoint_seconds", 0, 1e9),
)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def _convert(name: str, value: Any, kind: str) -> Any:
    """``value`` as the type ``kind`` (``int``, ``float``, ``bool``, ``str``), or a clear error."""
    try:
        if kind == "bool":
            if isinstance(value, bool):
                return value
            text = str(value).lower()
            if text not in _TRUE + _FALSE:
                raise ValueError
            return text in _TRUE
        if kind == "int":
            if (isinstance(value, float) and not value.is_integer()) or isinstance(value, bool):
                raise ValueError
            return int(value)
        if kind == "float":
            return float(value)
        return str(value).lower() if isinstance(value, bool) else str(value)
    except (TypeError, ValueError):
        expected = {"bool": "true or false", "int": "a whole number", "float": "a number"}[kind]
        raise InputError(f"{name}={value}: expected {expected}") from None
