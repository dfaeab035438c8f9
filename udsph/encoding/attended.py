"""What the classes of a model attended to: over the cells of images, the regions, the words of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from udsph.data import Modality
from udsph.encoding.batches import sequence
from udsph.encoding.model import Model
from udsph.errors import InputError


@dataclass(frozen=True)
class Attended:
    """What each class found among the parts of each of ``n`` items.

    Attributes
    ----------
    weights
        float32 ``(n, classes, parts)``: where a class looked; 1 in total over the valid parts of an item, 0 elsewhere.
    scores
        float32 ``(n, classes)``, 0 to 1: how sure the class is from what it found there.
    lengths
        int64 ``(n,)``: how many of the parts are valid.
    grid
        Rows and columns of the cells where the parts are cells of an image, row by row; else None.
    words
        The words of each text where the parts are words; else None.
    """

    weights: np.ndarray
    scores: np.ndarray
    lengths: np.ndarray
    grid: tuple[int, int] | None = None
    words: tuple[tuple[str, ...], ...] | None = None


@torch.no_grad()
def attended(model: Model, name: str, modality: Modality, batch_size: int = 256) -> Attended:
    """What the classes attend to in the items of a modality, from these items alone.

    Raises
    ------
    InputError
        If the network of the modality has no attention, or was trained without classes.
    """
    network = getattr(model.pair, name).eval()
    if network.attention is None:
        why = (
            "its items have no local parts"
            if model.config.attention != "none"
            else "it was trained with attention=none; train with attention=label"
        )
        raise InputError(f"the {name} network has no attention: {why}")
    if not network.classes:
        raise InputError(f"the {name} network attends to no classes: it was trained without labels")
    n, classes, longest = len(modality), network.classes, 0
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for values, lengths in sequence(modality, np.arange(n), batch_size, model.device):
        said = network(values, lengths).attended
        found.append((said.weights.float().cpu().numpy(), said.logits.sigmoid().float().cpu().numpy()))
        longest = max(longest, found[-1][0].shape[2])
    weights = np.zeros((n, classes, longest), np.float32)
    scores, start = np.zeros((n, classes), np.float32), 0
    for batch, score in found:
        weights[start : start + len(batch), :, : batch.shape[2]] = batch
        scores[start : start + len(batch)] = score
        start += len(batch)
    valid = np.full(n, longest) if modality.lengths is None else np.minimum(modality.lengths, longest)
    return Attended(weights, scores, valid.astype(np.int64), _grid(modality, longest), _words(modality, valid))


def _grid(modality: Modality, cells: int) -> tuple[int, int] | None:
    """Of a map of so many cells over images of that shape, whose cells are as wide as high."""
    if modality.kind != "pixels" or not cells:
        return None
    height, width = modality.shape[:2]
    rows = max(1, round((cells * height / width) ** 0.5))
    return (rows, cells // rows) if rows * (cells // rows) == cells else None


def _words(modality: Modality, lengths: Any) -> tuple[tuple[str, ...], ...] | None:
    if modality.kind != "tokens" or modality.vocabulary is None:
        return None
    rows = np.asarray(modality.values[np.arange(len(modality))])
    return tuple(
        tuple(modality.vocabulary[token] for token in row[:length]) for row, length in zip(rows, lengths, strict=True)
    )
