"""Backbones of ``timm``, frozen: the extra ``timm``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from udsph.data.quotes import reason_of
from udsph.errors import InputError
from udsph.features.base import check_form, local_weights, missing
from udsph.features.pixels import best_device, resized, standardised

# Kept for the life of the process: torch forgets the operators with their library.
_OPERATORS: list[torch.library.Library] = []


def _define_operators() -> None:
    """Let torchvision, which timm imports, be imported beside a torch without CUDA.

    torchvision's wheels for CUDA cannot load their operators there, and then fail on registering a fake for them.
    Declared beforehand, they are there to be registered for; timm calls neither.
    """
    if _OPERATORS or torch.version.cuda is not None:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _OPERATORS.append(library)


class TimmImages:
    """Features of a frozen timm model.

    Parameters
    ----------
    weights
        ``MODEL`` for timm's own weights, which it fetches from the hub, or ``MODEL=FILE.safetensors``.
    """

    def __init__(self, weights: str, form: str = "vectors") -> None:
        self.form = check_form("timm", form)
        given = local_weights("timm", weights, "NAME of a timm model, or NAME=FILE.safetensors")
        self.name, _, self.file = given.partition("=")
        self.device = best_device()
        self.model = _create(self.name, self.file).eval().to(self.device)
        settings = self.model.pretrained_cfg
        self.size = settings.get("input_size", (3, 224, 224))[-1]
        self._mean, self._deviation = settings.get("mean", (0.5,) * 3), settings.get("std", (0.5,) * 3)
        found = self(np.zeros((1, self.size, self.size, 3), np.uint8))
        self.shape: tuple[int, ...] = found.shape[1:]

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """See :class:`~udsph.features.base.ImageExtractor`."""
        images = standardised(resized(pixels, self.size, self.device), self._mean, self._deviation)
        maps = self.model.forward_features(images)
        if self.form == "vectors":
            return self.model.forward_head(maps, pre_logits=True).flatten(1).float().cpu().numpy()
        if maps.ndim == 4:
            cells = maps.flatten(1, 2) if maps.shape[-1] == self.model.num_features else maps.flatten(2).transpose(1, 2)
        else:
            cells = maps[:, getattr(self.model, "num_prefix_tokens", 0) :]
        return cells.float().contiguous().cpu().numpy()

    def describe(self) -> dict[str, Any]:
        weights = f"{self.name}={Path(self.file).resolve()}" if self.file else self.name
        return {"extractor": "timm", "form": self.form, "weights": weights}


def _create(name: str, file: str) -> Any:
    if ":" in name or "/" in name:
        raise InputError(
            f"timm: {name}: only timm's own models are taken, by name; other places may hold what runs code"
        )
    _define_operators()
    try:
        import timm
    except ImportError as error:
        raise missing("timm models", error) from error
    if file and not file.endswith(".safetensors"):
        raise InputError(f"timm: {file}: only .safetensors weights are read, since other forms can run code")
    if file and not Path(file).is_file():
        raise InputError(f"timm: the file {file} does not exist")
    try:
        return timm.create_model(name, pretrained=not file, checkpoint_path=file)
    except Exception as error:  # timm, the hub's client and safetensors answer with anything
        raise InputError(f"timm: the model '{name}' could not be loaded ({reason_of(error)})") from error
