"""Where linear networks of pairs start: canonical correlation of the two views, turned so that signs lose little."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from udsph.data import Dataset
from udsph.data.directions import MODALITIES
from udsph.encoding.batches import sequence
from udsph.encoding.model import Model
from udsph.models.linear import LinearNetwork

RIDGE = 1.0  # relative to the mean variance of a column: the best of 0.1, 0.3, 1, 3 at 64, 32 and 16 bits (validation)
TURNS = 50
DEVIATION = 2.0  # of a logit at the start: tanh(logit / 2) is then about as often near its sign as not
MOST_ITEMS = 100_000  # that are read
PIECE = 4096


class Weights(NamedTuple):
    """Columns of the directions of a bit: ``image`` ``(dx, bits)``, ``text`` ``(dy, bits)``."""

    image: Tensor
    text: Tensor


def start_linear(model: Model, dataset: Dataset, items: np.ndarray) -> None:
    """Set the weights of linear networks, whose statistics are set, by the pairs ``items``."""
    networks = {name: getattr(model.pair, name) for name in MODALITIES}
    items = items[:: max(1, -(-len(items) // MOST_ITEMS))]
    views = {}
    for name, network in networks.items():
        assert isinstance(network, LinearNetwork)
        network.encoder.eval()
        rows = sequence(getattr(dataset, name), items, PIECE, model.device)
        views[name] = torch.cat([network.encoder(values).vector for values, _ in rows])
        network.encoder.train()
    found = canonical_codes(views["image"], views["text"], model.config.bits)
    with torch.no_grad():
        for name, weights in zip(MODALITIES, found, strict=True):
            networks[name].to_code.weight.copy_(weights.T)
            networks[name].to_code.bias.copy_(-(views[name].mean(0).double() @ weights))


def canonical_codes(image: Tensor, text: Tensor, bits: int, *, ridge: float = RIDGE) -> Weights:
    """Linear maps whose signs are codes: regularised canonical correlation, and iterative quantisation.

    The variates are scaled by their correlations, as Y. Gong, S. Lazebnik, "Iterative quantization", CVPR 2011, has it.
    The mean deviation of a bit's logit over both views is ``DEVIATION``.

    Parameters
    ----------
    image, text
        ``(n, dx)`` and ``(n, dy)``; row i of both is a pair.
    ridge
        Added to the variance of every column, as a share of the mean variance.
    """
    views = [view.double() - view.double().mean(0) for view in (image, text)]
    factors = [_whitener(view, ridge) for view in views]
    cross = views[0].T @ views[1] / len(image)
    whitened = torch.linalg.solve_triangular(factors[0], cross, upper=False)
    whitened = torch.linalg.solve_triangular(factors[1], whitened.T, upper=False).T
    left, strength, right = torch.linalg.svd(whitened, full_matrices=False)
    count = min(bits, max(1, int((strength > 1e-9 * strength[0]).sum())))
    sides = left[:, :count] * strength[:count], right[:count].T * strength[:count]
    found = [
        torch.linalg.solve_triangular(factor.T, side, upper=True) for factor, side in zip(factors, sides, strict=True)
    ]
    variates = torch.cat([view @ weights for view, weights in zip(views, found, strict=True)])
    turned = _rotation(variates, bits)
    scale = DEVIATION / (variates @ turned).std(0).mean().clamp_min(1e-12)
    return Weights(*(scale * weights @ turned for weights in found))


def _whitener(view: Tensor, ridge: float) -> Tensor:
    """The lower Cholesky factor of the regularised covariance."""
    covariance = view.T @ view / len(view)
    amount = ridge * covariance.diagonal().mean().clamp_min(1e-12)
    covariance.diagonal().add_(amount)
    return torch.linalg.cholesky(covariance)


def _rotation(variates: Tensor, bits: int) -> Tensor:
    """``(r, bits)``: rows, or columns, at right angles, by which signs differ little from what is turned."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(bits, bits, generator=generator, dtype=torch.float64).to(variates.device)
    rotation = torch.linalg.qr(start)[0][: variates.shape[1]]
    for _ in range(TURNS):
        left, _, right = torch.linalg.svd(
            variates.T @ torch.where(variates @ rotation > 0, 1.0, -1.0).double(), full_matrices=False
        )
        rotation = left @ right
    return rotation
