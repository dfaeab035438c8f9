"""Any caller's array as an array of NumPy, without importing the library that it comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_HOST_DEVICES = frozenset({1, 3, 13})  # DLPack: CPU, CUDA pinned host memory, CUDA managed memory


def as_array(values: Any, name: str) -> NDArray[Any]:
    """View or copy ``values`` as a NumPy array without importing the library that it comes from.

    Parameters
    ----------
    values : array
        A NumPy array, anything with ``__dlpack__`` in host memory (torch, JAX, CuPy pinned memory), or a sequence.
    name : str
        What the caller calls it, for error messages.

    Raises
    ------
    TypeError
        The values are on a device, or cannot be read as an array.
    """
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise ValueError(f"{name} has masked entries; fill them or leave them out, for example {name}.compressed()")
        return values.data
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "__dlpack_device__"):
        return _from_dlpack(values, name)
    try:
        return np.asarray(values)
    except ValueError as error:  # ragged sequences
        raise TypeError(f"{name} cannot be read as an array: {error}") from error


def _from_dlpack(values: Any, name: str) -> NDArray[Any]:
    mend = f"bring it to the host first, for example with {name}.cpu() in torch or jax.device_get({name}) in JAX"
    try:
        device_type = int(values.__dlpack_device__()[0])
    except (RuntimeError, ValueError) as error:  # torch: a device that DLPack has no name for
        raise TypeError(f"{name} is not in host memory ({error}); {mend}") from error
    if device_type not in _HOST_DEVICES:
        raise TypeError(f"{name} is on a device (DLPack type {device_type}); {mend}")
    try:
        return np.from_dlpack(values)
    except (BufferError, RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        # DLPack or NumPy lacks the type: pyarrow's booleans, bfloat16.
        if "bfloat16" in str(getattr(values, "dtype", "")) and hasattr(values, "float"):
            return as_array(values.float(), name)
        if hasattr(values, "__array__") and not hasattr(values, "requires_grad"):
            return np.asarray(values)
        raise TypeError(f"{name} cannot be read through DLPack: {error}") from error
