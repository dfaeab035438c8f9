"""Arrays on a GPU, of torch, of CuPy or of this package, under one roof: no library is imported that the caller's
arrays are not of.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.gpu.library import library
from udsph.hamming.gpu.memory import Borrowed, out_of_memory

_CUDA = 2  # of DLPack's kinds of devices


class OnHost:
    """For callers of NumPy: arrays on the GPU are buffers, and results are brought back."""

    stream = 0

    def __init__(self, device: int) -> None:
        self.device = device

    def empty(self, shape: tuple[int, ...], dtype: Any, what: str = "a search") -> Any:
        """An array of any content."""
        return Borrowed(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize, self.device, self.stream, what)

    @staticmethod
    def pointer(array: Any) -> int:
        """Where an array's memory begins."""
        return int(array.pointer)

    def upload(self, array: NDArray[Any], what: str = "a search") -> Any:
        """A copy on the GPU, which is there when this returns."""
        array, lib = np.ascontiguousarray(array), library()
        buffer = Borrowed(array.nbytes, self.device, self.stream, what)
        with lib.on(self.device):
            lib.check(lib.functions.udsph_cuda_copy(buffer.pointer, array.ctypes.data, array.nbytes, self.stream))
            lib.check(lib.functions.udsph_cuda_wait(self.stream))
        return buffer

    def download(self, buffer: Any, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A copy in host memory, once what the stream does before is done."""
        array, lib = np.empty(shape, dtype), library()
        with lib.on(self.device):
            lib.check(lib.functions.udsph_cuda_copy(array.ctypes.data, buffer.pointer, array.nbytes, self.stream))
            lib.check(lib.functions.udsph_cuda_wait(self.stream))
        return array


class _OfLibrary:
    """For callers whose arrays are those of a library: results are too, in the order of its current stream."""

    def __init__(self, device: int) -> None:
        self.device = device

    def download(self, array: Any, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A copy in host memory, once what the stream does before is done."""
        return np.asarray(self.on_host(array), dtype).reshape(shape)

    def on_host(self, array: Any) -> Any:
        """The library's copy in host memory."""
        raise NotImplementedError

    def upload(self, array: NDArray[Any], what: str = "a search") -> Any:
        """A copy on the GPU."""
        raise NotImplementedError

    def copy(self, array: Any) -> Any:
        """Another array with the same contents."""
        raise NotImplementedError


class OfTorch(_OfLibrary):
    """Tensors of torch."""

    def __init__(self, device: int) -> None:
        super().__init__(device)
        self._torch = importlib.import_module("torch")
        self._place = self._torch.device("cuda", device)

    @property
    def stream(self) -> int:
        """The current stream on the device."""
        return int(self._torch.cuda.current_stream(self._place).cuda_stream)

    def empty(self, shape: tuple[int, ...], dtype: Any, what: str = "a search") -> Any:
        """A tensor of any content."""
        torch = self._torch
        try:
            return torch.empty(shape, dtype=getattr(torch, np.dtype(dtype).name), device=self._place)
        except torch.OutOfMemoryError as error:
            size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            raise out_of_memory(what, size, library()) from error

    @staticmethod
    def pointer(array: Any) -> int:
        """Where a tensor's memory begins."""
        return int(array.data_ptr())

    def upload(self, array: NDArray[Any], what: str = "a search") -> Any:
        """A copy on the GPU."""
        return self._torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self._place)

    def on_host(self, array: Any) -> Any:
        """A tensor in host memory."""
        return array.cpu()

    def copy(self, array: Any) -> Any:
        """Another tensor with the same contents."""
        return array.clone()

    def concatenate(self, arrays: list[Any]) -> Any:
        """One tensor of several."""
        return self._torch.cat(arrays)

    def as_bytes(self, array: Any) -> Any:
        """The bytes of a tensor of integers, contiguous."""
        return array.detach().contiguous().view(self._torch.uint8)


class OfCupy(_OfLibrary):
    """Arrays of CuPy."""

    def __init__(self, device: int) -> None:
        super().__init__(device)
        self._cupy = importlib.import_module("cupy")

    @property
    def stream(self) -> int:
        """The current stream on the device."""
        with self._cupy.cuda.Device(self.device):
            return int(self._cupy.cuda.get_current_stream().ptr)

    def empty(self, shape: tuple[int, ...], dtype: Any, what: str = "a search") -> Any:
        """An array of any content."""
        try:
            with self._cupy.cuda.Device(self.device):
                return self._cupy.empty(shape, dtype)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            raise out_of_memory(what, size, library()) from error

    @staticmethod
    def pointer(array: Any) -> int:
        """Where an array's memory begins."""
        return int(array.data.ptr)

    def upload(self, array: NDArray[Any], what: str = "a search") -> Any:
        """A copy on the GPU."""
        with self._cupy.cuda.Device(self.device):
            return self._cupy.asarray(array)

    def on_host(self, array: Any) -> Any:
        """An array of NumPy."""
        return array.get()

    def copy(self, array: Any) -> Any:
        """Another array with the same contents."""
        return array.copy()

    def concatenate(self, arrays: list[Any]) -> Any:
        """One array of several."""
        return self._cupy.concatenate(arrays)

    def as_bytes(self, array: Any) -> Any:
        """The bytes of an array of integers, contiguous."""
        return self._cupy.ascontiguousarray(array).view(np.uint8)


_LIBRARIES = {"torch": OfTorch, "cupy": OfCupy}


def on_device(values: Any) -> bool:
    """Whether values are an array in the memory of a CUDA GPU."""
    if type(values) is np.ndarray or not hasattr(values, "__dlpack_device__"):
        return False
    try:
        return int(values.__dlpack_device__()[0]) == _CUDA
    except (RuntimeError, ValueError):  # torch: a device that DLPack has no name for
        return False


def maker_of(values: Any, name: str) -> Any:
    """What makes arrays of the library and on the GPU that an array is of.

    Raises
    ------
    TypeError
        Of another library.
    """
    of = type(values).__module__.partition(".")[0]
    if of not in _LIBRARIES:
        known = " or ".join(_LIBRARIES)
        raise TypeError(
            f"{name} is an array of {of} on a GPU: give one of {known}, for example {known[:5]}.from_dlpack"
        )
    return _LIBRARIES[of](int(values.__dlpack_device__()[1]))
