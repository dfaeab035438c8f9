"""Any caller's codes on a GPU as packed rows."""

from __future__ import annotations

from typing import Any

from udsph.errors import InputError
from udsph.hamming.codes import bytes_per_code
from udsph.hamming.gpu.arrays import on_device


def device_rows(values: Any, bits: int, bitorder: str, name: str, maker: Any) -> Any:
    """Any caller's codes on a GPU as packed rows, uint8 (n, (bits + 7) // 8); unused bits are not looked at.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, dimension or width.
    """
    check_same_device(values, maker, name)
    dtype, shape, width = str(values.dtype).rpartition(".")[2], tuple(values.shape), bytes_per_code(bits)
    if dtype in ("uint64", "int64"):
        count = (bits + 63) // 64
        if len(shape) == 1 and count == 1:
            values, shape = values[:, None], (*shape, 1)
        if len(shape) != 2 or shape[1] != count:
            raise ValueError(f"{name} of {bits} bits in 64-bit words must have shape (n, {count}), got {shape}")
        rows = maker.as_bytes(values)
        return rows if rows.shape[1] == width else maker.copy(rows[:, :width])
    if dtype not in ("uint8", "int8"):
        raise TypeError(f"{name} must be codes packed in uint8, int8 or 64-bit words, got {dtype}")
    if len(shape) != 2 or shape[1] != width:
        raise ValueError(f"{name} of {bits} bits must have shape (n, {width}), got {shape}")
    rows = maker.as_bytes(values)
    if dtype == "int8":
        rows = rows ^ 128
    return _mirrored(rows) if bitorder == "big" else rows


def without_unused_bits(rows: Any, bits: int, maker: Any) -> Any:
    """Packed rows whose unused bits are 0."""
    if bits % 8:
        rows = maker.copy(rows)
        rows[:, -1] &= (1 << bits % 8) - 1
    return rows


def _mirrored(rows: Any) -> Any:
    """The bits of every byte in the other order."""
    for shift, mask in ((4, 0x0F), (2, 0x33), (1, 0x55)):
        rows = ((rows & mask) << shift) | ((rows >> shift) & mask)
    return rows


def check_same_device(values: Any, maker: Any, name: str) -> None:
    """Raise ``InputError`` if an array is not on the maker's GPU."""
    if not on_device(values):
        raise InputError(f"{name} is in host memory, others are on GPU {maker.device}: bring all to one place")
    device = int(values.__dlpack_device__()[1])
    if device != maker.device:
        raise InputError(f"{name} is on GPU {device}, others are on GPU {maker.device}: bring all to one GPU")
