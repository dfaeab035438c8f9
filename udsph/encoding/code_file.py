"""A ``.npy`` file of codes that are written as they come."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from udsph.files import replacing

_HEADER = 128  # bytes, of which NumPy wants a multiple of 64


class CodeWriter:
    """Rows of codes into a ``.npy`` file whose length is known at the end, and the names of the rows beside it.

    Both files appear under their names when all is written; until then, and after an error, nothing does.
    """

    def __init__(self, output: Path, width: int, *, named: bool) -> None:
        self.rows = 0
        self._output, self._width, self._named = output, width, named

    def __enter__(self) -> CodeWriter:
        with contextlib.ExitStack() as stack:
            names = replacing(self._output.with_suffix(".items.txt")) if self._named else contextlib.nullcontext()
            self._names: IO[Any] | None = stack.enter_context(names)
            self._codes: IO[Any] = stack.enter_context(replacing(self._output))
            self._codes.write(_header(0, self._width))
            self._stack = stack.pop_all()
        return self

    def write(self, codes: np.ndarray, names: list[str]) -> None:
        """Append rows, and in a named file their names."""
        self._codes.write(np.ascontiguousarray(codes).tobytes())
        if self._names is not None:
            self._names.writelines(f"{name}\n".encode("utf-8", "surrogateescape") for name in names)
        self.rows += len(codes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._codes.seek(0)
            self._codes.write(_header(self.rows, self._width))
        self._stack.__exit__(kind, error, trace)


def _header(rows: int, width: int) -> bytes:
    """The header of a ``.npy`` file of version 1.0, always as long, so that it can be written again at the end."""
    form = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
    magic = np.lib.format.magic(1, 0)
    rest = _HEADER - len(magic) - 2
    return magic + rest.to_bytes(2, "little") + form.encode("ascii").ljust(rest - 1) + b"\n"
