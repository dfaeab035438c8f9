"""The run folder while it is trained: made or found again, checkpoints, completion.

A checkpoint is never unpickled (``weights_only=True``).
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from udsph import files
from udsph._version import __version__
from udsph.data import Dataset
from udsph.encoding import Hasher, run_folder
from udsph.encoding.run_folder import CHECKPOINT
from udsph.errors import InputError
from udsph.training.plan import Plan
from udsph.training.progress import drop_rows_after
from udsph.training.trainer import Trainer


class Run:
    """Where a training is kept: a folder, or nowhere. Only the first of several processes writes.

    Attributes
    ----------
    folder
        Or None.
    complete
        Whether the folder holds the trained model already.
    """

    def __init__(self, folder: Path | None, fabric: Fabric, complete: bool) -> None:
        self.folder, self.complete = folder, complete
        self._writes = folder is not None and fabric.is_global_zero

    @classmethod
    def open(
        cls, output: str | os.PathLike[str] | None, plan: Plan, dataset: Dataset, fabric: Fabric, resume: str
    ) -> Run:
        """Make the folder, or find the run of the same settings there; the first process does it for all.

        Raises
        ------
        InputError
            If the folder holds something else, a run of other settings, or any run where ``resume`` is ``never``.
        """
        if output is None:
            return cls(None, fabric, False)
        folder, complete, problem = Path(output), False, ""
        if fabric.is_global_zero:
            training, asked = dataclasses.asdict(plan.config), dataclasses.asdict(plan.asked)
            content = {"data": plan.data, "training": training, "asked": asked, "model": plan.description.as_json()}
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
        return cls(folder, fabric, complete)

    @property
    def log(self) -> Path | None:
        """``log.csv``, in the process that writes it."""
        return self.folder / run_folder.LOG if self.folder is not None and self._writes else None

    def follow(self, trainer: Trainer) -> None:
        """Train to the end, from the checkpoint if there is one, and keep checkpoints on the way."""
        state = None if self.folder is None else read_checkpoint(self.folder)
        if state is not None:
            trainer.restore(state)
            if self.log is not None:
                drop_rows_after(self.log, trainer.phase, trainer.done_epochs)
        trainer.fabric.barrier()  # all have read before the first writes again
        written = 0.0
        for _ in trainer.run():
            due = time.monotonic() - written >= trainer.config.checkpoint_seconds
            if self.folder is not None and self._writes and due:
                write_checkpoint(self.folder, trainer.state())
                written = time.monotonic()

    def finish(self, trained: Hasher) -> None:
        """Store the trained model; the run is complete then."""
        if self.folder is not None and self._writes:
            run_folder.finish(self.folder, trained.inputs, trained.tensors())


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Store the state of an unfinished training."""
    try:
        with files.replacing(folder / CHECKPOINT) as file:
            torch.save({"udsph": __version__, **state}, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch covers what the system said of a full disk
            raise error.__context__ from None
        raise


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
