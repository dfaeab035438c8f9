"""Which device one process computes on."""

from __future__ import annotations

import torch

from udsph.errors import InputError


def device_of(name: str) -> torch.device:
    """The device of a name: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``; ``gpu`` is another word for ``cuda``.

    Raises
    ------
    InputError
        For another name, or a device that this machine does not have.
    """
    kind, colon, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "gpu", "mps") or (colon and kind not in ("cuda", "gpu")):
        raise InputError(f"device={name}: expected auto, cpu, cuda, or cuda:N")
    if kind in ("cuda", "gpu") and not torch.cuda.is_available():
        raise InputError(f"device={name}: no CUDA device is available here; use device=cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device={name}: no such device is available here; use device=cpu")
    if colon and (not number.isdecimal() or int(number) >= torch.cuda.device_count()):
        raise InputError(f"device={name}: there are {torch.cuda.device_count()} CUDA devices")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind in ("cuda", "gpu"):
        return torch.device("cuda", int(number or 0))
    return torch.device(kind)
