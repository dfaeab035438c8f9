"""Layers that several networks share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LEAST_BITS = 4  # in a group: on Wiki groups of 2 bits fitted less well than 4


class GroupedLinear(nn.Module):
    """A linear layer within each of several equal groups of the columns, none of which sees another's.

    With one group it is a plain linear layer. Groups of bits with layers of their own err more independently than bits
    read from one vector, and a Hamming distance sums over them: the divide-and-encode module of Lai et al.,
    "Simultaneous feature learning and hash coding with deep neural networks", CVPR 2015.

    Parameters
    ----------
    inputs, outputs
        Columns of all groups together, multiples of ``groups``.
    """

    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        super().__init__()
        if inputs % groups or outputs % groups:
            raise ValueError(f"{inputs} and {outputs} columns cannot be parted into {groups} equal groups")
        self.groups, self.outputs, each = groups, outputs, inputs // groups
        bound = 1 / math.sqrt(each)  # torch's own linear layer starts like this
        self.weight = nn.Parameter(torch.empty(groups, each, outputs // groups).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, 1, outputs // groups).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        """``(batch, inputs)`` to ``(batch, outputs)``; both hold one group after the other."""
        parted = values.unflatten(1, (self.groups, -1)).transpose(0, 1)
        return torch.baddbmm(self.bias, parted, self.weight).transpose(0, 1).flatten(1)


def groups_of(wanted: int, bits: int, width: int) -> int:
    """The most groups, at most ``wanted``, that have ``LEAST_BITS`` each and part both bits and columns evenly."""
    most = max(1, min(wanted, bits // LEAST_BITS))
    return next(groups for groups in range(most, 0, -1) if bits % groups == width % groups == 0)
