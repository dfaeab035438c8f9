"""What training does to the rows of a modality: parting, statistics, augmentation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from udsph.data import Modality
from udsph.encoding.batches import read

STATISTICS_ITEMS = 100_000  # from which mean and deviation are computed, at most
SHIFT = 4  # pixels by which augmentation moves an image at most


def pieces(index: np.ndarray, size: int) -> list[np.ndarray]:
    """``index`` in pieces of about ``size``, as equal as can be, so that no last piece is too small for batch
    statistics.
    """
    return np.array_split(index, number_of_pieces(len(index), size))


def number_of_pieces(items: int, size: int) -> int:
    """How many pieces :func:`pieces` makes of so many items."""
    return max(1, round(items / size))


def batches(items: np.ndarray, supervised: np.ndarray, size: int, random: np.random.Generator) -> list[np.ndarray]:
    """An epoch's batches of about ``size``, in random order; those with labels come first in each.

    Where some of the items have labels and others none, each batch is half of the one and half of the other, or has
    more with labels where those are more: as many batches as the items would give, so that each epoch passes through
    a part of the items without labels, and through the labelled ones as often as they fit.

    Parameters
    ----------
    items
        int64, of the dataset.
    supervised
        bool, for each item of the dataset whether it has labels.
    """
    mask = supervised[items]
    if mask.all() or not mask.any():
        return pieces(random.permutation(items), size)
    labelled, others = items[mask], items[~mask]
    count = number_of_pieces(len(items), size)
    each = -(-len(items) // count)
    first = min(len(labelled), max(round(each / 2), round(each * len(labelled) / len(items))))
    second = min(len(others), each - first)
    streams = _stream(labelled, first, count, random), _stream(others, second, count, random)
    return [np.concatenate(both) for both in zip(*streams, strict=True)]


def _stream(items: np.ndarray, each: int, count: int, random: np.random.Generator) -> list[np.ndarray]:
    """``count`` times ``each`` of the items, none of them twice at once: shuffled, and again where too few are left."""
    found: list[np.ndarray] = []
    while len(found) < count:
        shuffled = random.permutation(items)
        found += [shuffled[k : k + each] for k in range(0, len(items) - each + 1, max(1, each))]
    return found[:count]


def statistics(modality: Modality, index: np.ndarray, size: int = 4096) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation of each dimension over the items of ``index``; None for pixels and tokens.

    Of more than ``STATISTICS_ITEMS`` items every second, third, ... is read, so that a training on very many starts at
    once; the standard error is then below 0.5 % of a deviation.
    """
    if modality.kind not in ("vectors", "regions"):
        return None
    index = index[:: max(1, -(-len(index) // STATISTICS_ITEMS))]
    count = 0
    total = squares = torch.zeros(modality.shape[-1], dtype=torch.float64)
    for part in pieces(index, size):
        values, lengths = read(modality, part, torch.device("cpu"))
        values = values.double()
        if values.ndim == 3:
            valid = torch.ones(values.shape[:2], dtype=torch.bool)
            if lengths is not None:
                valid = torch.arange(values.shape[1]) < lengths.unsqueeze(1)
            values = values[valid]
        count += len(values)
        total = total + values.sum(0)
        squares = squares + values.square().sum(0)
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp_min(0).sqrt().float()


def augment(pixels: Tensor) -> Tensor:
    """Each image shifted by up to ``SHIFT`` pixels (its border repeated) and mirrored or not; the global
    generator decides.
    """
    n, height, width, _ = pixels.shape
    dy, dx = (torch.randint(-SHIFT, SHIFT + 1, (n, 1), device=pixels.device) for _ in range(2))
    mirrored = torch.rand(n, 1, device=pixels.device) < 0.5
    rows = (torch.arange(height, device=pixels.device) + dy).clamp(0, height - 1)
    columns = torch.arange(width, device=pixels.device)
    columns = (torch.where(mirrored, columns.flip(0), columns) + dx).clamp(0, width - 1)
    return pixels[torch.arange(n, device=pixels.device)[:, None, None], rows[:, :, None], columns[:, None, :]]
