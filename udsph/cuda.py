"""The CUDA library of the package: found, loaded with ctypes, its errors by name. Needs neither torch nor a GPU.

One library holds the kernels of every room (``csrc/*/cuda``) behind plain C interfaces. A room that has kernels in it
derives from ``Library`` and declares its functions there. Loading touches no driver, so a process may fork afterwards.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from udsph.errors import InputError

LIBRARY = Path(__file__).with_name("libudsph_cuda.so")

# What CUDA answers where the library holds no code for a GPU.
WRONG_ARCHITECTURE = (
    "cudaErrorNoKernelImageForDevice",
    "cudaErrorInvalidDeviceFunction",
    "cudaErrorUnsupportedPtxVersion",
    "cudaErrorInvalidKernelImage",
)

_POINTER, _SIZE, _NUMBER = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
_ARGUMENTS = {
    "use": (_NUMBER,),
    "allocate": (ctypes.POINTER(_POINTER), _SIZE),
    "free": (_POINTER,),
    "borrow": (ctypes.POINTER(_POINTER), _SIZE, _POINTER),
    "give_back": (_POINTER, _POINTER),
    "device_of": (_POINTER, ctypes.POINTER(_NUMBER)),
    "copy": (_POINTER, _POINTER, _SIZE, _POINTER),
    "clear": (_POINTER, _SIZE, _POINTER),
    "wait": (_POINTER,),
}

_used_by: int | None = None  # the process that first used a GPU through this module


class Library:
    """The functions of ``csrc/common/device.h``, and in ``functions`` all of the library.

    Raises
    ------
    OSError
        Where it cannot be loaded.
    """

    def __init__(self, path: Path = LIBRARY) -> None:
        self.functions: Any = ctypes.CDLL(str(path))
        for name in ("udsph_cuda_error_name", "udsph_cuda_error_text"):
            getattr(self.functions, name).restype = ctypes.c_char_p
        for name, arguments in _ARGUMENTS.items():
            getattr(self.functions, f"udsph_cuda_{name}").argtypes = arguments

    def device_state(self) -> str:
        """``"available"``, or why no GPU can be used. Asks the driver."""
        if _forked():
            return f"no GPU can be used: {_FORKED}"
        count = ctypes.c_int()
        code = self.functions.udsph_cuda_device_count(ctypes.byref(count))
        if code:
            return f"no GPU can be used: {self._why(code)}"
        return "available" if count.value else "no GPU can be used: there is none"

    def device_count(self) -> int:
        """GPUs that this process sees."""
        count = ctypes.c_int()
        self.check(self.functions.udsph_cuda_device_count(ctypes.byref(count)))
        return count.value

    @contextmanager
    def on(self, device: int) -> Iterator[None]:
        """With a GPU, by its number, as the current one of this thread.

        Raises
        ------
        InputError
            After a fork; the driver is too old; there is no such GPU.
        """
        global _used_by
        if _forked():
            raise InputError(_FORKED)
        _used_by = os.getpid()
        before = ctypes.c_int()
        self.check(self.functions.udsph_cuda_current(ctypes.byref(before)))
        if before.value == device:
            yield
            return
        self.check(self.functions.udsph_cuda_use(device))
        try:
            yield
        finally:
            self.functions.udsph_cuda_use(before.value)

    def shared_limit(self) -> int | None:
        """Bytes of shared memory that the current device gives to a block; None where it cannot be asked."""
        limit = ctypes.c_int()
        code = self.functions.udsph_cuda_shared_limit(ctypes.byref(limit))
        return None if code else limit.value

    def describe(self) -> tuple[str, int, int]:
        """Name and compute capability, major and minor, of the current device."""
        name, major, minor = ctypes.create_string_buffer(256), ctypes.c_int(), ctypes.c_int()
        code = self.functions.udsph_cuda_describe(name, len(name), ctypes.byref(major), ctypes.byref(minor))
        return ("the GPU", 0, 0) if code else (name.value.decode(), major.value, minor.value)

    def memory_left(self) -> int | None:
        """Bytes that are free on the current device; None where it cannot be asked."""
        free, total = ctypes.c_int64(), ctypes.c_int64()
        code = self.functions.udsph_cuda_memory(ctypes.byref(free), ctypes.byref(total))
        return None if code else free.value

    def has_code(self, code: int) -> bool:
        """Whether the library serves the current device, from what a room's function of that purpose returned."""
        if code and self.error_name(code) not in WRONG_ARCHITECTURE:
            raise self.error(code, "another device")
        return code == 0

    def check(self, code: int, instead: str = "the CPU") -> None:
        """Raise what ``error`` says for a code that is not 0."""
        if code:
            raise self.error(code, instead)

    def error(self, code: int, instead: str) -> Exception:
        """What to raise for a code that a function returned, with the current device still the one of the call.

        Parameters
        ----------
        instead : str
            What else can be used where the library holds no code for the GPU.

        Returns
        -------
        InputError, MemoryError or RuntimeError
            The first where the library holds no code for the GPU, the driver is too old, there is no such GPU, or the
            process was forked after CUDA was used.
        """
        name = self.error_name(code)
        if name in ("cudaErrorInsufficientDriver", "cudaErrorInvalidDevice", "cudaErrorInitializationError"):
            return InputError(f"{self._why(code)} ({name})")
        gpu, major, minor = self.describe()
        if name in WRONG_ARCHITECTURE:
            return InputError(
                f"the CUDA library of udsph holds no code for {gpu} (compute capability {major}.{minor}): reinstall "
                f"udsph with UDSPH_CUDA_ARCHS={major}{minor}, or use {instead} ({name})"
            )
        kind = MemoryError if name == "cudaErrorMemoryAllocation" else RuntimeError
        return kind(f"udsph on {gpu}: {self.error_text(code)} ({name})")

    def error_name(self, code: int) -> str:
        return str(self.functions.udsph_cuda_error_name(code).decode())

    def error_text(self, code: int) -> str:
        return str(self.functions.udsph_cuda_error_text(code).decode())

    def _why(self, code: int) -> str:
        """Why no GPU, or not this one, can be used."""
        name = self.error_name(code)
        if name == "cudaErrorInsufficientDriver":
            driver, built = ctypes.c_int(), ctypes.c_int()
            code = self.functions.udsph_cuda_versions(ctypes.byref(driver), ctypes.byref(built))
            if not code and not driver.value:
                return "there is no driver of a CUDA GPU"
            if not code:
                return (
                    f"the driver serves CUDA {_version(driver.value)}, udsph was built with CUDA "
                    f"{_version(built.value)}: install a newer driver, or udsph with an older nvcc"
                )
        if name == "cudaErrorInitializationError":
            return _FORKED
        if name == "cudaErrorInvalidDevice":
            return "there is no GPU of that number"
        return self.error_text(code)


_FORKED = (
    "CUDA was used before this process was forked, and cannot be used in the child: start processes by "
    "multiprocessing.get_context('spawn'), or use the GPU in the parent or in the child alone"
)


def _forked() -> bool:
    return _used_by is not None and _used_by != os.getpid()


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def device_number(device: Any) -> int | None:
    """The number of a GPU from ``"cuda"``, ``"cuda:1"`` or torch's name for it; None for ``"cpu"``.

    Raises
    ------
    InputError
        Something else.
    """
    kind, _, number = str(device).partition(":")
    if kind == "cpu" and number in ("", "0"):
        return None
    if kind != "cuda" or not (number == "" or number.isdecimal()):
        raise InputError(f"device must be 'cpu', 'cuda' or 'cuda:NUMBER', got {device!r}")
    return int(number or 0)


@cache
def state() -> str:
    """``"available"`` where the library is there and loads, or why not. Touches no driver and no GPU."""
    if not LIBRARY.exists():
        return "the library was not built when the package was installed (it needs nvcc, and UDSPH_CUDA other than 0)"
    try:
        Library(LIBRARY)
    except (OSError, AttributeError) as error:  # AttributeError: a function is missing in one of an earlier version
        return f"the library cannot be loaded: {error}"
    return "available"
