"""The CUDA kernel without a GPU: its block program on the host, behind the same Python code that calls the library."""

from __future__ import annotations

import ctypes

from udsph.attention import backends, cuda, fused

THREADS = 4


class EmulatedLibrary:
    """In place of ``cuda.Library``. With several threads they meet at a real barrier, as those of a block do."""

    def __init__(self, threads: int) -> None:
        from udsph.attention import _native

        assert _native.emulated_struct_size == ctypes.sizeof(cuda.Problem)
        self._native = _native
        self._threads = threads

    def chunks(self, query_items: int, context_items: int) -> int:
        return self._native.emulated_chunks(query_items, context_items)

    def run(self, problem, backward, device) -> None:
        self._native.emulate(ctypes.addressof(problem), backward, self._threads)


def emulate_on_cpu(monkeypatch, threads: int = 1) -> None:
    """Let the op's CPU kernel be the emulated CUDA kernel."""
    library = EmulatedLibrary(threads)
    monkeypatch.setattr(cuda, "library", lambda: library)
    monkeypatch.setattr(fused, "cpu", cuda)


def can_emulate() -> bool:
    return backends()["cpu"] == "available"
