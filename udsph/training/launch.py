"""Device, precision and processes, from Lightning Fabric.

With ``devices`` above 1 every process runs the same program: Fabric starts it again, once for every further process,
or finds the processes that ``torchrun`` started. A batch is parted among them and gradients are averaged.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from udsph.errors import InputError
from udsph.training.config import Config


@contextmanager
def no_denormals() -> Iterator[None]:
    """Within it the CPU takes denormal numbers for zero: Adam's moments of a silent unit decay through them, slowly."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def first_process() -> bool:
    """Whether this is the only process or the first of several: the one that prints and writes."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def single_device(config: Config) -> torch.device:
    """The device on which one process computes, whatever the number of processes that trained."""
    return launch(dataclasses.replace(config, devices=1)).device


def launch(config: Config) -> Fabric:
    """A Fabric for the configuration's device, number of processes and precision; its processes are running.

    Raises
    ------
    InputError
        For a device that this machine does not have.
    """
    name, _, number = config.device.partition(":")
    if name not in ("auto", "cpu", "cuda", "gpu", "mps"):
        raise InputError(f"device={config.device}: expected auto, cpu, cuda, or cuda:N")
    if name in ("cuda", "gpu") and not torch.cuda.is_available():
        raise InputError(f"device={config.device}: no CUDA device is available here; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    devices: int | list[int] = config.devices
    if number:
        if not number.isdecimal() or int(number) >= torch.cuda.device_count():
            raise InputError(f"device={config.device}: there are {torch.cuda.device_count()} CUDA devices")
        devices = [int(number)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*16-mixed.*")
        fabric = Fabric(
            accelerator="gpu" if name == "cuda" else name,
            devices=devices,
            precision=config.precision,  # type: ignore[arg-type]
            strategy="auto" if config.devices == 1 else "ddp",
        )
    if config.devices > 1:
        fabric.launch()
    return fabric
