"""Pixels as a network's input: resized, scaled, on its device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def best_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resized(pixels: np.ndarray, size: int, device: torch.device) -> Tensor:
    """uint8 ``(n, height, width, 3)`` as float32 ``(n, 3, size, size)`` from 0 to 255, the sides stretched.

    Images of that size already are not touched; others are averaged down or interpolated (bilinear).
    """
    # torch warns of an array that it could not write to, as of a picture or a file that is mapped.
    images = torch.from_numpy(np.require(pixels, requirements=("C", "W"))).to(device).permute(0, 3, 1, 2).float()
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)


def standardised(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Images from 0 to 255, scaled to [0, 1], less the mean and divided by the deviation of each channel."""
    shape = (1, 3, 1, 1)
    return (images / 255 - images.new_tensor(mean).view(shape)) / images.new_tensor(deviation).view(shape)
