"""Binary codes: from values to bits, from bits to values, and from any caller's array to codes.

A code of ``bits`` bits takes ``(bits + 7) // 8`` bytes; bit i is bit ``i % 8`` of byte ``i // 8`` (``numpy.packbits``
with ``bitorder="little"``), and the unused bits of the last byte are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.hamming.arrays import as_array

MAX_BITS = 8192

BitOrder = Literal["little", "big"]

_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"), axis=1)[:, 0]

_UINT8, _INT8 = np.dtype(np.uint8), np.dtype(np.int8)
_ROWS_PER_STEP = 65536  # pack and unpack work through large inputs in steps of this many values at least


def check_bits(bits: Any) -> int:
    """Return ``bits`` as an int from 1 to 8192."""
    return check_int(bits, "bits", 1, MAX_BITS)


def bytes_per_code(bits: int) -> int:
    """Bytes that a packed code of ``bits`` bits takes."""
    return (bits + 7) // 8


def pack(values: Any, *, bitorder: BitOrder = "little") -> NDArray[np.uint8]:
    """Pack the signs of values into codes: a value above 0 becomes 1, zero and negative values become 0.

    Parameters
    ----------
    values : (n, bits) array of bool, integers or floats
    bitorder : {"little", "big"}
        Of the bits in a byte, as for ``numpy.packbits``.

    Returns
    -------
    (n, (bits + 7) // 8) uint8
        Bit i of a code is bit ``i % 8`` of byte ``i // 8``, from the least significant in order "little", from the most
        significant in "big"; unused bits are 0.

    Raises
    ------
    TypeError
        The values are not real numbers.
    ValueError
        The array is not two-dimensional, has fewer than 1 or more than 8192 columns, or contains NaN.

    Examples
    --------
    >>> import udsph.hamming as hamming
    >>> hamming.pack([[1.0, -1.0, 0.0, 2.0]])
    array([[9]], dtype=uint8)
    """
    check_bitorder(bitorder)
    array = as_array(values, "values")
    if array.dtype.name == "bfloat16":  # of ml_dtypes, which NumPy does not know
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"values must be booleans, integers or floats, got dtype {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"values must have shape (n, bits), got {array.shape}")
    rows, bits = array.shape[0], check_bits(array.shape[1])
    codes = np.empty((rows, bytes_per_code(bits)), np.uint8)
    step = max(1, _ROWS_PER_STEP // bits)
    for begin in range(0, rows, step):
        part = array[begin : begin + step]
        if part.dtype.kind == "f" and np.isnan(part).any():
            row, column = np.argwhere(np.isnan(part))[0]
            raise ValueError(f"values has a NaN at row {begin + row}, column {column}")
        codes[begin : begin + step] = np.packbits(part > 0, axis=1, bitorder=bitorder)
    return codes


def unpack(codes: Any, bits: int, *, bitorder: BitOrder = "little") -> NDArray[np.uint8]:
    """Unpack codes into one byte per bit.

    Parameters
    ----------
    codes : (n, width) array
        Packed codes in any form that ``FlatIndex`` takes.
    bits : int
        Width of a code, 1 to 8192.
    bitorder : {"little", "big"}
        Of the bits in a byte: that of the index which ``reconstruct`` read them from.

    Returns
    -------
    (n, bits) uint8 of 0 and 1

    Raises
    ------
    TypeError, ValueError
        As for every function that takes codes: wrong dtype, shape or width, or an unused bit that is set.
    """
    rows = as_codes(codes, check_bits(bits), check_bitorder(bitorder), "codes")
    return np.unpackbits(rows, axis=1, count=bits, bitorder="little")


def check_codes(codes: Any, bits: int | None, name: str) -> NDArray[np.uint8]:
    """Return codes as C-contiguous uint8 rows of a width, or of the width that they have where ``bits`` is None."""
    array = as_array(codes, name)
    if array.dtype != np.uint8:
        raise TypeError(f"{name} must have dtype uint8 (see udsph.hamming.pack), got {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (n, bytes), got {array.shape}")
    if bits is None:
        check_bits(8 * array.shape[1])
    elif array.shape[1] != bytes_per_code(bits):
        raise ValueError(
            f"{name} of {bits} bits must have {bytes_per_code(bits)} bytes in a row, got {array.shape[1]} "
            f"(shape {array.shape})"
        )
    array = np.ascontiguousarray(array)
    if bits is not None and bits % 8:
        check_unused_bits(array, bits, name)
    return array


def check_bitorder(bitorder: Any) -> BitOrder:
    """Return the bit order if it is one."""
    if bitorder not in ("little", "big"):
        raise ValueError(f"bitorder must be 'little' or 'big', got {bitorder!r}")
    return bitorder


def reverse_bits(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mirror the bits of every byte."""
    return _REVERSED[codes]


def as_codes(values: Any, bits: int, bitorder: BitOrder, name: str) -> NDArray[np.uint8]:
    """Return any caller's codes as packed rows: C-contiguous uint8 (n, (bits + 7) // 8) in little bit order.

    Parameters
    ----------
    values : array or sequence
        Forms as in ``FlatIndex``.
    bits : int
        Width of a code.
    bitorder : {"little", "big"}
        Of bits in bytes; words and integers have none.
    name : str
        What the caller calls the values, for error messages.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, dimension or width, a device array, or an unused bit that is set.
    """
    if isinstance(values, (list, tuple)):
        return _codes_of_list(values, bits, bitorder, name)
    array = as_array(values, name)
    if array.ndim == 1 and array.size == 0:
        return np.empty((0, bytes_per_code(bits)), np.uint8)
    if array.ndim == 1 and array.dtype.kind in "OTU":  # a column of a table
        return _codes_of_list(array.tolist(), bits, bitorder, name)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        return _codes_of_words(array.astype(array.dtype.newbyteorder("="), copy=False).view(np.uint64), bits, name)
    if array.dtype == np.int8:
        array = array.view(np.uint8) ^ np.uint8(128)  # adds 128
    elif array.dtype != np.uint8:
        raise TypeError(
            f"{name} must be codes packed in uint8, int8 or 64-bit words, got {array.dtype} "
            "(udsph.hamming.pack makes them from values, one column per bit)"
        )
    if bitorder == "big" and array.ndim == 2:
        array = reverse_bits(array)
    return check_codes(array, bits, name)


def as_queries(values: Any, bits: int, bitorder: BitOrder) -> NDArray[np.uint8]:
    """Return any caller's queries as ``as_codes`` does; one packed code by itself stays one row, (bytes,)."""
    if (  # what nearly every query is, in less time than a search among a thousand codes takes
        type(values) is np.ndarray
        and values.dtype is _UINT8
        and bitorder == "little"
        and values.shape[-1:] == (bits / 8,)
        and values.ndim <= 2
        and values.flags.c_contiguous
    ):
        return values
    if not isinstance(values, (list, tuple)):
        values = as_array(values, "queries")
        if values.ndim == 1 and values.size and values.dtype in (_UINT8, _INT8):
            return as_codes(values[None], bits, bitorder, "queries")[0]
    return as_codes(values, bits, bitorder, "queries")


def width_of(codes: Any, bits: int | None, name: str) -> int:
    """The width that is asked for, else all bits that codes have.

    Raises
    ------
    TypeError, ValueError
        ``bits`` is no width; or codes of this form do not tell theirs.
    """
    if bits is not None:
        return check_bits(bits)
    first = codes[0] if isinstance(codes, (list, tuple)) and len(codes) else None
    if isinstance(first, str):
        return check_bits(4 * len(first))
    if isinstance(first, bytes):
        return check_bits(8 * len(first))
    array = as_array(codes, name)
    if array.ndim == 1 and array.dtype.kind in "OTU" and array.size:  # a column of a table
        return width_of(array[:1].tolist(), None, name)
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.dtype.itemsize not in (1, 8):
        raise TypeError(
            f"{name} must be (n, bytes) of uint8 or int8, (n, words) of 64-bit integers, hexadecimal or bytes; other "
            f"forms need bits=, and udsph.hamming.pack makes codes from values; got shape {array.shape}, dtype "
            f"{array.dtype}"
        )
    return check_bits(8 * array.dtype.itemsize * array.shape[1])


def as_pair(
    queries: Any,
    codes: Any,
    bits: int | None,
    bitorder: BitOrder,
    names: tuple[str, str] = ("queries", "codes"),
) -> tuple[Any, Any, int]:
    """Packed rows of queries and codes of one width, and the width: where ``bits`` is None, all that codes have."""
    bits = width_of(codes, bits, names[1])
    check_bitorder(bitorder)
    return as_codes(queries, bits, bitorder, names[0]), as_codes(codes, bits, bitorder, names[1]), bits


def _codes_of_list(values: Sequence[Any], bits: int, bitorder: BitOrder, name: str) -> NDArray[np.uint8]:
    """Rows of codes in a sequence: integers, hexadecimal, bytes, or what NumPy makes an array of."""
    kinds = {type(value) for value in values}
    if kinds and all(map(_is_integer, kinds)):
        return _codes_of_integers([int(value) for value in values], bits, name)
    if kinds and any(all(issubclass(kind, of) for kind in kinds) for of in (str, bytes)):
        return as_codes(_packed_rows(values, bits, name), bits, bitorder, name)
    if len(kinds) > 1 and any(issubclass(kind, (str, bytes, int, float, np.generic, type(None))) for kind in kinds):
        # NumPy would turn all into one of them: 12 beside "ab" into "12", True beside 5 into 1.
        raise TypeError(f"{name} holds {' and '.join(sorted(kind.__name__ for kind in kinds))}; give codes in one form")
    array = as_array(values, name)
    if array.dtype == object:
        raise TypeError(f"{name} must be codes, got a sequence of {next(iter(kinds)).__name__}")
    return as_codes(array, bits, bitorder, name)


def _is_integer(kind: type) -> bool:
    """Whether values of a type are integers of which each may be a code; narrow ones of NumPy are rather its bytes."""
    return kind is int or (issubclass(kind, np.integer) and np.dtype(kind).itemsize == 8)


def _packed_rows(values: Sequence[str | bytes], bits: int, name: str) -> NDArray[np.uint8]:
    """Rows of codes that are given as bytes or in hexadecimal."""
    width = bytes_per_code(bits)
    rows = []
    for i, value in enumerate(values):
        try:
            rows.append(bytes.fromhex(value) if isinstance(value, str) else value)
        except ValueError:
            raise ValueError(f"{name} is not in hexadecimal at item {i}: {value[:80]!r}") from None
        if len(rows[-1]) != width:
            raise ValueError(f"{name} of {bits} bits must have {width} bytes each, item {i} has {len(rows[-1])}")
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)


def _codes_of_integers(values: Sequence[int], bits: int, name: str) -> NDArray[np.uint8]:
    """Rows of codes given as integers, bit i being worth 2**i; those of 64 bits may be signed, as SQL has them."""
    if bits == 64:
        values = [value + (1 << 64) if -(1 << 63) <= value < 0 else value for value in values]
    wrong = next((i for i, value in enumerate(values) if not 0 <= value < 1 << bits), None)
    if wrong is not None:
        raise ValueError(f"{name} must be codes of {bits} bits, item {wrong} is {values[wrong]:#x}")
    width = bytes_per_code(bits)
    return np.frombuffer(b"".join(v.to_bytes(width, "little") for v in values), np.uint8).reshape(len(values), width)


def _codes_of_words(words: NDArray[np.uint64], bits: int, name: str) -> NDArray[np.uint8]:
    count = (bits + 63) // 64
    if words.ndim == 1 and count == 1:
        words = words[:, None]  # a column of a table
    if words.ndim != 2 or words.shape[1] != count:
        mend = "; packed bytes have dtype uint8" if words.ndim == 2 and words.shape[1] == bytes_per_code(bits) else ""
        raise ValueError(f"{name} of {bits} bits in 64-bit words must have shape (n, {count}), got {words.shape}{mend}")
    if bits % 64:
        wrong = np.flatnonzero(words[:, -1] >> np.uint64(bits % 64))
        if wrong.size:
            raise ValueError(f"{name} has bits set beyond its width of {bits} in row {wrong[0]}")
    rows = np.ascontiguousarray(words, "<u8").view(np.uint8).reshape(len(words), 8 * count)
    return np.ascontiguousarray(rows[:, : bytes_per_code(bits)])


def check_unused_bits(codes: NDArray[np.uint8], bits: int, name: str) -> None:
    """Raise if a bit beyond the width is set in the last byte of a row."""
    wrong = np.flatnonzero(codes[:, -1] >> (bits % 8))
    if wrong.size:
        raise ValueError(
            f"{name} has bits set beyond its width of {bits} in row {wrong[0]} (last byte {codes[wrong[0], -1]})"
        )
