"""Vision backbones, CLIP and text encoders of Hugging Face's ``transformers``.

As extractors they are frozen; a vision backbone may also be the image network's encoder and be fine-tuned
(:mod:`udsph.models.backbone`).

A model is a folder in the hub's layout (or a name on the hub, where the network reaches it) with ``config.json``,
``model.safetensors``, and for images ``preprocessor_config.json``, for text the tokenizer's files. Weights in any other
form are refused, and no code of a repository is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from udsph.data.mapped import read_description
from udsph.data.quotes import reason_of
from udsph.errors import InputError
from udsph.features.base import Reads, check_form, local_weights, missing
from udsph.features.pixels import best_device, resized, standardised

_FOLDER = "a folder with config.json and model.safetensors, or a name on the Hugging Face hub"


def load_model(place: str, *, vision: bool) -> Any:
    """The model of a folder, from safetensors alone. Of CLIP and its relatives, both towers come with it.

    Raises
    ------
    InputError
        If the folder holds no model, no safetensors, or no vision (text) part.
    """
    if Path(place).is_absolute() and not Path(place).exists():
        raise InputError(f"{place} does not exist; expected {_FOLDER}")
    try:
        from transformers import AutoModel
        from transformers.utils import logging
    except ImportError as error:
        raise missing("Hugging Face models", error) from error
    logging.disable_progress_bar()  # of reading a file that is there already
    try:
        model = AutoModel.from_pretrained(place, use_safetensors=True, trust_remote_code=False)
    except Exception as error:  # whatever transformers, the hub's client and safetensors answer
        raise InputError(f"{place}: no model could be loaded ({reason_of(error)}); expected {_FOLDER}") from error
    tower = "get_image_features" if vision else "get_text_features"
    takes = "pixel_values" if vision else "input_ids"
    if not hasattr(model, tower) and model.main_input_name != takes:
        raise InputError(f"{place}: {type(model).__name__} reads no {'images' if vision else 'text'}")
    return model.eval()


class VisionBackbone(torch.nn.Module):
    """A vision model with one face: RGB images of 0 to 255 in, a vector and a set of regions out.

    The regions are the patches (without the class token, where there is one) or the cells of the last map. The vector
    is CLIP's projected image feature, the pooled output, or the mean of the regions.

    Attributes
    ----------
    size
        Side in pixels to which images are resized.
    dims, region_dims, regions
        Length of the vector, length of a region, number of regions.
    """

    def __init__(self, model: Any, mean: Sequence[float], deviation: Sequence[float], size: int) -> None:
        super().__init__()
        self.size, self._mean, self._deviation = size, tuple(mean), tuple(deviation)
        self.projected = hasattr(model, "get_image_features")
        for name in ("text_model", "text_projection", "logit_scale", "logit_bias"):  # of CLIP; not needed for images
            if self.projected and hasattr(model, name):
                delattr(model, name)
        self.model = model
        with torch.inference_mode():
            vector, regions = self.eval()(torch.zeros(1, 3, size, size))
        self.dims, self.regions, self.region_dims = vector.shape[1], regions.shape[1], regions.shape[2]

    @classmethod
    def load(cls, place: str) -> VisionBackbone:
        """The backbone of a folder, with the preprocessing that its ``preprocessor_config.json`` names."""
        model = load_model(place, vision=True)
        settings = _preprocessing(place)
        return cls(model, settings["image_mean"], settings["image_std"], _side(settings, place))

    def describe(self) -> dict[str, Any]:
        """What decides the network's shape and its input, as JSON."""
        config = json.loads(self.model.config.to_json_string(use_diff=False))
        config.pop("_name_or_path", None)  # the place on this machine
        return {
            "config": config, "image_mean": list(self._mean), "image_std": list(self._deviation), "size": self.size,
        }  # fmt: skip

    @classmethod
    def from_description(cls, content: Mapping[str, Any]) -> VisionBackbone:
        """A backbone with random weights, from what :meth:`describe` said; no code and no file is read.

        Raises
        ------
        InputError
            If it describes no model that ``transformers`` itself has.
        """
        try:
            from transformers import AutoConfig, AutoModel
        except ImportError as error:
            raise missing("Hugging Face models", error) from error
        try:
            config = {key: value for key, value in content["config"].items() if key != "auto_map"}
            model = AutoModel.from_config(AutoConfig.for_model(**config), trust_remote_code=False)
            return cls(model, content["image_mean"], content["image_std"], content["size"])
        except Exception as error:  # whatever transformers says of a configuration
            raise InputError(f"the description of the backbone is damaged ({reason_of(error)})") from error

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, 3, size, size)`` of 0 to 255 to ``(n, dims)`` and ``(n, regions, region_dims)``."""
        pixels = standardised(images, self._mean, self._deviation)
        if self.projected:
            found = self.model.get_image_features(pixel_values=pixels)
        else:
            found = self.model(pixel_values=pixels)
        last = found.last_hidden_state
        if last.ndim == 4:
            regions = last.flatten(2).transpose(1, 2)
        else:
            # Class and distillation tokens come first; a class of models without any has a square number of patches.
            grid = int(last.shape[1] ** 0.5) ** 2
            regions = last[:, last.shape[1] - grid :]
        pooled = getattr(found, "pooler_output", None)
        return (regions.mean(1) if pooled is None else pooled.flatten(1)), regions


def _preprocessing(place: str) -> dict[str, Any]:
    """``preprocessor_config.json`` of a folder or of the hub."""
    path = Path(place) / "preprocessor_config.json"
    if not Path(place).is_dir():
        from huggingface_hub import hf_hub_download

        try:
            path = Path(hf_hub_download(place, "preprocessor_config.json"))
        except Exception as error:
            raise InputError(f"{place}: no preprocessor_config.json ({reason_of(error)})") from error
    if not path.is_file():
        raise InputError(f"{place} has no preprocessor_config.json, which says how pixels become the model's input")
    settings = read_description(path)
    lacking = [key for key in ("image_mean", "image_std") if key not in settings]
    if lacking:
        raise InputError(f"{path} does not say '{lacking[0]}'")
    return settings


def _side(settings: dict[str, Any], place: str) -> int:
    """Side of the square that the model sees: ``crop_size`` or else ``size``, a number or a dictionary."""
    found = settings.get("crop_size") or settings.get("size")
    if isinstance(found, dict):
        found = found.get("height") or found.get("shortest_edge")
    if not isinstance(found, int):
        raise InputError(f"{place}: preprocessor_config.json does not say the image size")
    return found


class HuggingFaceImages:
    """Features of a frozen vision backbone."""

    def __init__(self, weights: str, form: str = "vectors") -> None:
        self.form = check_form("huggingface", form)
        self.place = local_weights("huggingface", weights, _FOLDER)
        self.device = best_device()
        self.backbone = VisionBackbone.load(self.place).to(self.device)
        self.size = self.backbone.size
        one = self.backbone
        self.shape: tuple[int, ...] = (one.dims,) if self.form == "vectors" else (one.regions, one.region_dims)

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """See :class:`~udsph.features.base.ImageExtractor`."""
        vector, regions = self.backbone(resized(pixels, self.size, self.device))
        return (vector if self.form == "vectors" else regions).float().cpu().numpy()

    def describe(self) -> dict[str, Any]:
        return {"extractor": "huggingface", "form": self.form, "weights": _absolute(self.place)}


class HuggingFaceTexts:
    """Features of a frozen text model: CLIP's projected text feature or the mean of the words, or the words each."""

    reads: Reads = "captions"

    def __init__(self, weights: str, form: str = "vectors", longest: int = 64) -> None:
        self.form = check_form("huggingface", form)
        self.place = local_weights("huggingface", weights, _FOLDER + ", with its tokenizer")
        self.device = best_device()
        self.model = load_model(self.place, vision=False).to(self.device)
        self.tokenizer = _tokenizer(self.place)
        config = getattr(self.model.config, "text_config", None) or self.model.config
        self.longest = min(longest, getattr(config, "max_position_embeddings", longest))
        self.projected = hasattr(self.model, "get_text_features")
        vector, words, _ = self._run(["a"])
        self._dims = vector.shape[1] if self.form == "vectors" else words.shape[2]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the features of one text."""
        return (self._dims,) if self.form == "vectors" else (self.longest, self._dims)

    def fit(self, texts: Sequence[str]) -> None:
        """Nothing: the model was trained before."""

    @torch.inference_mode()
    def _run(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors ``(n, dims)``, words ``(n, most, dims)``, and the number of words ``(n,)``."""
        batch = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
        ).to(self.device)
        inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        call: Callable[..., Any] = self.model.get_text_features if self.projected else self.model
        found = call(**inputs)
        words, mask = found.last_hidden_state, batch["attention_mask"]
        if self.projected:
            vector = found.pooler_output
        else:
            weights = mask.unsqueeze(2).to(words.dtype)
            vector = (words * weights).sum(1) / weights.sum(1).clamp_min(1)
        return vector, words, mask.sum(1)

    def __call__(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
        """See :class:`~udsph.features.base.TextExtractor`."""
        vector, words, lengths = self._run(texts)
        if self.form == "vectors":
            return vector.float().cpu().numpy(), None
        padded = np.zeros((len(texts), *self.shape), np.float32)
        padded[:, : words.shape[1]] = words.float().cpu().numpy()
        valid = lengths.cpu().numpy().astype(np.int32)
        padded[np.arange(self.longest) >= valid[:, None]] = 0
        return padded, valid

    def describe(self) -> dict[str, Any]:
        return {
            "extractor": "huggingface", "form": self.form, "weights": _absolute(self.place), "longest": self.longest,
        }  # fmt: skip

    def save(self, folder: Path) -> None:
        """Nothing was learnt; the model stays where it is."""

    def load(self, folder: Path) -> bool:
        """There is nothing to load."""
        return True


def _tokenizer(place: str) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except Exception as error:
        raise InputError(f"{place}: no tokenizer could be loaded ({reason_of(error)})") from error
    tokenizer.padding_side = "right"  # the valid words come first, as the lengths suppose
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _absolute(place: str) -> str:
    return str(Path(place).resolve()) if Path(place).exists() else place
