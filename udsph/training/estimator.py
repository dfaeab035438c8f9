"""UDSPH from Python: a :class:`~udsph.encoding.Hasher` that can be trained."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from udsph.data import Dataset
from udsph.encoding import Config, Hasher
from udsph.encoding.inputs import Inputs
from udsph.encoding.model import Model
from udsph.errors import InputError
from udsph.training.checkpoint import Run
from udsph.training.launch import launch, undisturbed
from udsph.training.plan import Plan
from udsph.training.progress import Progress
from udsph.training.trainer import Trainer


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
        self._model, self.inputs, self.data = None, Inputs(), {}
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
        progress: bool | None = None,
        resume: str = "auto",
    ) -> UDSPH:
        """Train on the training split of a dataset.

        Lines on what is planned, how long it will take, and each epoch go to the logger ``udsph.training``. torch's
        random generators are afterwards as they were before.

        Parameters
        ----------
        output
            The run folder: configuration, splits, log, checkpoints, weights. Without one nothing is written.
        progress
            True: lines go to stderr where nobody listens to the logger, and a terminal shows the present step. None:
            the same, but only where stderr is a terminal. False: nothing but the logger.
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
        plan = Plan.of(self.asked, dataset)
        fabric = launch(plan.config)
        run = Run.open(output, plan, dataset, fabric, resume)
        if run.folder is not None and run.complete:
            return self._adopt(Hasher.load(run.folder))
        shown = Progress(progress, run.log, first=fabric.is_global_zero)
        with undisturbed(fabric.device), shown:
            model = plan.new_model(dataset, fabric.device)
            run.follow(Trainer(fabric, plan, dataset, model, shown))
        trained = Hasher(model, Inputs.of(dataset), plan.data)
        run.finish(trained)
        return self._adopt(trained)

    def __repr__(self) -> str:
        return f"UDSPH({self.bits} bits, not trained)" if self._model is None else super().__repr__()

    def _content(self) -> dict[str, Any]:
        return super()._content() | {"asked": dataclasses.asdict(self.asked)}

    @classmethod
    def _assemble(
        cls, content: Mapping[str, Any], weights: Mapping[str, Tensor], inputs: Inputs, folder: Path, device: str | None
    ) -> UDSPH:
        """A run of an earlier version did not keep what was asked: it is taken for what came of it."""
        found = super()._assemble(content, weights, inputs, folder, device)
        if "asked" in content:
            found.asked = Config.of(content["asked"] | ({} if device is None else {"device": device}))
        return found

    @classmethod
    def _of(cls, model: Model, inputs: Inputs, data: Mapping[str, Any]) -> UDSPH:
        return cls(config=model.config)._adopt(Hasher(model, inputs, data))

    def _adopt(self, other: Hasher) -> UDSPH:
        self._model, self.inputs, self.data = other.model, other.inputs, other.data
        return self
