"""The training of the label network: it is small, and its input is only the labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from udsph.encoding.config import Config
from udsph.models.networks import LabelNetwork
from udsph.training import objective
from udsph.training.schedule import one_cycle, seed_of


def train_label_network(
    network: LabelNetwork,
    labels: np.ndarray,
    config: Config,
    *,
    single: bool,
    taught: np.ndarray | None = None,
    report: Callable[[float, objective.Losses], None] | None = None,
) -> dict[str, float]:
    """Train the label network in place on the labels of the training split.

    Parameters
    ----------
    labels
        uint8 ``(n, classes)``, multi-hot.
    single
        Whether every item has one label.
    taught
        int64, the classes that some item has; None: all. The others do not count in the classification.
    report
        Called now and then with the share that is done and the losses.

    Returns
    -------
    dict
        The losses of the last step.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    device = network.to_code.weight.device
    columns = None if taught is None else torch.from_numpy(taught).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.label_rate)
    order = np.random.default_rng(seed_of(config.seed, "label order", 0))
    size = min(config.batch_size, len(labels))
    network.train()
    for step in range(config.label_steps):
        for group in optimiser.param_groups:
            group["lr"] = config.label_rate * one_cycle(step / config.label_steps)
        rows = torch.from_numpy(labels[order.choice(len(labels), size, replace=False)]).to(device)
        found = objective.label_losses(network(rows), rows, single, columns, loss=config.label_loss)
        try:
            objective.check_finite(found)
        except FloatingPointError as error:
            raise FloatingPointError(f"the loss {error} in label step {step + 1} of {config.label_steps}") from None
        optimiser.zero_grad()
        objective.total(found).backward()
        optimiser.step()
        if report is not None and step % 100 == 0:
            report(step / config.label_steps, found)
    return {name: float(value.detach()) for name, value in found.items()}
