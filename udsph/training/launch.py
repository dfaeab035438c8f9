"""Device, precision and processes, from Lightning Fabric.

With ``devices`` above 1 every process runs the same program: Fabric starts it again, once for every further process,
or finds the processes that ``torchrun`` started. A batch is parted among them and gradients are averaged.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from udsph.encoding.config import Config
from udsph.encoding.device import device_of


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Within it a training seeds torch as it likes; afterwards the generators are as they were before.

    Within it the CPU also takes denormal numbers for zero: Adam's moments of a silent unit decay through them, slowly.
    """
    before = float(torch.tensor(1e-40) * 1) == 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(before)


def first_process() -> bool:
    """Whether this is the only process or the first of several: the one that prints and writes."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def launch(config: Config) -> Fabric:
    """A Fabric for the configuration's device, number of processes and precision; its processes are running.

    Raises
    ------
    InputError
        For a device that this machine does not have.
    """
    device = device_of(config.device)
    devices: int | list[int] = [device.index or 0] if ":" in config.device else config.devices
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*16-mixed.*")
        fabric = Fabric(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=devices,
            precision=config.precision,  # type: ignore[arg-type]
            strategy="auto" if config.devices == 1 else "ddp",
        )
    if config.devices > 1:
        fabric.launch()
    return fabric
