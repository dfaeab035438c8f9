"""Hamming search on a GPU without one: the library's programs on the host, behind the same Python code.

Memory of the GPU is memory of the host; ``Array`` is what CuPy's arrays are to the package.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from udsph import cuda
from udsph.hamming.gpu import arrays, library

from .building import HERE, can_compile
from .building import library as build

__all__ = ["Array", "EmulatedLibrary", "can_compile", "emulate"]

MODULES = ("arrays", "beside", "calls", "codes", "library", "memory", "segment")


class EmulatedLibrary(library.Library):
    """In place of the CUDA library; ``threads`` of a block meet at a real barrier."""

    threads = 1

    def __init__(self) -> None:
        super().__init__(build(HERE / "hamming.cpp", "hamming"))
        self.functions.udsph_emulate.argtypes = [library.ctypes.c_int, library._SIZE, library.ctypes.c_int]
        self.functions.udsph_emulated_walks.restype = library._SIZE
        self.set()

    def set(self, failure: int = 0, room: int = -1, shared: int = 227 << 10) -> None:
        """What launches and allocations return, bytes that can be allocated at once, and of a block's shared memory."""
        self.functions.udsph_emulate(failure, room, shared)

    def use(self) -> tuple[int, int, int]:
        """Bytes in use, the most since this was last asked, and how many copies and waits there were."""
        found = [library._SIZE() for _ in range(3)]
        self.functions.udsph_emulated_use(*map(library.ctypes.byref, found))
        return tuple(number.value for number in found)

    def launch(self, name: str, *arguments: Any) -> None:
        super().launch(name, *arguments[:-1], self.threads)  # the stream is the number of threads


class Array(np.ndarray):
    """An array that says of itself that it is on GPU 0."""

    __module__ = "emulated"
    place = 0

    def __dlpack_device__(self):
        return 2, self.place

    def get(self):
        return np.asarray(self)


def on_gpu(values: Any) -> Array:
    return np.ascontiguousarray(values).view(Array)


class OfEmulated(arrays._OfLibrary):
    stream = 1

    def empty(self, shape, dtype, what="a search"):
        return np.empty(shape, dtype).view(Array)

    @staticmethod
    def pointer(array):
        return array.ctypes.data

    def upload(self, array, what="a search"):
        return on_gpu(array.copy())

    def on_host(self, array):
        return array.get()

    def copy(self, array):
        return array.copy()

    def concatenate(self, arrays):
        return np.concatenate(arrays).view(Array)

    def as_bytes(self, array):
        return np.ascontiguousarray(array).view(np.uint8)


def emulate(monkeypatch) -> EmulatedLibrary:
    """Let the package find the emulation where it looks for the CUDA library."""
    lib = EmulatedLibrary()
    for name in MODULES:
        module = importlib.import_module(f"udsph.hamming.gpu.{name}")
        monkeypatch.setattr(module, "library", lambda: lib) if hasattr(module, "library") else None
    monkeypatch.setitem(arrays._LIBRARIES, "emulated", OfEmulated)
    monkeypatch.setattr(cuda, "_used_by", None)
    return lib
