"""Lengths of the padded rows: reading them, checking them, and turning them into masks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from udsph.errors import InputError


def checked_lengths(name: str, lengths: Any, items: int, width: int) -> Tensor:
    """``lengths`` as an int64 tensor on the CPU; ``width`` for every item where they are not given.

    Raises
    ------
    InputError
        For another number of lengths than items, a length that is no integer, is 0 or exceeds the width.
    """
    if lengths is None:
        return torch.full((items,), width, dtype=torch.int64)
    try:
        found = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} cannot be read as integers: {error}") from None
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise InputError(f"{name} has dtype {found.dtype}: expected integers")
    if tuple(found.shape) != (items,):
        raise InputError(f"{name} has shape {tuple(found.shape)}: expected ({items},), one length per item")
    return check_range(found.to("cpu", torch.int64), width, name)


@torch.library.custom_op("udsph::check_lengths", mutates_args=())
def check_range(lengths: Tensor, width: int, name: str) -> Tensor:
    """A copy of the lengths, or InputError. An op of its own because a compiled graph cannot look at values."""
    for item, length in enumerate(lengths.tolist()):
        if not 1 <= length <= width:
            raise InputError(f"{name}[{item}] is {length}: expected 1 to {width}, the padded width")
    return lengths.clone()


@check_range.register_fake
def _(lengths: Tensor, width: int, name: str) -> Tensor:
    return torch.empty_like(lengths)


def row_mask(lengths: Tensor, width: int, device: torch.device) -> Tensor:
    """(items, width) bool: True for the real rows."""
    return torch.arange(width, device=device) < lengths.to(device)[:, None]


def without_padding(features: Tensor, mask: Tensor) -> Tensor:
    """The features with zeros in the padded rows, whatever stood there."""
    return torch.where(mask[:, :, None], features, features.new_zeros(()))
