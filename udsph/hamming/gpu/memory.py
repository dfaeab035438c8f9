"""Memory of a GPU that this package takes itself: indexes, and what a search needs beside them for callers of NumPy."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph import memory
from udsph.hamming.gpu.library import Library, library


class Buffer:
    """Memory that is freed with its last user, which waits for the GPU: for an index.

    Raises
    ------
    MemoryError
        There is too little left; says how much is needed.
    """

    pointer: int
    size: int
    device: int

    def __init__(self, size: int, device: int, what: str) -> None:
        _hold(self, size, device, what, ("allocate", "free"))


class Borrowed:
    """Memory from a pool, in the order of a stream, which waits for nothing: for the time of a call.

    Raises
    ------
    MemoryError
        As for ``Buffer``.
    """

    pointer: int
    size: int
    device: int

    def __init__(self, size: int, device: int, stream: int, what: str) -> None:
        _hold(self, size, device, what, ("borrow", "give_back"), stream)


def copied(array: NDArray[Any], device: int, what: str) -> Buffer:
    """A copy of an array on the GPU, which is there when this returns."""
    array, lib = np.ascontiguousarray(array), library()
    buffer = Buffer(array.nbytes, device, what)
    with lib.on(device):
        lib.check(lib.functions.udsph_cuda_copy(buffer.pointer, array.ctypes.data, array.nbytes, 0))
        lib.check(lib.functions.udsph_cuda_wait(0))
    return buffer


def _hold(owner: Any, size: int, device: int, what: str, names: tuple[str, str], *stream: int) -> None:
    """Take memory for an object, until it is gone."""
    held, lib = ctypes.c_void_p(), library()
    take, leave = (getattr(lib.functions, f"udsph_cuda_{name}") for name in names)
    with lib.on(device):
        code = take(ctypes.byref(held), max(1, size), *stream)
        if code and lib.error_name(code) == "cudaErrorMemoryAllocation":
            raise out_of_memory(what, size, lib)
        lib.check(code)
    owner.pointer, owner.size, owner.device = int(held.value or 0), size, device
    weakref.finalize(owner, _leave, lib, device, os.getpid(), leave, owner.pointer, *stream).atexit = False


def _leave(lib: Library, device: int, process: int, leave: Any, *arguments: int) -> None:
    if process != os.getpid():  # in a child: the memory is the parent's
        return
    with lib.on(device):
        leave(*arguments)


def out_of_memory(what: str, size: int, lib: Library) -> MemoryError:
    """The error that says what was needed; with the GPU as the current device."""
    left = lib.memory_left()
    free = "" if left is None else f", {memory.size(left)} are free"
    return MemoryError(f"{what} needs {memory.size(size)} of the memory of {lib.describe()[0]}{free}")
