"""The trained thing: its networks, how they are built from a description, and codes from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from udsph import hamming
from udsph.data.directions import MODALITIES
from udsph.encoding.batches import Batch
from udsph.encoding.config import Config
from udsph.errors import InputError
from udsph.models.backbone import BackboneEncoder
from udsph.models.linear import LinearNetwork
from udsph.models.networks import LabelNetwork, ModalityPair, ModalitySpec, build_modality


@dataclass(frozen=True)
class Description:
    """What decides the networks' shapes, besides the configuration.

    ``backbone`` is what :meth:`udsph.features.huggingface.VisionBackbone.describe` says of the image network's, if it
    has one.
    """

    image: ModalitySpec
    text: ModalitySpec
    classes: tuple[str, ...]
    backbone: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Description:
        image, text = (
            ModalitySpec(spec["kind"], tuple(spec["shape"]), spec["vocabulary"])
            for spec in (content["image"], content["text"])
        )
        return cls(image, text, tuple(content["classes"]), content.get("backbone"))


class Model:
    """The two modality networks and, if the configuration has one, the label network.

    ``pretrained``: start a backbone from the weights that the configuration names, not from random ones.
    """

    def __init__(
        self, description: Description, config: Config, device: torch.device, *, pretrained: bool = True
    ) -> None:
        self.pretrained = pretrained
        self.description, self.config, self.device = description, config, device
        self.statistics: dict[str, tuple[Tensor, Tensor] | None] = {"image": None, "text": None}
        # Without labels there is nothing that it could read; one of no use stands in its place.
        self.teacher = LabelNetwork(config.bits, max(1, len(description.classes)), config.width).to(device)
        self.pair = self._build().to(device)

    def _build(self) -> ModalityPair:
        config, classes = self.config, len(self.description.classes)
        if config.linear == "true":
            return ModalityPair(*(LinearNetwork(self.spec(name).shape[0], config.bits) for name in MODALITIES))
        built = {
            name: build_modality(
                getattr(self.description, name),
                name,
                config.bits,
                classes,
                part_width=config.part_width,
                parts=config.parts,
                width=config.width,
                groups=config.groups,
                shortcut=config.shortcut,
            )
            for name in MODALITIES
        }
        if self.description.backbone is not None:
            built["image"].encoder = self._backbone(self.description.backbone)
        reading = config.reading if config.label_net else "false"
        return ModalityPair(built["image"], built["text"], attention=config.attention, reading=reading)

    def _backbone(self, description: dict[str, Any]) -> BackboneEncoder:
        from udsph.features.huggingface import VisionBackbone

        place = self.config.backbone
        one = VisionBackbone.load(place) if self.pretrained else VisionBackbone.from_description(description)
        return BackboneEncoder(one, self.config.width, self.config.part_width, frozen=self.config.backbone_rate == 0)

    def spec(self, modality: str) -> ModalitySpec:
        """What the network of ``image`` or ``text`` takes."""
        found: ModalitySpec = getattr(self.description, modality)
        return found

    def reset_modalities(self) -> None:
        """New initial weights from torch's generator, with the statistics of the data in place."""
        self.pair = self._build().to(self.device)
        for name, found in self.statistics.items():
            if found is not None:
                getattr(self.pair, name).encoder.set_statistics(*found)

    @torch.no_grad()
    def encode(self, name: str, batches: Iterable[Batch], *, half: bool = False) -> np.ndarray:
        """Packed codes of the batches of one modality: uint8 ``(n, ceil(bits / 8))``; ``half``: layers in bfloat16."""
        network = getattr(self.pair, name).eval()
        codes = []
        for batch in batches:  # an extractor may make them, which is as it was in training
            with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                logits = network(*batch).code_logits
            codes.append(self._packed(name, logits))
        return np.concatenate(codes)

    def _packed(self, name: str, logits: Tensor) -> np.ndarray:
        """The bits of logits; NaN would pass for 0 without a word."""
        values = logits.float().cpu().numpy()
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values).all(axis=1)).argmax())
            raise InputError(
                f"{name}s: the network's answer to an item (row {row} of its batch) is NaN or infinite; so are the "
                "item's values, or the model's weights"
            )
        return hamming.pack(values)

    @torch.no_grad()
    def encode_labels(self, labels: np.ndarray) -> np.ndarray:
        """Packed codes that the label network gives to multi-hot labels."""
        logits = self.teacher.eval()(torch.from_numpy(labels).to(self.device)).code_logits
        return hamming.pack(logits.float().cpu().numpy())

    def modules(self) -> dict[str, nn.Module]:
        """The networks that a run stores."""
        return {"pair": self.pair} | ({"label": self.teacher} if self.config.label_net else {})

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, as a run stores them."""
        return {
            f"{name}.{key}": tensor
            for name, module in self.modules().items()
            for key, tensor in module.state_dict().items()
        }
