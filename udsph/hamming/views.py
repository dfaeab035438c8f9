"""What other programs see of an index: one state of it as a native object, for the functions of ``udsph.h``.

C, C++ and Cython programs come here through ``udsph_api.open`` and ``udsph_api.snapshot``; Numba through
``udsph.hamming.numba_functions``.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

from udsph.hamming.collection import Collection
from udsph.hamming.flat import FlatIndex, load
from udsph.hamming.multi import Multi
from udsph.hamming.names import Strings
from udsph.hamming.segments import Segment, Snapshot


def snapshot(index: FlatIndex) -> Any:
    """The present state of an index, a ``View`` of native code: it stays as it is whatever happens to the index.

    Its queries are in little bit order, also where the index is of ``bitorder="big"``.

    Raises
    ------
    TypeError
        Something else than an index.
    ImportError
        The package was installed without a C++ compiler.
    """
    if not isinstance(index, FlatIndex):
        raise TypeError(f"index must be a FlatIndex or an Index, got {type(index).__name__}")
    return _view(index._snapshot)


def opened(path: str | os.PathLike[str]) -> Any:
    """The state that is in a file, or the newest of a collection, mapped; raises as these do."""
    return snapshot(Collection.open(path) if os.path.isdir(path) else load(path))


def _view(state: Snapshot) -> Any:
    native = importlib.import_module("udsph.hamming._native")
    ids = offsets = text = None
    if not state.ids.positional:
        column = state.ids.column()
        if isinstance(column, Strings):
            offsets, text = column.offsets, column.data
        else:
            ids = column.values
    parts = [_part(segment, native) for segment, _ in state.searched()]
    return native.View(state.bits, parts, state.alive_words(), len(state), ids, offsets, text)


def _part(segment: Segment, native: Any) -> tuple[Any, Any]:
    """A native segment and its tables; of another backend's segment a copy."""
    if isinstance(segment, Multi):
        return segment.segment, segment.tables
    if isinstance(segment, native.Segment):
        return segment, None
    return native.Segment(segment.bits).extended(segment.read(np.arange(len(segment)))), None
