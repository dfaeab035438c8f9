"""A trained model: images and texts in, packed binary codes out; opened from a folder, stored, shared."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from udsph.data import Modality
from udsph.data.directions import MODALITIES
from udsph.encoding import pretrained, run_folder
from udsph.encoding.attended import Attended, attended
from udsph.encoding.batches import sequence
from udsph.encoding.collapse import Collapse
from udsph.encoding.config import Config
from udsph.encoding.device import device_of
from udsph.encoding.inputs import Inputs
from udsph.encoding.items import as_modality, extracted_texts, holds_text, listed, takes
from udsph.encoding.model import Description, Model
from udsph.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self  # not imported at run time: Python 3.10 has none

log = logging.getLogger(__name__)
PRECISIONS = ("32-true", "bf16-mixed")


class Hasher:
    """Images and texts in, packed binary codes out.

    Opened with :meth:`load`, or made by :meth:`udsph.UDSPH.fit`.

    Parameters
    ----------
    model
        The trained networks.
    inputs
        How raw items are prepared for them; without it pictures are still read, texts are not.
    data
        Name and settings of the dataset that they were trained on.

    Examples
    --------
    >>> hasher = Hasher.load("runs/scenes")                        # doctest: +SKIP
    >>> codes = hasher.encode_image(pixels)                        # doctest: +SKIP
    """

    def __init__(self, model: Model, inputs: Inputs | None = None, data: Mapping[str, Any] | None = None) -> None:
        self._model: Model | None = model
        self.inputs = inputs or Inputs()
        self.data: Mapping[str, Any] = data or {}

    @property
    def model(self) -> Model:
        """The networks, or an InputError where there are none yet."""
        if self._model is None:
            raise InputError("the model is not trained: call fit, or load a run")
        return self._model

    @property
    def config(self) -> Config:
        """The settings with which the model was trained."""
        return self.model.config

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self.config.bits

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the training data."""
        return self.model.description.classes

    # -- codes ----------------------------------------------------------------------------------------------------

    def encode_image(self, images: Any, batch_size: int = 256, *, precision: str = "32-true") -> np.ndarray:
        """Packed codes of images, from the images alone.

        Parameters
        ----------
        images
            For a model of pixels a list of paths, PIL images and arrays ``(height, width, 3)``, 0 to 255, or one array
            ``(n, height, width, 3)``: of any size, they are read and resized as in training. For a model of features
            an array of such; also pictures, if ``udsph extract`` made the features of the training: they go through
            the same extractor. A :class:`~udsph.data.Modality` of the same kind for either.
        batch_size
            Items that pass through the network at once.
        precision
            ``32-true``, or ``bf16-mixed``: layers in bfloat16, about twice as fast where the processor has
            instructions for it; a few bits in ten thousand differ. Encode queries and database alike.

        Returns
        -------
        numpy.ndarray
            uint8 ``(n, ceil(bits / 8))``, little bit order.

        Raises
        ------
        InputError
            For anything else; the message says what was given and what the model takes.

        Warns
        -----
        Through the logger ``udsph``: of codes that hardly differ.
        """
        return self._encode("image", images, batch_size, precision)

    def encode_text(self, texts: Any, batch_size: int = 256, *, precision: str = "32-true") -> np.ndarray:
        """Packed codes of texts, from the texts alone; like :meth:`encode_image`.

        Parameters
        ----------
        texts
            For a model of words a list of texts, which are split and looked up as in training, or token numbers
            ``(n, words)``. For a model of features an array of such, or, after ``udsph extract``, texts. A
            :class:`~udsph.data.Modality` for either.
        """
        return self._encode("text", texts, batch_size, precision)

    def _encode(self, name: str, items: Any, batch_size: int, precision: str) -> np.ndarray:
        items, spec = listed(items), self.model.spec(name)
        pieces = extracted_texts(items, name, spec, self.inputs)
        if pieces is None:
            modality, remarks = as_modality(items, name, spec, self.inputs)
            codes = self.codes_of(name, modality, batch_size, precision)
        else:
            found = [(self.codes_of(name, one, batch_size, precision), cut, lost) for one, cut, lost in pieces]
            codes = np.concatenate([piece for piece, _, _ in found])
            remarks = self.inputs.remarks(sum(cut for _, cut, _ in found), sum(lost for _, _, lost in found))
        collapse = Collapse(name, len(self.classes), self.bits)
        collapse.add(codes)
        for remark in (*remarks, *collapse.remarks()):
            log.warning(remark)
        return codes

    def attended(self, name: str, items: Any, batch_size: int = 256) -> Attended:
        """Which local parts of each item each class looked at, from the items of one modality alone.

        Parameters
        ----------
        name
            ``image`` or ``text``.
        items
            As :meth:`encode_image` and :meth:`encode_text` take them.

        Raises
        ------
        InputError
            If the network of the modality has no attention, or for items of another form.
        """
        if name not in MODALITIES:
            raise InputError(f"name={name!r}: expected {' or '.join(MODALITIES)}")
        items = listed(items)
        modality, _ = as_modality(items, name, self.model.spec(name), self.inputs)
        found = attended(self.model, name, modality, batch_size)
        if name not in self.inputs.extractors or modality.kind != "regions":
            return found
        if name == "image":
            return dataclasses.replace(found, grid=self.inputs.extractors.grid)
        texts = list(items) if not isinstance(items, Modality) and holds_text(items) else None
        return found if texts is None else dataclasses.replace(found, words=self.inputs.extractors.words(texts))

    def codes_of(self, name: str, modality: Modality, batch_size: int = 256, precision: str = "32-true") -> np.ndarray:
        """Codes of rows that :func:`udsph.encoding.items.as_modality` gave, without remarks."""
        if precision not in PRECISIONS:
            raise InputError(f"precision={precision}: expected one of {', '.join(PRECISIONS)}")
        if isinstance(batch_size, bool) or not hasattr(batch_size, "__index__") or batch_size < 1:
            raise InputError(f"batch_size={batch_size!r}: expected a whole number of at least 1")
        if len(modality) == 0:
            return np.empty((0, -(-self.bits // 8)), np.uint8)
        batches = sequence(modality, np.arange(len(modality)), batch_size, self.model.device)
        return self.model.encode(name, batches, half=precision == "bf16-mixed")

    def __repr__(self) -> str:
        """Code length, what each network takes, and the training data: a line each."""
        lines = [f"{type(self).__name__}({self.bits} bits, {len(self.classes)} classes)"]
        for modality in MODALITIES:
            lines.append(f"{modality}s: {takes(self.model.spec(modality), self.inputs, modality)}")
        lines.append(f"trained on: {self.data.get('name', 'unknown')}")
        return "\n  ".join(lines)

    # -- folders --------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: str | None = None) -> Self:
        """The model of a completed run, or of a folder that :meth:`share` wrote. Nothing in it is unpickled.

        Parameters
        ----------
        device
            ``auto``, ``cpu``, ``cuda``, ``cuda:1``; by default the one that the run was given.

        Raises
        ------
        InputError
            If the folder is neither, is damaged, or its training is not complete.
        """
        place = Path(folder)
        if pretrained.is_shared(place):
            return cls.from_pretrained(place, device)
        content = run_folder.read_config(place)
        return cls._assemble(content, run_folder.read_weights(place), run_folder.read_inputs(place), place, device)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], device: str | None = None) -> Self:
        """The model of a folder that :meth:`share` wrote. Nothing in it is executed or unpickled.

        Raises
        ------
        InputError
            If the folder is not such a model, or is damaged.
        """
        content, weights, inputs = pretrained.read(Path(folder))
        return cls._assemble(content, weights, inputs, Path(folder), device)

    def save(self, output: str | os.PathLike[str]) -> None:
        """Write the model as a run folder, which must not exist or be empty."""
        folder = Path(output)
        if run_folder.create(folder, self._content(), {}):
            raise InputError(f"{folder} holds a run already; choose another output or remove it")
        run_folder.finish(folder, self.inputs, self.tensors())

    def _content(self) -> dict[str, Any]:
        """What the configuration of a run folder says."""
        return run_folder.content_of(self.model, self.data)

    def share(
        self,
        folder: str | os.PathLike[str],
        *,
        licence: str = "unknown",
        metrics: Mapping[str, Any] | None = None,
        data: str = "",
        name: str = "",
    ) -> None:
        """Write the model as a folder for others, in the layout of the Hugging Face hub.

        Parameters
        ----------
        folder
            New, or with nothing in it but a repository's own files (``.git``).
        licence
            Of the weights, by the hub's name: ``apache-2.0``, ``cc-by-nc-4.0``, ``other``, ``unknown``.
        metrics
            What ``udsph.training.evaluate`` returned, for the model card.
        data
            A sentence on the training data for the card, beside the dataset's name and settings.
        name
            The model's name; the folder's by default.

        Raises
        ------
        InputError
            If the model is not trained, the folder holds something, or the licence is no name of the hub's form.
        """
        pretrained.write(self, Path(folder), licence=licence, metrics=metrics or {}, data=data, name=name)

    save_pretrained = share  # the hub's name

    @classmethod
    def _assemble(
        cls, content: Mapping[str, Any], weights: Mapping[str, Tensor], inputs: Inputs, folder: Path, device: str | None
    ) -> Self:
        """A model from what its folder holds."""
        _, strange = Config.part(content["training"])
        if strange:
            raise InputError(
                f"{folder} was written by another version: its setting '{next(iter(strange))}' is not known here"
            )
        config = Config.of(content["training"] | ({} if device is None else {"device": device}))
        try:
            description = Description.from_json(content["model"])
        except (KeyError, TypeError):
            raise InputError(f"{folder}: its configuration does not describe the networks") from None
        with torch.random.fork_rng(devices=[]):  # initial weights draw random numbers, though none of them stays
            model = Model(description, config, device_of(config.device), pretrained=False)
        for name, module in model.modules().items():
            tensors = {key.removeprefix(f"{name}."): t for key, t in weights.items() if key.startswith(f"{name}.")}
            try:
                module.load_state_dict(tensors)
            except RuntimeError:
                raise InputError(f"{folder}: the weights do not fit the configuration; train it again") from None
        return cls._of(model, inputs, content["data"])

    @classmethod
    def _of(cls, model: Model, inputs: Inputs, data: Mapping[str, Any]) -> Self:
        """One of this class from a trained model; a subclass whose constructor asks for something else overrides it."""
        return cls(model, inputs, data)

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, as they are stored."""
        return self.model.tensors()
