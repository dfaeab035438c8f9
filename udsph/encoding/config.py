"""Everything that decides how a model is trained, in one place: a line a field."""

from __future__ import annotations

import dataclasses
import difflib
import numbers
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.hamming.codes import MAX_BITS

BACKENDS = ("auto", "reference", "gram", "cpu", "cuda")
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "64-true")
AUTO = ("auto", "true", "false")
ATTENTION = ("label", "uniform", "none")
ADVERSARIAL = ("codes", "features", "quantise", "none")
LABEL_LOSSES = ("auto", "ranking", "pairwise")
SWITCHES = {ATTENTION: ("label", "none"), ADVERSARIAL: ("codes", "none")}  # what true and false stand for

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

# Names that fields had in runs of earlier versions.
RENAMED = {name: f"weight_{name}" for name in ("pairwise", "feature", "bit", "classify", "adversary", "match", "equal")}


def option(
    default: Any, meaning: str, least: float = 0, most: float = float("inf"), choices: tuple[str, ...] = ()
) -> Any:
    """A field: its default, a line on what it means, the range of a number, or the words that it may be."""
    about = {"meaning": meaning, "least": least, "most": most, "choices": choices}
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True)
class Config:
    """Model and training settings; types, ranges and names are checked when it is made.

    On the command line every field is given as ``--set field=value``. ``Config.table()`` lists them, as does
    ``docs/model.md``.
    """

    # What comes out, and where and how it is computed.
    bits: int = option(64, "length of the codes", 1, MAX_BITS)
    epochs: int = option(0, "passes over the training pairs; 0: by kind and number of the data", 0, 100_000)
    seed: int = option(0, "of weights, order of the items, and validation part", 0, 2**31 - 1)
    device: str = option("auto", "auto, cpu, cuda, cuda:1, ...")
    devices: int = option(1, "processes, each with a part of every batch", 1, 1024)
    precision: str = option("32-true", "of the networks while training", choices=PRECISIONS)
    accumulate: int = option(1, "batches per step of the optimiser", 1, 100_000)
    checkpoint_seconds: float = option(2.0, "least time between two checkpoints", 0, 1e9)

    # Optimisers: AdamW with one cycle of the learning rate.
    batch_size: int = option(128, "pairs of a batch", 2, 1_000_000)
    learning_rate: float = option(1e-3, "of the modality networks, at its highest", 0, 10)
    discriminator_rate: float = option(1e-3, "learning rate of the discriminators, at its highest", 0, 10)
    weight_decay: float = option(1e-4, "of the modality networks", 0, 10)
    averaging: float = option(0.98, "decay of the moving average of the weights, which is what is kept", 0, 0.99999)
    label_steps: int = option(600, "steps of the label network, which is trained first and then fixed", 1, 1_000_000)
    label_rate: float = option(1e-3, "learning rate of the label network, at its highest", 0, 10)
    label_loss: str = option(
        "auto",
        "how the label network's codes are learnt; auto: ranking for several labels below 64 bits, except of vectors",
        choices=LABEL_LOSSES,
    )  # fmt: skip

    # Weights of the modality networks' losses.
    weight_pairwise: float = option(0.1, "weight of the pairwise likelihood of codes", 0, 1e6)
    weight_feature: float = option(0.1, "weight of the pairwise likelihood of features", 0, 1e6)
    weight_bit: float = option(4.0, "weight of the likelihood of the wanted bits", 0, 1e6)
    weight_classify: float = option(0.5, "weight of the classification", 0, 1e6)
    weight_attend: float = option(2.0, "weight of the classification by what is attended to", 0, 1e6)
    weight_pairing: float = option(1.0, "weight of finding an item's partner, where labels are missing", 0, 1e6)
    weight_quantise: float = option(0.1, "weight of the quantisation, where there are no labels at all", 0, 1e6)
    weight_adversary: float = option(0.3, "weight of the adversarial loss", 0, 1e6)
    weight_match: float = option(0.0, "weight of the matching of parts across modalities", 0, 1e6)
    weight_equal: float = option(0.1, "weight of the balance of the codes", 0, 1e6)

    # Networks.
    linear: str = option(
        "auto", "networks of one linear layer; auto: where both modalities are vectors and no pair has a label",
        choices=AUTO,
    )  # fmt: skip
    shortcut: bool = option(False, "a linear layer from a vector to bits and classes, beside the others")
    width: int = option(1024, "columns of the high-level features", 4, 65_536)
    groups: int = option(8, "groups of bits with a part of the features, and layers, for themselves", 1, 1024)
    label_net: bool = option(True, "whether a label network teaches the modality networks")
    adversarial: str = option(
        "codes", "what discriminators judge: codes of items without labels, features; quantise, none: without any",
        choices=ADVERSARIAL,
    )  # fmt: skip
    attention: str = option(
        "label", "what looks at local parts: a query per class, the same layers without weights, nothing",
        choices=ATTENTION,
    )  # fmt: skip
    attention_rate: float = option(5.0, "factor on the learning rate of what looks at local parts", 0, 1000)
    reading: str = option(
        "auto", "bits also from the classes found, by the label network's layers; auto: of networks with attention",
        choices=AUTO,
    )  # fmt: skip
    backend: str = option("auto", "which implementation of the matching of parts", choices=BACKENDS)
    attention_pairs: int = option(32, "pairs of a batch whose parts are matched", 2, 1_000_000)
    margin: float = option(0.2, "of the hinge on matching scores", 0, 10)
    part_width: int = option(64, "columns of a local part", 1, 65_536)
    parts: int = option(0, "columns of a feature vector that stand in for its local parts; 0: none", 0, 4096)
    backbone: str = option("", "a vision model as the image encoder: a folder in the hub's form, or a name on the hub")
    backbone_rate: float = option(0.1, "factor on the learning rate of the backbone; 0 keeps it frozen", 0, 1)

    # Choice of the epoch.
    validation: float = option(0.1, "share of the training pairs that selects the epoch", 0.001, 0.9)
    patience: int = option(0, "epochs without improvement before stopping; 0: never", 0, 100_000)
    refit: str = option(
        "auto", "train again on all training pairs for as many epochs; auto: unless there are pixels", choices=AUTO
    )
    augment: bool = option(True, "shift and mirror training pixels")

    def __new__(cls, *_: Any, **settings: Any) -> Config:
        """A name that is none is answered with the nearest one, before the dataclass takes offence."""
        for name in settings:
            _check_name(name, cls.names())
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of all settings."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Config:
        """A configuration from names and values of the right type; an unknown name is an error with a suggestion."""
        for name in settings:
            _check_name(name, cls.names())
        return cls(**settings)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Config:
        """Like :meth:`of`, where a value may be text as typed on the command line: ``{"attention": "false"}``."""
        kinds = {field.name: str(field.type) for field in dataclasses.fields(cls)}
        return cls.of({name: _from_text(name, kinds.get(name, ""), value) for name, value in settings.items()})

    @classmethod
    def part(cls, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings that are the configuration's, and all others, which may be a dataset's."""
        for name in settings:
            _check_renamed(name)
        mine = {name: value for name, value in settings.items() if name in cls.names()}
        return mine, {name: value for name, value in settings.items() if name not in mine}

    @classmethod
    def table(cls) -> str:
        """All settings with default, range and meaning, as a Markdown table."""
        lines = ["| setting | default | allowed | meaning |", "| --- | --- | --- | --- |"]
        for field in dataclasses.fields(cls):
            default = str(field.default).lower() or "none"
            lines.append(f"| `{field.name}` | {default} | {_allowed(field)} | {field.metadata['meaning']} |")
        return "\n".join(lines)


def of_earlier_version(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as an earlier version stored them, by their present names and in their present form."""
    found = {RENAMED.get(name, name): value for name, value in settings.items()}
    found = {"linear": "false", "reading": "false"} | found  # which there were not
    if isinstance(found.get("adversarial"), bool):
        found["adversarial"] = "features" if found["adversarial"] else "none"
    if isinstance(found.get("attention"), bool):  # it was the matching alone; without it vectors had no parts
        if not found["attention"]:
            found |= {"weight_match": 0.0, "parts": 0}
        found["attention"] = "none"
        found.setdefault("label_loss", "pairwise")
    return found


def _allowed(field: dataclasses.Field[Any]) -> str:
    about, kind = field.metadata, str(field.type)
    if kind == "bool":
        return "true, false"
    if kind == "str":
        return ", ".join(about["choices"]) or "text"
    return f"{about['least']:,} to {about['most']:,}" if kind == "int" else f"{about['least']:g} to {about['most']:g}"


def _check_name(name: str, known: Iterable[str]) -> None:
    known = tuple(known)
    if name in known:
        return
    _check_renamed(name)
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
    raise InputError(f"unknown setting '{name}'; {hint}")


def _check_renamed(name: str) -> None:
    if name in RENAMED:
        bits = "; the length of the codes is 'bits'" if name == "bit" else ""
        raise InputError(f"unknown setting '{name}': the weight of that loss is called '{RENAMED[name]}'{bits}")


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """The value of a field in Python's own type, or an error that names the field."""
    name, kind, about = field.name, str(field.type), field.metadata
    whether = isinstance(value, bool | np.bool_)
    if kind == "bool":
        if not whether:
            raise InputError(f"{name}={value!r}: expected True or False")
        return bool(value)
    if kind == "str":
        choices = about["choices"]
        text = str(value).lower() if whether and (choices == AUTO or choices in SWITCHES) else value
        if choices in SWITCHES and isinstance(text, str) and text.lower() in _TRUE + _FALSE:
            text = SWITCHES[choices][text.lower() in _FALSE]
        if not isinstance(text, str) or (about["choices"] and text not in about["choices"]):
            raise InputError(f"{name}={value}: expected {'one of ' if about['choices'] else ''}{_allowed(field)}")
        return text
    if kind == "int":
        if whether or not hasattr(value, "__index__"):
            raise InputError(f"{name}={value!r}: expected a whole number")
        number: Any = operator.index(value)
    else:
        if whether or not isinstance(value, numbers.Real):
            raise InputError(f"{name}={value!r}: expected a number")
        number = float(value)
    if not about["least"] <= number <= about["most"]:  # NaN fails too
        raise InputError(f"{name}={value}: expected {_allowed(field)}")
    return number


def _from_text(name: str, kind: str, value: Any) -> Any:
    """``value`` as the type ``kind`` where it is text; anything else, and unknown kinds, as they are."""
    if not isinstance(value, str) or kind not in ("bool", "int", "float"):
        return value
    if kind == "bool":
        if value.lower() not in _TRUE + _FALSE:
            raise InputError(f"{name}={value}: expected true or false")
        return value.lower() in _TRUE
    try:
        return int(value) if kind == "int" else float(value)
    except ValueError:
        raise InputError(f"{name}={value}: expected a {'whole ' if kind == 'int' else ''}number") from None
