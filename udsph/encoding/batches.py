"""Rows of a modality as tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from udsph.data import Modality
from udsph.errors import InputError
from udsph.models.networks import ModalitySpec

Batch = tuple[Tensor, Tensor | None]


def spec_of(modality: Modality) -> ModalitySpec:
    """What a network must know of a modality."""
    vocabulary = len(modality.vocabulary) if modality.kind == "tokens" and modality.vocabulary else 0
    if modality.kind == "tokens" and not vocabulary:
        raise InputError("the tokens have no vocabulary")
    return ModalitySpec(modality.kind, modality.shape, vocabulary)


def read(modality: Modality, index: np.ndarray, device: torch.device) -> Batch:
    """The rows ``index`` and their lengths, on the device. Sparse rows become dense."""
    rows = modality.values[index]
    if hasattr(rows, "toarray"):
        rows = rows.toarray()
    rows = np.ascontiguousarray(rows)
    if modality.kind in ("vectors", "regions"):
        rows = rows.astype(np.float32, copy=False)
    lengths = (
        None if modality.lengths is None else torch.from_numpy(modality.lengths[index].astype(np.int64)).to(device)
    )
    return torch.from_numpy(rows).to(device), lengths


def sequence(modality: Modality, index: np.ndarray, size: int, device: torch.device) -> Iterator[Batch]:
    """All rows of ``index`` in order, in batches."""
    for start in range(0, len(index), size):
        yield read(modality, index[start : start + size], device)
