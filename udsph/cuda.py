"""The CUDA library of the package: found, loaded with ctypes, its errors by name. Needs neither torch nor a GPU.

One library holds the kernels of every room (``csrc/*/cuda``) behind plain C interfaces. A room that has kernels in it
derives from ``Library`` and declares its functions there. Loading touches no driver, so a process may fork afterwards.
"""

from __future__ import annotations

import ctypes
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

    def device_state(self) -> str:
        """``"available"``, or why no GPU can be used. Asks the driver."""
        count = ctypes.c_int()
        code = self.functions.udsph_cuda_device_count(ctypes.byref(count))
        if code:
            return f"no GPU can be used: {self.error_text(code)}"
        return "available" if count.value else "no GPU can be used: there is none"

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

    def has_code(self, code: int) -> bool:
        """Whether the library serves the current device, from what a room's function of that purpose returned."""
        if code and self.error_name(code) not in WRONG_ARCHITECTURE:
            raise self.error(code, "another device")
        return code == 0

    def error(self, code: int, instead: str) -> Exception:
        """What to raise for a code that a function returned, with the current device still the one of the call.

        Parameters
        ----------
        instead : str
            What else can be used where the library holds no code for the GPU.

        Returns
        -------
        InputError or RuntimeError
            The former where the library holds no code for the GPU.
        """
        name, (gpu, major, minor) = self.error_name(code), self.describe()
        if name in WRONG_ARCHITECTURE:
            return InputError(
                f"the CUDA library of udsph holds no code for {gpu} (compute capability {major}.{minor}): reinstall "
                f"udsph with UDSPH_CUDA_ARCHS={major}{minor}, or use {instead} ({name})"
            )
        return RuntimeError(f"udsph on {gpu}: {self.error_text(code)} ({name})")

    def error_name(self, code: int) -> str:
        return str(self.functions.udsph_cuda_error_name(code).decode())

    def error_text(self, code: int) -> str:
        return str(self.functions.udsph_cuda_error_text(code).decode())


@cache
def state() -> str:
    """``"available"`` where the library is there and loads, or why not. Touches no driver and no GPU."""
    if not LIBRARY.exists():
        return "the library was not built when the package was installed (it needs nvcc, and UDSPH_CUDA other than 0)"
    try:
        Library(LIBRARY)
    except OSError as error:
        return f"the library cannot be loaded: {error}"
    return "available"
