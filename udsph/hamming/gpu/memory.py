"""Memory of a GPU that this package takes itself: indexes, and what a search needs beside them for callers of NumPy."""

from __future__ import annotations

import ctypes
import os
import weakref

from udsph import memory
from udsph.hamming.gpu.library import Library, library


class Buffer:
    """Memory of a GPU that this package has taken; freed with its last user, which waits for the GPU.

    Raises
    ------
    MemoryError
        There is too little left; says how much is needed.
    """

    def __init__(self, size: int, device: int, what: str) -> None:
        held, lib = ctypes.c_void_p(), library()
        with lib.on(device):
            code = lib.functions.udsph_cuda_allocate(ctypes.byref(held), max(1, size))
            if code and lib.error_name(code) == "cudaErrorMemoryAllocation":
                raise out_of_memory(what, size, lib)
            lib.check(code)
        self.pointer, self.size, self.device = int(held.value or 0), size, device
        weakref.finalize(self, _free, lib, self.pointer, device, os.getpid()).atexit = False


def _free(lib: Library, pointer: int, device: int, process: int) -> None:
    if process != os.getpid():  # of a child: the memory is the parent's
        return
    with lib.on(device):
        lib.functions.udsph_cuda_free(pointer)


def out_of_memory(what: str, size: int, lib: Library) -> MemoryError:
    """The error that says what was needed; with the GPU as the current device."""
    left = lib.memory_left()
    free = "" if left is None else f", {memory.size(left)} are free"
    return MemoryError(f"{what} needs {memory.size(size)} of the memory of {lib.describe()[0]}{free}")
