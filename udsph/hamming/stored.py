"""An index as a whole: copied, pickled, as bytes, in a file."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import gpu
from udsph.hamming.codes import BitOrder
from udsph.hamming.segments import Snapshot
from udsph.threads import ForkSafeLock

if TYPE_CHECKING:
    from udsph.hamming.flat import FlatIndex

_Index = TypeVar("_Index", bound="Stored")
_REMADE = frozenset({"bits", "bitorder", "_snapshot", "_changes", "_why"})  # copied and pickled in ways of their own


class Stored:
    """What every index can do as a whole; ``holding`` has what changes it."""

    bits: int
    bitorder: BitOrder
    _snapshot: Snapshot
    _changes: ForkSafeLock

    def copy(self: _Index) -> _Index:
        """An index with the same codes, which changes on its own from now on; it shares their memory."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, _snapshot=self._snapshot.shared(), _changes=ForkSafeLock())
        return other

    def to(self, device: str) -> FlatIndex:
        """A ``FlatIndex`` of the same codes and ids on "cuda", "cuda:NUMBER" or "cpu"; it goes its own way from now on.

        Raises
        ------
        InputError
            The device cannot be used: with the reason.
        MemoryError
            It has too little memory.
        """
        return gpu.moved(self, device)

    def __copy__(self: _Index) -> _Index:
        return self.copy()

    def __deepcopy__(self: _Index, memo: dict[int, Any]) -> _Index:
        other = memo[id(self)] = self.copy()
        for name, value in self.__dict__.items():
            if name not in _REMADE:
                other.__dict__[name] = copy.deepcopy(value, memo)
        return other

    def __getstate__(self) -> dict[str, Any]:
        own = {name: value for name, value in self.__dict__.items() if name not in _REMADE}
        return {"image": self._image(), "attributes": own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from udsph.hamming import storage

        self._take(storage.parse(storage.aligned(state["image"]), "the pickled index", verify=False))
        self.__dict__.update(state.get("attributes", {}))

    def to_bytes(self) -> bytes:
        """The bytes that ``save`` would write."""
        return self._image().tobytes()

    @classmethod
    def from_bytes(cls: type[_Index], data: Any, *, verify: bool = True) -> _Index:
        """The index that ``to_bytes`` or ``save`` wrote, from bytes or any buffer; aligned memory is searched in place.

        Raises
        ------
        FormatError
            As for ``load``.
        """
        from udsph.hamming import storage

        image = storage.aligned(np.frombuffer(data, np.uint8))
        return cls._of(storage.parse(image, "the index in memory", verify=verify))

    def save(self, file: str | os.PathLike[str] | Any) -> None:
        """Write the index as it is now (``docs/file-format.md``).

        Parameters
        ----------
        file : path or binary file
            A path is written beside first and then renamed into place; a file object is written to at its position, and
            nothing should follow: ``load`` reads to the end.
        """
        from udsph.hamming import storage

        storage.write(file, storage.Contents(self.bitorder, self._snapshot))

    @classmethod
    def load(
        cls: type[_Index], file: str | os.PathLike[str] | Any, *, mmap: bool = True, verify: bool = True
    ) -> _Index:
        """Open what ``save`` wrote, as ``udsph.hamming.load`` does, as an index of this class."""
        from udsph.hamming import storage

        return cls._of(storage.read(file, mmap=mmap, verify=verify))

    def _image(self) -> NDArray[np.uint8]:
        from udsph.hamming import storage

        return storage.image_of(storage.Contents(self.bitorder, self._snapshot))

    @classmethod
    def _of(cls: type[_Index], contents: Any) -> _Index:
        index = cls.__new__(cls)
        index._take(contents)
        return index

    def _take(self, contents: Any) -> None:
        self.bits, self.bitorder = contents.snapshot.bits, contents.bitorder
        self._snapshot = contents.snapshot
        self._changes = ForkSafeLock()
