"""Symbols of two bits: descriptors whose distance counts symbols that differ, not bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming.codes import MAX_BITS, BitOrder, as_codes, check_bitorder, width_of


def symbols_to_codes(symbols: Any, *, bits: int | None = None, bitorder: BitOrder = "little") -> NDArray[np.uint8]:
    """Make codes of which the Hamming distance is twice the number of two-bit symbols that differ.

    ORB descriptors with ``WTA_K`` 3 or 4 are made of such symbols, and OpenCV compares them by ``NORM_HAMMING2``. What
    is searched for among the codes that this makes of them is found by that distance: a radius is doubled before, a
    distance halved afterwards. Each symbol becomes three bits, its own two and their exclusive or, of which any two
    symbols differ in two.

    Parameters
    ----------
    symbols : (n, width) array
        Packed symbols in the forms of ``FlatIndex``; bits 2 i and 2 i + 1 are a symbol.
    bits : int, optional
        Of the packed symbols, an even number up to 5460; by default all bits of a row.
    bitorder : {"little", "big"}
        Of the bits in a packed byte.

    Returns
    -------
    (n, (3 * bits / 2 + 7) // 8) uint8
        Codes of ``3 * bits // 2`` bits.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or dimension, or an odd number of bits.

    Examples
    --------
    >>> import numpy as np
    >>> import udsph.hamming as hamming
    >>> symbols = np.array([[0b00_01_10_11], [0b00_01_11_00]], np.uint8)
    >>> codes = hamming.symbols_to_codes(symbols)
    >>> hamming.distances(codes[:1], codes, bits=12) // 2
    array([[0, 2]], dtype=int32)
    """
    bits = width_of(symbols, bits, "symbols")
    if bits % 2 or bits * 3 // 2 > MAX_BITS:
        raise InputError(f"symbols must have an even number of bits up to {MAX_BITS * 2 // 3 // 2 * 2}, got {bits}")
    rows = as_codes(symbols, bits, check_bitorder(bitorder), "symbols")
    pairs = np.unpackbits(rows, axis=1, count=bits, bitorder="little").reshape(len(rows), bits // 2, 2)
    triples = np.concatenate([pairs, pairs[..., :1] ^ pairs[..., 1:]], axis=2)
    return np.packbits(triples.reshape(len(rows), -1), axis=1, bitorder="little")
