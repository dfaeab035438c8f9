"""Codes as files hold them: packed bytes or words, or a column for each bit with 0 and 1, -1 and 1, or real values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from udsph.cli.arrays import read_array
from udsph.errors import InputError
from udsph.hamming import pack
from udsph.hamming.codes import BitOrder, as_codes
from udsph.hamming.storage import MAGIC

Form = Literal["auto", "packed", "values"]
_ROWS = 1 << 16  # looked through at a time


def read_codes(place: str, flag: str) -> Any:
    """Packed codes of a file, in a form that the search takes: bytes, words, or lines of hexadecimal as bytes.

    Raises
    ------
    InputError, OSError
        There is no such file or array, or it holds something else.
    """
    path = Path(place)
    if path.suffix.lower() != ".txt":
        codes = read_array(place, flag)
        return codes[:, None] if codes.ndim == 1 and codes.dtype.itemsize == 8 else codes
    try:
        rows = [bytes.fromhex(line) for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except ValueError as error:
        raise InputError(f"{flag} {place}: expected a code in hexadecimal in every line ({error})") from None
    if len({len(row) for row in rows}) != 1:
        raise InputError(f"{flag} {place}: expected lines of one length, found {sorted({2 * len(r) for r in rows})}")
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


def is_index(path: Path) -> bool:
    """Whether this is a folder, as a collection is, or begins as an index file does."""
    if path.is_dir():
        return True
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def as_packed(codes: Any, form: Form, what: str, bitorder: BitOrder = "little") -> Any:
    """Packed codes.

    Parameters
    ----------
    codes : (n, width) array
    form
        ``packed``, ``values`` (a column a bit; a value above 0 is 1), or ``auto``: floats, booleans and -1 with 1 are
        values, other integers are packed. What could be either is refused.
    what
        Names the array in errors.
    bitorder
        In which values are packed: that of the packed codes beside them.
    """
    if codes.ndim != 2:
        raise InputError(f"{what}: expected an array (n, width), got {codes.shape}")
    if form == "auto":
        form = _form_of(codes, what)
    if form == "packed":
        return _bytes_of(codes, what)
    try:
        return pack(codes, bitorder=bitorder)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: {error}") from None


def is_values(codes: Any, form: Form, what: str) -> bool:
    """Whether an array has a column a bit, so that its width is that of the codes."""
    return (_form_of(codes, what) if form == "auto" else form) == "values"


def _form_of(codes: Any, what: str) -> Form:
    ask = "say which by --codes packed or --codes values"
    if codes.dtype.kind == "b":
        return "values"
    if codes.dtype.kind == "f":
        if _all(codes, _are_bytes) and not _all(codes, lambda part: part <= 1):
            raise InputError(f"{what}: whole numbers up to 255 as {codes.dtype} may be bytes; {ask}")
        return "values"
    if not _all(codes, lambda part: (part == 0) | (part == 1) | (part == -1)):
        return "packed"
    if codes.dtype.kind == "i" and not _all(codes, lambda part: part >= 0):
        return "values"
    if codes.size and codes.shape[1] > 1:
        raise InputError(f"{what}: only 0 and 1, which may be one bit a column or packed; {ask}")
    return "packed"


def _all(codes: Any, true: Callable[[Any], Any]) -> bool:
    """Whether something is true of all values; of a large file only as much is read as decides it."""
    return all(true(codes[start : start + _ROWS]).all() for start in range(0, len(codes), _ROWS))


def _are_bytes(part: Any) -> Any:
    return (part >= 0) & (part <= 255) & (part == np.floor(part))


def _bytes_of(codes: Any, what: str) -> Any:
    """Words, and floats that hold bytes, as bytes; anything else as it is."""
    if codes.dtype.kind in "iu" and codes.dtype != np.uint8:
        try:
            return as_codes(codes, 8 * codes.dtype.itemsize * codes.shape[1], "little", what)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from None
    if codes.dtype.kind != "f":
        return codes
    if not _all(codes, _are_bytes):
        raise InputError(f"{what}: packed bytes are whole numbers from 0 to 255")
    return codes[:].astype(np.uint8)
