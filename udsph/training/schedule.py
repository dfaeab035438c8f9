"""The learning rates of all parts and their course, and seeds for every piece of a training."""

from __future__ import annotations

import math
import zlib
from typing import Any

from torch import nn

from udsph.encoding.config import Config


def one_cycle(done: float, warm: float = 0.1) -> float:
    """Factor on the learning rate: up in a straight line for the first tenth, then down along a cosine."""
    if done < warm:
        return (done + 1e-3) / (warm + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm) / (1 - warm))))


def parameter_groups(module: nn.Module, config: Config) -> list[dict[str, Any]]:
    """Groups for an optimiser, each with its ``factor`` on the learning rate; frozen parameters are in none.

    Backbones, which others trained, learn slower. What looks at local parts learns faster: with the rate of the others
    many classes had not found what they look for by the end of a few hundred steps.
    """
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(_factor(name.split("."), config), []).append(parameter)
    return [{"params": parameters, "factor": factor} for factor, parameters in groups.items() if parameters]


def _factor(names: list[str], config: Config) -> float:
    """Of the learning rate of the parameter that has this path."""
    if "backbone" in names:
        return config.backbone_rate
    looks = "queries" in names or ("attention" in names and "to_features" not in names)
    return config.attention_rate if looks else 1.0


def seed_of(*parts: Any) -> int:
    """A seed from names and numbers, the same in every process."""
    return zlib.crc32(repr(parts).encode())
