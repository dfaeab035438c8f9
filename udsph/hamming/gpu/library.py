"""The C interface of Hamming search on a GPU (``csrc/hamming/cuda/hamming.h``)."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import udsph.cuda
from udsph.errors import InputError

_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_int64


class Codes(ctypes.Structure):
    """``UdsphCodes``."""

    _fields_ = (("tiles", _POINTER), ("n", _SIZE), ("bits", _SIZE))


class Queries(ctypes.Structure):
    """``UdsphQueries``."""

    _fields_ = (
        ("rows", _POINTER),
        ("n", _SIZE),
        ("allowed", _POINTER),
        ("scratch", _POINTER),
        ("scratch_bytes", _SIZE),
    )


class Counting(ctypes.Structure):
    """``UdsphCounting``."""

    _fields_ = (
        ("queries", _POINTER),
        ("codes", _POINTER),
        ("n_queries", _SIZE),
        ("n", _SIZE),
        ("bytes", _SIZE),
        ("labels", _POINTER),
        ("label_begin", _POINTER),
        ("label_slices", _POINTER),
        ("classes", _POINTER),
        ("levels", _SIZE),
        ("table", _POINTER),
    )


_CODES, _QUERIES = ctypes.POINTER(Codes), ctypes.POINTER(Queries)
_SIZES = {
    "struct_sizes": (),
    "code_bytes": (_SIZE, _SIZE),
    "scratch": (_SIZE,) * 4,
    "least_scratch": (_SIZE,) * 4,
    "range_batch": (_CODES, _SIZE, _SIZE),
}
_LAUNCHES = {
    "add": (_POINTER, _SIZE, _SIZE, _POINTER, _SIZE, _POINTER),
    "read": (_CODES, _POINTER, _SIZE, _POINTER, _POINTER),
    "name": (_POINTER, _POINTER, _SIZE, _POINTER),
    "pack_mask": (_POINTER, _SIZE, _POINTER, _POINTER, _POINTER, _POINTER),
    "search": (_CODES, _QUERIES, _SIZE, _POINTER, _POINTER, _POINTER),
    "range_count": (_CODES, _QUERIES, _SIZE, _POINTER, _POINTER),
    "range_fetch": (_CODES, _QUERIES, _SIZE, _SIZE, _POINTER, _POINTER, _POINTER, _POINTER),
    "distances": (_POINTER, _SIZE, _POINTER, _SIZE, _SIZE, _POINTER, _POINTER),
    "count": (ctypes.POINTER(Counting), _POINTER),
}


class Library(udsph.cuda.Library):
    """Hamming search of the CUDA library. Tests put its emulation on the host in place of it.

    Raises
    ------
    OSError
        Where it cannot be loaded, or was built from other sources than this file.
    """

    def __init__(self, path: Path = udsph.cuda.LIBRARY) -> None:
        super().__init__(path)
        for names, result in ((_SIZES, _SIZE), (_LAUNCHES, ctypes.c_int)):
            for name, arguments in names.items():
                function = self._function(name)
                function.argtypes, function.restype = arguments, result
        sizes = [ctypes.sizeof(struct) for struct in (Codes, Queries, Counting)]
        if self.size("struct_sizes") != sizes[0] + 1000 * (sizes[1] + 1000 * sizes[2]):
            raise OSError(f"{path.name} was built from another version of udsph")

    def _function(self, name: str) -> Any:
        return getattr(self.functions, f"udsph_hamming_{name}")

    def size(self, name: str, *arguments: Any) -> int:
        """What a function that launches nothing returns."""
        return int(self._function(name)(*arguments))

    def launch(self, name: str, *arguments: Any) -> None:
        """Launch on the current device.

        Raises
        ------
        InputError, MemoryError, RuntimeError
            As ``error`` says.
        """
        self.check(self._function(name)(*arguments))

    def serves(self, device: int) -> None:
        """Raise ``InputError`` if there is no such GPU, or no code for it in the library."""
        with self.on(device):
            self.check(self.functions.udsph_hamming_check())


@cache
def library() -> Library:
    """The library, loaded on the first use.

    Raises
    ------
    InputError
        It was not built, cannot be loaded, or there is no GPU: with the reason.
    """
    state = udsph.cuda.state()
    if state == "available":
        try:
            loaded = Library()
            state = loaded.device_state()
        except (OSError, AttributeError) as error:  # of another version
            state = f"the library cannot be loaded: {error}"
    if state != "available":
        raise InputError(f"device='cuda' cannot be used: {state}")
    return loaded
