"""A vision model that was trained elsewhere, as the encoder of the image network: fine-tuned, or frozen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from udsph.models.encoders import Encoded


class BackboneEncoder(nn.Module):
    """From pixels through a pretrained network to a vector and the regions that it gives.

    Parameters
    ----------
    backbone
        A module that takes images ``(batch, 3, size, size)`` from 0 to 255 and returns a vector ``(batch, dims)`` and
        regions ``(batch, regions, region_dims)``; it tells ``size``, ``dims`` and ``region_dims``.
    frozen
        Keep its weights, and its batch statistics, as they are.
    """

    def __init__(self, backbone: Any, width: int, part_width: int, *, frozen: bool) -> None:
        super().__init__()
        self.part_width = part_width
        self.backbone, self.frozen = backbone.requires_grad_(not frozen), frozen
        self.to_vector = nn.Sequential(nn.Linear(backbone.dims, width), nn.BatchNorm1d(width), nn.ReLU())
        self.to_parts = nn.Linear(backbone.region_dims, part_width)

    def forward(self, pixels: Tensor, lengths: Tensor | None = None) -> Encoded:
        """``pixels``: uint8 ``(batch, height, width, 3)``, stretched to the square that the backbone reads."""
        size = self.backbone.size
        images = pixels.permute(0, 3, 1, 2).to(self.to_parts.weight.dtype)
        if images.shape[-2:] != (size, size):
            images = F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            vector, regions = self.backbone(images)
        return Encoded(self.to_vector(vector), self.to_parts(regions), None)

    def train(self, mode: bool = True) -> BackboneEncoder:
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self
