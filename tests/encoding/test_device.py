"""Names of devices: those that are here, and a line for those that are not."""

from __future__ import annotations

import pytest
import torch

from udsph.encoding.device import device_of
from udsph.errors import InputError


def test_the_processor_is_always_there() -> None:
    assert device_of("cpu") == torch.device("cpu")
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["tpu", "", "cpu:1", "auto:0", "CUDA"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"device={name}: expected auto, cpu, cuda, or cuda:N"):
        device_of(name)


@pytest.mark.parametrize(("name", "count"), [("cuda:1", 1), ("cuda:x", 1), ("gpu:", 1), ("cuda:2", 2)])
def test_a_number_that_no_device_has_is_refused(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(InputError, match=f"device={name}: there are {count} CUDA devices"):
        device_of(name)
    assert device_of(f"cuda:{count - 1}") == torch.device("cuda", count - 1)


@pytest.mark.parametrize("name", ["cuda", "gpu", "cuda:0"])
def test_without_a_gpu_its_names_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=f"device={name}: no CUDA device is available here; use device=cpu"):
        device_of(name)
