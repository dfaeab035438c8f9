"""CNN-F, the network behind the published features of MIRFlickr-25K and NUS-WIDE, and its weights' file.

K. Chatfield, K. Simonyan, A. Vedaldi, A. Zisserman, "Return of the devil in the details", BMVC 2014. The weights are
MatConvNet's ``imagenet-vgg-f.mat`` (https://www.vlfeat.org/matconvnet/pretrained/).

Three things in which ports of it go wrong, and how they stand here:

- *Local response normalisation.* MatConvNet's parameters ``[5 2 1e-4 0.75]`` are size 5, constant 2, alpha 1e-4 and
  beta 0.75, and alpha is not divided by the size. torch divides it, so the same is ``alpha=5e-4`` there.
- *Channels.* The network reads RGB from 0 to 255, and the mean image is RGB too; readers that give BGR must turn both.
- *Layout.* MATLAB's filters are (height, width, in, out), and its mean image is (height, width, channel).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from udsph.data.quotes import reason_of
from udsph.errors import InputError, MissingExtra
from udsph.features.base import check_form, local_weights
from udsph.features.pixels import best_device, resized

SIZE = 224
DIMS = 4096
_LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")


class CNNF(nn.Module):
    """CNN-F up to fc7, on images less the mean image.

    MatConvNet pads its pooling on the right and below where the window does not fit; that is torch's ``ceil_mode``.
    ``dims`` is the width of fc6 and fc7.
    """

    def __init__(self, dims: int = DIMS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 11, stride=4)
        self.conv2 = nn.Conv2d(64, 256, 5, padding=2)
        self.conv3 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv4 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv5 = nn.Conv2d(256, 256, 3, padding=1)
        self.fc6 = nn.Conv2d(256, dims, 6)
        self.fc7 = nn.Conv2d(dims, dims, 1)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(1, 3, SIZE, SIZE))
        self.normalise = nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)

    def regions(self, images: Tensor) -> Tensor:
        """The map behind the last pooling: ``(n, 256, 6, 6)`` from RGB ``(n, 3, 224, 224)`` of 0 to 255."""
        maps = images - self.mean
        maps = self.pool(self.normalise(self.conv1(maps).relu()))
        maps = self.pool(self.normalise(self.conv2(maps).relu()))
        maps = self.conv4(self.conv3(maps).relu()).relu()
        return self.pool(self.conv5(maps).relu())

    def forward(self, images: Tensor) -> Tensor:
        """fc7 behind its rectifier, ``(n, dims)``."""
        return self.fc7(self.fc6(self.regions(images)).relu()).relu().flatten(1)


class CnnfExtractor:
    """CNN-F's fc7 (``vectors``) or the 36 cells of its last map (``regions``)."""

    size = SIZE

    def __init__(self, weights: str, form: str = "vectors") -> None:
        self.form = check_form("cnnf", form)
        place = local_weights("cnnf", weights, "the file imagenet-vgg-f.mat of MatConvNet")
        self.weights = str(Path(place).resolve())
        self.device = best_device()
        self.network = read_weights(Path(place)).eval().to(self.device)
        self.shape: tuple[int, ...] = (self.network.fc7.out_channels,) if self.form == "vectors" else (36, 256)

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """See :class:`~udsph.features.base.ImageExtractor`."""
        images = resized(pixels, SIZE, self.device)
        if self.form == "vectors":
            return self.network(images).cpu().numpy()
        return self.network.regions(images).flatten(2).transpose(1, 2).contiguous().cpu().numpy()

    def describe(self) -> dict[str, Any]:
        return {"extractor": "cnnf", "form": self.form, "weights": self.weights}


def read_weights(path: Path) -> CNNF:
    """The network from ``imagenet-vgg-f.mat``, in MatConvNet's newer layout (``weights``) or older (``filters``).

    Raises
    ------
    InputError
        If the file is missing, damaged, of version 7.3, or holds another network.
    """
    content = _read_mat(path)
    known = {str(getattr(layer, "name", "")): layer for layer in np.ravel(content["layers"])}
    lacking = [name for name in _LAYERS if name not in known]
    if lacking:
        raise InputError(f"{path.name} has no layer '{lacking[0]}'; it is not CNN-F (imagenet-vgg-f.mat)")
    parameters = {name: _parameters(known[name], path, name) for name in _LAYERS}
    network = CNNF(dims=parameters["fc7"][1].size)
    for name, (filters, biases) in parameters.items():
        convolution = getattr(network, name)
        while filters.ndim < 4:  # scipy drops dimensions of 1
            filters = filters[np.newaxis]
        tensors = torch.from_numpy(np.ascontiguousarray(filters.transpose(3, 2, 0, 1)))
        if tensors.shape != convolution.weight.shape or biases.size != len(tensors):
            shape = " x ".join(map(str, filters.shape))
            raise InputError(f"{path.name}: the filters of '{name}' are {shape}; it is not CNN-F (imagenet-vgg-f.mat)")
        with torch.no_grad():
            convolution.weight.copy_(tensors)
            convolution.bias.copy_(torch.from_numpy(biases.reshape(-1).astype(np.float32)))
    network.mean.copy_(_mean_image(content, path))
    return network


def _read_mat(path: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingExtra("reading .mat files", "train") from error
    if not path.is_file():
        raise InputError(f"the file {path} does not exist; it comes from https://www.vlfeat.org/matconvnet/pretrained/")
    try:
        content = loadmat(str(path), squeeze_me=True, struct_as_record=False)
    except NotImplementedError:
        raise InputError(f"{path.name} is of MATLAB's version 7.3; give the original imagenet-vgg-f.mat (v5)") from None
    except Exception as error:  # scipy answers damage with anything
        raise InputError(f"cannot read {path.name}: {reason_of(error)}; is it the whole file?") from error
    if "layers" not in content:
        raise InputError(f"{path.name} has no 'layers'; it is not a network of MatConvNet")
    return content


def _parameters(layer: Any, path: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(layer, "filters"):
        return np.asarray(layer.filters, np.float32), np.asarray(layer.biases, np.float32)
    weights = np.ravel(getattr(layer, "weights", np.empty(0, object)))
    if len(weights) != 2:
        raise InputError(f"{path.name}: the layer '{name}' has no filters and biases; it is not CNN-F")
    return np.asarray(weights[0], np.float32), np.asarray(weights[1], np.float32)


def _mean_image(content: dict[str, Any], path: Path) -> Tensor:
    """``averageImage`` as ``(1, 3, 224, 224)``; newer files keep it below ``meta`` and may hold one mean a channel."""
    holder = content.get("normalization", getattr(content.get("meta"), "normalization", None))
    mean = getattr(holder, "averageImage", None)
    if mean is None:
        raise InputError(f"{path.name} has no mean image (normalization.averageImage); it is not imagenet-vgg-f.mat")
    image = np.asarray(mean, np.float32)
    if image.size == 3:
        return torch.from_numpy(image.reshape(1, 3, 1, 1)).expand(1, 3, SIZE, SIZE)
    if image.shape != (SIZE, SIZE, 3):
        shape = " x ".join(map(str, image.shape))
        raise InputError(f"{path.name}: the mean image is {shape}; expected {SIZE} x {SIZE} x 3")
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
