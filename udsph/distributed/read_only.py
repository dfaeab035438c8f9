"""An index that is searched and not changed: what ``FlatIndex`` has beyond that is refused by name."""

from __future__ import annotations

from typing import Any, NoReturn

from udsph.errors import InputError
from udsph.hamming.flat import FlatIndex


class ReadOnly(FlatIndex):
    """What a sharded index refuses, since its codes are elsewhere."""

    def explain(self, *_: Any, **__: Any) -> NoReturn:
        """Not of shards."""
        raise TypeError("a sharded index is not explained: open a part of its codes as an Index, and explain that")

    def add(self, codes: Any, ids: Any = None) -> NoReturn:
        """Not here: in the collection."""
        raise _read_only("add")

    def remove(self, ids: Any, *, unknown: Any = "error") -> NoReturn:
        """Not here: in the collection."""
        raise _read_only("remove")

    def clear(self) -> NoReturn:
        """Not here: in the collection."""
        raise _read_only("clear")

    def merge(self, other: Any, *, duplicates: Any = "error") -> NoReturn:
        """Not here: in the collection."""
        raise _read_only("merge")

    def save(self, file: Any) -> NoReturn:
        """Not here: the collection or files hold the same codes."""
        raise _read_only("save")

    def to_bytes(self) -> NoReturn:
        """Not here: the collection or files hold the same codes."""
        raise _read_only("to_bytes")

    def copy(self) -> NoReturn:  # type: ignore[override]
        """Not of codes that are elsewhere."""
        raise _read_only("copy")


def _read_only(what: str) -> InputError:
    return InputError(
        f"{what}: a sharded index is for reading: open its collection with mode='a', commit there, and refresh() here"
    )
