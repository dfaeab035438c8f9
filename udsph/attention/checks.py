"""What features and scores must look like; lengths are checked in ``rows``, options in ``formula``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from udsph.errors import InputError

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def check_features(regions: Any, words: Any) -> None:
    """InputError unless these are two batches of features that can be multiplied."""
    for name, features in (("regions", regions), ("words", words)):
        if not isinstance(features, Tensor):
            raise InputError(f"{name} is a {type(features).__name__}, not a torch tensor")
        if features.layout != torch.strided:
            raise InputError(f"{name} has the layout {features.layout}: expected a dense tensor")
        if features.dim() != 3:
            raise InputError(f"{name} has shape {tuple(features.shape)}: expected (items, rows, dimensions)")
        if 0 in features.shape:
            raise InputError(f"{name} has shape {tuple(features.shape)}: nothing to score")
        if features.dtype not in _DTYPES:
            raise InputError(f"{name} has dtype {features.dtype}: expected float32, float64, bfloat16 or float16")
    if regions.device != words.device:
        raise InputError(f"regions has device {regions.device}, words has {words.device}")
    if regions.dtype != words.dtype and not torch.is_autocast_enabled(regions.device.type):
        raise InputError(f"regions has dtype {regions.dtype}, words has {words.dtype}")
    if regions.shape[2] != words.shape[2]:
        raise InputError(f"regions has {regions.shape[2]} dimensions, words has {words.shape[2]}")


def check_finite(scores: Tensor) -> None:
    """InputError if a score is not finite.

    A NaN or infinite feature reaches every score that it takes part in, so the small result is what is looked at. While
    a CUDA graph is captured it is not, for that would wait for the result.
    """
    if scores.is_cuda and torch.cuda.is_current_stream_capturing():
        return
    if not bool(torch.isfinite(scores.detach()).all()):
        raise InputError("regions or words hold NaN or infinite values, or values too large for their dtype")
