"""The CUDA kernel without a GPU: its block program on the host, behind the same Python code that calls the library."""

from __future__ import annotations

from pathlib import Path

from cuda_library.building import can_compile, library

from udsph.attention import backends, cuda, fused

SOURCE = Path(__file__).with_name("emulation.cpp")


def can_emulate() -> bool:
    return backends()["cpu"] == "available" and can_compile


def emulation() -> Path:
    """The C interface of the CUDA library, compiled for the host."""
    return library(SOURCE, "attention")


class EmulatedLibrary(cuda.Library):
    """In place of ``cuda.Library``. With several threads they meet at a real barrier, as those of a block do."""

    def __init__(self, threads: int) -> None:
        super().__init__(emulation())
        self._threads = threads

    def run(self, problem, backward, device) -> None:
        if self.launch(problem, backward, self._threads):
            raise RuntimeError("the emulation failed")


def emulate_on_cpu(monkeypatch, threads: int = 1) -> None:
    """Let the op's CPU kernel be the emulated CUDA kernel."""
    library = EmulatedLibrary(threads)
    monkeypatch.setattr(cuda, "library", lambda: library)
    monkeypatch.setattr(fused, "cpu", cuda)
