"""Boxes of photographs as regions: sets of local features, computed from the files when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from udsph.data.images import LazyRows
from udsph.data.pixels import as_rgb, open_image, shrink

MOST_BOXES = 15
GRID = 8  # each region is averaged down to GRID x GRID colours
DIMS = GRID * GRID * 3 + 5

Box = tuple[float, float, float, float]


class Boxes(LazyRows):
    """Regions float32 ``(n, parts, DIMS)``: the whole picture first, then its boxes.

    The features of a region are simple, since nothing is learnt here: its colours on a grid of 8 x 8, from 0 to 1, then
    where it lies (left, top, right, bottom, and area, as shares of the picture). The class of a box is no feature: it
    is what is to be retrieved.

    Attributes
    ----------
    lengths
        int32 ``(n,)``: one more than the number of boxes.
    """

    def __init__(
        self, root: Path, names: Sequence[str], boxes: Sequence[Sequence[Box]], workers: int | None, stop: bool
    ) -> None:
        self.lengths = np.array([1 + len(found) for found in boxes], np.int32)
        self.boxes = list(boxes)
        super().__init__(root, names, (int(self.lengths.max()), DIMS), np.float32, workers=workers, stop=stop)

    def select(self, index: np.ndarray) -> Boxes:
        part: Boxes = super().select(index)
        part.lengths = self.lengths[index]
        part.boxes = [self.boxes[i] for i in index.tolist()]
        return part

    def compute(self, position: int) -> np.ndarray:
        """The regions of one picture, zeros behind the last."""
        row = np.zeros(self.shape[1:], np.float32)
        name = self.names[position]
        with open_image(self.root, name) as file:
            image = as_rgb(file, name)
            width, height = image.size
            for place, box in enumerate([(0.0, 0.0, 1.0, 1.0), *self.boxes[position]]):
                left, top, right, bottom = box
                # At least a pixel, so that the resampling has something to average.
                corner = (min(left * width, width - 1), min(top * height, height - 1))
                opposite = (max(right * width, corner[0] + 1), max(bottom * height, corner[1] + 1))
                colours = shrink(image, (*corner, *opposite), GRID)
                row[place, :-5] = colours.reshape(-1) / 255
                row[place, -5:] = (*box, (right - left) * (bottom - top))
        return row
