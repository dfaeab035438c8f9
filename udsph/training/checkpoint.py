"""The state of an unfinished training in its run folder; never unpickled (``weights_only=True``)."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from udsph import files
from udsph._version import __version__
from udsph.encoding.run_folder import CHECKPOINT
from udsph.errors import InputError


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Store the state of an unfinished training."""
    with files.beside(folder / CHECKPOINT) as part:
        torch.save({"udsph": __version__, **state}, part)


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state of an unfinished training, or None where there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is damaged ({reason}); remove it to start again") from None
    if state.get("udsph") != __version__:
        raise InputError(f"{path} is of version {state.get('udsph')}, this is {__version__}; remove it to start again")
    return state
