"""One side of a batch: padded features, how many rows of each item are real, and the two ways to use that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from udsph.errors import InputError


@dataclass(frozen=True)
class Rows:
    """The regions or the words of a batch."""

    features: Tensor
    """(items, width, dim)"""
    lengths: Tensor
    """(items,) int64 on the CPU, each from 1 to width"""
    ragged: bool
    """Whether lengths were given; else every row is real."""

    @property
    def width(self) -> int:
        return self.features.shape[1]

    def mask(self) -> Tensor:
        """(items, width) bool on the features' device: True for the real rows."""
        device = self.features.device
        return torch.arange(self.width, device=device) < on_device(self.lengths, device)[:, None]

    def zero_padded(self) -> Tensor:
        """The features with zeros in the other rows, whatever stood there."""
        if not self.ragged:
            return self.features
        return torch.where(self.mask()[:, :, None], self.features, self.features.new_zeros(()))

    def packed(self) -> Tensor:
        """(sum of lengths, dim): the real rows alone, one item behind the other."""
        if not self.ragged:
            return self.features.flatten(0, 1)
        return pack(self.features, self.lengths)


def rows(name: str, features: Tensor, lengths: Any) -> Rows:
    """Features and lengths that fit together.

    Raises
    ------
    InputError
        As for ``checked_lengths``.
    """
    checked = checked_lengths(f"{name}_lengths", lengths, features.shape[0], features.shape[1])
    return Rows(features, checked, lengths is not None)


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


@torch.library.custom_op("udsph::pack_rows", mutates_args=())
def pack(features: Tensor, lengths: Tensor) -> Tensor:
    """The first ``lengths[i]`` rows of every item i, one item behind the other."""
    return features.flatten(0, 1).index_select(0, _positions(lengths, features.shape[1], features.device))


@torch.library.custom_op("udsph::unpack_rows", mutates_args=())
def unpack(packed: Tensor, lengths: Tensor, width: int) -> Tensor:
    """The inverse of ``pack``, with zeros in the other rows."""
    items, dim = lengths.shape[0], packed.shape[1]
    flat = packed.new_zeros(items * width, dim)
    return flat.index_copy_(0, _positions(lengths, width, packed.device), packed).view(items, width, dim)


def _positions(lengths: Tensor, width: int, device: torch.device) -> Tensor:
    """Of the real rows, in a batch whose items lie one behind the other. Found on the CPU, where the lengths are."""
    if device.type == "cpu":
        return (torch.arange(width) < lengths[:, None]).flatten().nonzero().flatten()
    return _kept_positions(tuple(lengths.tolist()), width, device)


# A CUDA graph is captured of kernels alone, so what depends on the lengths must be on the device before: the last of
# it stays there, and a call before the capture, with the same lengths, brings it.
_KEPT = 32


def on_device(numbers: Tensor, device: torch.device) -> Tensor:
    """A few integers of the CPU on a device; the last ones are there already."""
    if device.type == "cpu" or torch.compiler.is_compiling():
        return numbers.to(device)
    return _kept(tuple(numbers.tolist()), device)


@lru_cache(_KEPT)
def _kept(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(numbers).to(device)


@lru_cache(_KEPT)
def _kept_positions(lengths: tuple[int, ...], width: int, device: torch.device) -> Tensor:
    return _positions(torch.tensor(lengths), width, torch.device("cpu")).to(device)


@pack.register_fake
def _(features: Tensor, lengths: Tensor) -> Tensor:
    return features.new_empty(torch.library.get_ctx().new_dynamic_size(min=1), features.shape[2])


@unpack.register_fake
def _(packed: Tensor, lengths: Tensor, width: int) -> Tensor:
    return packed.new_empty(lengths.shape[0], width, packed.shape[1])


def _save_for_pack(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    features, lengths = inputs
    ctx.save_for_backward(lengths)
    ctx.width = features.shape[1]


def _save_for_unpack(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


pack.register_autograd(
    lambda ctx, grad: (unpack(grad, ctx.saved_tensors[0], ctx.width), None), setup_context=_save_for_pack
)
unpack.register_autograd(
    lambda ctx, grad: (pack(grad, ctx.saved_tensors[0]), None, None), setup_context=_save_for_unpack
)
