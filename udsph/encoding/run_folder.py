"""The run folder: everything needed to use, continue, repeat and judge one training.

======================  ==============================================================================
``config.json``         dataset, its root and settings, training settings, those that were asked for, shapes, versions
``splits.npz``          index arrays ``train``, ``database``, ``query`` and the parts ``fitted``, ``validation``
``inputs.json``         how raw images and texts are prepared: size, vocabulary, splitting into words
``log.csv``             one row an epoch: losses and validation MAP
``model.safetensors``   the weights; present once the training is complete
``checkpoint.pt``       the state of an unfinished training
``metrics.json``        what ``udsph evaluate`` found
======================  ==============================================================================

Files are written whole or not at all (``udsph.files``). Nothing in a run is unpickled:
weights are safetensors, checkpoints are read with ``weights_only=True``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from udsph import files
from udsph._version import __version__
from udsph.encoding import extractors
from udsph.encoding.config import of_earlier_version
from udsph.encoding.inputs import Inputs
from udsph.encoding.model import Model
from udsph.errors import InputError

FORMAT = 1
CONFIG, SPLITS, LOG = "config.json", "splits.npz", "log.csv"
INPUTS = "inputs.json"
WEIGHTS, CHECKPOINT = "model.safetensors", "checkpoint.pt"


def content_of(model: Model, data: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` says of a model and the data that it was trained on."""
    training = dataclasses.asdict(model.config)
    return {"data": dict(data), "training": training, "model": model.description.as_json()}


def create(folder: Path, content: Mapping[str, Any], splits: Mapping[str, np.ndarray]) -> bool:
    """Make a run folder, or find the one that the same command made before.

    Returns
    -------
    bool
        Whether it was there already.

    Raises
    ------
    InputError
        If the folder holds something else, or a run of other settings.
    """
    if (folder / CONFIG).exists():
        difference = _difference(read_config(folder), dict(content))
        if difference:
            raise InputError(f"{folder} holds a run with another {difference}; choose another output or remove it")
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not a run; choose another output")
    folder.mkdir(parents=True, exist_ok=True)
    with files.replacing(folder / SPLITS) as stream:
        np.savez(stream, allow_pickle=False, **dict(splits))
    files.write_json(
        folder / CONFIG, {"format": FORMAT, "udsph": __version__, "torch": str(torch.__version__), **content}
    )
    return False


def _difference(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The first setting in which two configurations differ, in words; empty if in none."""
    wanted = json.loads(json.dumps(wanted))
    for section in ("data", "training", "model"):
        old, new = stored[section], wanted[section]
        for name in dict.fromkeys([*old, *new]):
            if old.get(name) != new.get(name):
                return f"{name}: {_short(old.get(name))}, not {_short(new.get(name))}"
    return ""


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a run (or that file itself), or an InputError that says why it is not one."""
    path = folder if folder.is_file() else folder / CONFIG
    if not path.is_file():
        raise InputError(
            f"{folder} is not a run: it has no {CONFIG}; give the folder that a training wrote as its output"
        )
    content = files.read_json(path)
    if not isinstance(content, dict) or "format" not in content:
        raise InputError(f"{path} is not the configuration of a run: 'format' is missing")
    sections: dict[str, Any] = {
        "data": None,
        "training": None,
        "model": None,
        "asked": {},
    }  # an earlier version did not keep the last
    missing = [name for name, default in sections.items() if not isinstance(content.get(name, default), dict)]
    if missing:
        raise InputError(f"{path} is not the configuration of a run: '{missing[0]}' is missing")
    if content["format"] != FORMAT:
        raise InputError(f"{folder} has run format {content['format']}, this version reads {FORMAT}; train it again")
    settings = {name: of_earlier_version(content[name]) for name in ("training", "asked") if name in content}
    return {**content, **settings}


def read_recipe(path: Path) -> tuple[dict[str, Any], str, str | None, dict[str, Any]]:
    """What a run was made from, to make it again: training settings; the dataset's name, root and settings.

    Parameters
    ----------
    path
        The folder of a run, complete or not, or its ``config.json`` wherever it lies.
    """
    content = read_config(path)
    data = content["data"]
    return dict(content["training"]), data["name"], data["root"], dict(data["settings"])


def read_splits(folder: Path) -> dict[str, np.ndarray]:
    """The index arrays of a run."""
    try:
        with np.load(folder / SPLITS, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / SPLITS} is missing or damaged ({error})") from None


def write_inputs(folder: Path, inputs: Inputs) -> None:
    """Store the preparation of raw items."""
    inputs.extractors.store(folder)
    files.write_json(folder / INPUTS, inputs.as_json())


def read_inputs(folder: Path) -> Inputs:
    """The preparation of raw items; a run of an earlier version has none, and encodes arrays only."""
    path = folder / INPUTS
    if not path.exists():
        return Inputs()
    return Inputs.from_json(files.read_json(path), str(path), folder / extractors.FOLDER)


def finish(folder: Path, inputs: Inputs, weights: Mapping[str, Tensor]) -> None:
    """Store what makes a run complete; the weights come last, since they are the sign of it."""
    write_inputs(folder, inputs)
    write_weights(folder, weights)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def write_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Store the finished model's tensors."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    # Through our own file: safetensors would make one for the owner only, and hide the OSError of a full disk.
    files.write_bytes(folder / WEIGHTS, save(tensors, metadata={"format": str(FORMAT)}))


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The finished model's tensors."""
    path = folder / WEIGHTS
    if not path.exists():
        raise InputError(f"{folder} is not trained to the end: run its command again, it continues")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}); train again") from None
