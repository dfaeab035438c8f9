"""Fixed features of raw data, the same for every shallow method: nothing here is trained.

=========  ====================================================================================================
pixels     384 numbers: a 4 x 4 x 4 colour histogram of each quarter of the image, and a histogram of 8 gradient
           directions (modulo 180 degrees, weighted by magnitude) of each cell of a 4 x 4 grid; each of the two
           parts sums to 1, and square roots are taken (Hellinger)
tokens     TF-IDF of the bag of words, rows of Euclidean norm 1; the document frequencies are those of the items
           that were fitted
regions    mean and maximum over the valid regions, one after the other
vectors    as they are
=========  ====================================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from udsph.data import Modality
from udsph.errors import InputError

BATCH = 1024  # images whose gradients are held at once


class Describer:
    """The fixed features of one view, with the document frequencies of the items it was made from.

    Parameters
    ----------
    fitted
        The items a method is fitted on: an array or sparse matrix ``(n, dims)``, or a modality.
    """

    def __init__(self, fitted: Any) -> None:
        self.kind = fitted.kind if isinstance(fitted, Modality) else "vectors"
        self.shape = fitted.shape if isinstance(fitted, Modality) else ()
        if self.kind == "tokens":
            counts = word_counts(fitted)
            frequency = np.asarray((counts > 0).sum(axis=0)).ravel()
            self.weights = np.log((1 + counts.shape[0]) / (1 + frequency)) + 1  # never 0: every word counts a little

    def __call__(self, items: Any) -> Any:
        """Feature rows: dense or sparse ``(n, dims)``."""
        if not isinstance(items, Modality):
            if self.kind != "vectors":
                raise InputError(f"the method was fitted on {self.kind}; give a Modality of that kind")
            return items
        if items.kind != self.kind:
            raise InputError(f"the method was fitted on {self.kind} but is given {items.kind}")
        if self.kind == "pixels":
            return pixel_features(items if items.shape == self.shape else self._resized(items))
        if self.kind == "regions":
            return region_features(items)
        if self.kind == "tokens":
            return self._weighted_words(word_counts(items))
        return items.values[np.arange(len(items))]

    def _resized(self, images: Modality) -> Modality:
        """Pictures of another size than those that were fitted on, as every model of the package reads them."""
        from udsph.encoding.inputs import Inputs
        from udsph.encoding.items import as_modality
        from udsph.models.networks import ModalitySpec  # torch, which methods on vectors do without

        return as_modality(images, "image", ModalitySpec("pixels", self.shape), Inputs())[0]

    def _weighted_words(self, counts: sparse.csr_array) -> sparse.csr_array:
        if counts.shape[1] != len(self.weights):
            raise InputError(
                f"a vocabulary of {counts.shape[1]} words, but the method was fitted on {len(self.weights)}"
            )
        weighted = sparse.csr_array(counts * self.weights[None])
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        return sparse.csr_array(sparse.diags_array(1 / np.maximum(norms, 1e-12)) @ weighted)


def word_counts(tokens: Modality) -> sparse.csr_array:
    """How often each word of the vocabulary occurs in each item; padding (index 0) is not counted."""
    values = np.asarray(tokens.values[np.arange(len(tokens))])
    if tokens.lengths is not None:
        values = np.where(np.arange(values.shape[1]) < tokens.lengths[:, None], values, 0)
    rows = np.repeat(np.arange(len(values)), values.shape[1])
    width = len(tokens.vocabulary) if tokens.vocabulary else int(values.max()) + 1
    counted = values.ravel() > 0
    entries = np.ones(int(counted.sum()))
    return sparse.csr_array((entries, (rows[counted], values.ravel()[counted])), shape=(len(values), width))


def region_features(regions: Modality) -> np.ndarray:
    """Mean and maximum over the valid regions: ``(n, 2 * dims)``."""
    values = np.asarray(regions.values[np.arange(len(regions))], dtype=np.float64)
    lengths = np.full(len(values), values.shape[1]) if regions.lengths is None else np.maximum(regions.lengths, 1)
    valid = (np.arange(values.shape[1]) < lengths[:, None])[:, :, None]
    mean = (values * valid).sum(axis=1) / lengths[:, None]
    return np.concatenate([mean, np.where(valid, values, -np.inf).max(axis=1)], axis=1)


def pixel_features(images: Modality) -> np.ndarray:
    """Colour and gradient histograms: ``(n, 384)``."""
    pieces = np.array_split(np.arange(len(images)), max(1, len(images) // BATCH))
    return np.concatenate([_histograms(np.asarray(images.values[piece])) for piece in pieces])


def _histograms(pixels: np.ndarray) -> np.ndarray:
    n, height, width, _ = pixels.shape
    if min(height, width) < 4:
        raise InputError(
            f"images of {height} x {width} pixels are too small for the fixed features; 4 x 4 is the least"
        )
    levels = (pixels >> 6).astype(np.int64)
    colours = levels[..., 0] * 16 + levels[..., 1] * 4 + levels[..., 2]
    colour = _cell_histograms(colours, np.ones((n, height, width)), 2, 64)
    grey = pixels.astype(np.float64).mean(axis=3)
    down, across = np.gradient(grey, axis=(1, 2))
    angles = np.floor(np.mod(np.arctan2(down, across), np.pi) / np.pi * 8).astype(np.int64) % 8
    gradient = _cell_histograms(angles, np.hypot(down, across), 4, 8)
    return np.sqrt(np.concatenate([colour, gradient], axis=1))


def _cell_histograms(bins: np.ndarray, weights: np.ndarray, grid: int, count: int) -> np.ndarray:
    """Weighted histograms of ``count`` bins in each cell of a ``grid x grid`` division, all together summing to 1."""
    n, height, width = bins.shape
    rows, columns = np.arange(height) * grid // height, np.arange(width) * grid // width
    cell = rows[:, None] * grid + columns[None]
    size = grid * grid * count
    index = (np.arange(n)[:, None, None] * size + cell[None] * count + bins).ravel()
    sums = np.bincount(index, weights=weights.ravel(), minlength=n * size).reshape(n, size)
    return sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-12)
