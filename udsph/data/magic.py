"""What a file is, by its first bytes, where its name may say something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from udsph.errors import InputError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_STARTS = (
    (b"\x93NUMPY", "a .npy array"),
    (b"PK\x03\x04", "a .npz archive (or another zip file)"),
    (b"PK\x05\x06", "an empty zip file"),
    (b"MATLAB 5.0", "a MATLAB file (.mat)"),
    (_HDF5, "an HDF5 file (.h5)"),
    (b"PAR1", "a Parquet table"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"\x80", "a pickle of Python objects, which is never opened"),
)


def form_of(path: Path) -> str:
    """What a file is, in words; nothing where its first bytes do not tell."""
    with path.open("rb") as file:
        start = file.read(520)
    if start[512:520] == _HDF5:  # MATLAB's version 7.3 is HDF5 behind 512 bytes
        return "an HDF5 file (.h5, or .mat of version 7.3)"
    return next((form for magic, form in _STARTS if start.startswith(magic)), "")


def has_hdf5_signature(path: Path) -> bool:
    """Whether it is HDF5: itself, or behind the user block of MATLAB's version 7.3."""
    return form_of(path).startswith("an HDF5")


def read_npy(path: Path) -> np.ndarray:
    """A ``.npy`` file as a memory map; nothing is ever unpickled.

    Raises
    ------
    InputError
        If it is no whole ``.npy`` file of numbers; the message says what it is.
    """
    form = form_of(path)
    if form and form != "a .npy array":
        raise InputError(f"cannot read {path.name}: it is {form}, not a .npy array")
    try:
        array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        # NumPy takes every file that it does not know for a pickle.
        objects = form and "bject" in str(error)
        reason = "it holds Python objects" if objects else str(error) if form else "it does not begin as one"
        raise InputError(f"cannot read {path.name}: {reason}; is it a whole .npy file?") from None
    return array
