"""A collection that is open in a process: made, opened, closed, pickled."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from udsph import memory
from udsph.checks import check_int
from udsph.errors import InputError
from udsph.files import PathLike
from udsph.hamming.codes import BitOrder, check_bitorder, check_bits
from udsph.hamming.collection import state
from udsph.hamming.collection.manifest import MOST_KEPT
from udsph.hamming.collection.state import State
from udsph.hamming.collection.tables import in_memory
from udsph.hamming.collection.writer import Writer, new_folder
from udsph.hamming.filters import BLOCK
from udsph.hamming.index import Index
from udsph.hamming.multi import Multi
from udsph.hamming.segments import Segment, Snapshot
from udsph.hamming.storage import Contents, FormatError

Mode = Literal["r", "a"]
Durability = Literal["commit", "none"]

_LOOK_EVERY = 0.1  # seconds

_Self = TypeVar("_Self", bound="Handle")


class Handle(Index):
    """What opens and closes a collection; ``Collection`` is the rest of it."""

    path: Path
    mode: Mode
    _writer: Writer | None
    _state: State
    _closed: bool = True  # until it is whole

    _seen: Any  # the snapshot that ``_snapshot`` gives
    _looked: float = 0.0  # when the files were looked at

    @property
    def _snapshot(self) -> Any:  # type: ignore[override]
        """What is searched. Now and then it is made sure that its files are as long as they were: see ``_look``."""
        now = time.monotonic()
        if now - self._looked > _LOOK_EVERY and not self._closed:
            self._look()
            self._looked = now
        return self._seen

    @_snapshot.setter
    def _snapshot(self, snapshot: Any) -> None:
        self._seen = snapshot

    def _look(self) -> None:
        """Raise if a file was cut in place: to search its map would end the process by a signal.

        Of a file whose name is gone the map is whole, and nothing can be cut by name.
        """
        for file in self._state.files.values():
            with contextlib.suppress(OSError):
                if os.stat(file.name).st_size < file.contents.size:
                    raise FormatError(f"{file.name} was truncated since it was opened: its codes are lost")

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("a collection lies in a folder: use Collection.create or Collection.open")

    @classmethod
    def create(
        cls: type[_Self],
        path: PathLike,
        bits: int,
        *,
        bitorder: BitOrder = "little",
        multi: bool = False,
        keep: int = 1,
        durability: Durability = "commit",
    ) -> _Self:
        """Make an empty collection and open it for writing.

        Parameters
        ----------
        path : path
            Of a folder that is not there yet, or is empty.
        bits, bitorder, multi
            As for ``Index``.
        keep : int
            How many generations stay: the newest, and those before it that ``open`` may be asked for. Files of others
            are removed.
        durability : {"commit", "none"}
            As for ``open``.

        Raises
        ------
        InputError
            The folder has something in it.
        TypeError, ValueError
            As for ``Index``.
        OSError
            The folder cannot be made or written to.
        """
        bits, bitorder = check_bits(bits), check_bitorder(bitorder)
        keep, durable = check_int(keep, "keep", 1, MOST_KEPT), _check_durability(durability)
        if not isinstance(multi, bool):
            raise TypeError(f"multi must be a bool, got {type(multi).__name__}")
        folder = new_folder(path)
        writer = Writer(folder, durable=durable)
        try:
            return cls._opened(folder, writer.make(bits, bitorder, multi, keep), writer)
        except BaseException:
            writer.release()
            raise

    @classmethod
    def open(
        cls: type[_Self],
        path: PathLike,
        mode: Mode = "r",
        *,
        generation: int | None = None,
        verify: bool = False,
        durability: Durability = "commit",
        takeover: bool = False,
    ) -> _Self:
        """Open a collection.

        Sizes, the manifest and the tables of all files are checked; their contents are not read until they are needed,
        so that this takes milliseconds.

        Parameters
        ----------
        path : path
            The folder.
        mode : {"r", "a"}
            Read, from a read-only folder too; or read and change, which one writer at a time can.
        generation : int, optional
            One of ``generations``, for reading; by default the newest.
        verify : bool
            Read everything first, as the method ``verify`` does.
        durability : {"commit", "none"}
            Whether ``commit`` waits until its files are on the disk. With "none" a commit is as safe from the end of
            the process, but a power failure may leave a collection that does not open.
        takeover : bool
            Write although the lock file names a writer on another machine, which is known to have ended.

        Raises
        ------
        FormatError
            It is no collection, damaged, or of a later version.
        InputError
            Somebody else has it open for writing, or it has no such generation.
        OSError
            It cannot be read.
        """
        if mode not in ("r", "a"):
            raise InputError(f"mode must be 'r' or 'a', got {mode!r}")
        durable = _check_durability(durability)
        if generation is not None:
            generation = check_int(generation, "generation", 0)
            if mode == "a":
                raise InputError(f"generation={generation} is for reading: a writer continues the newest")
        folder = Path(os.path.abspath(path))
        state.check_folder(folder)  # before a lock is made in it
        writer = Writer(folder, durable=durable, takeover=takeover) if mode == "a" else None
        try:
            if generation is None:
                found = state.open_newest(folder)
            else:
                found = state.open_kept(folder, generation)
            if verify:
                state.verify(found)
            if writer is not None:
                writer.clean(found.manifest)
            return cls._opened(folder, found, writer)
        except BaseException:
            if writer is not None:
                writer.release()
            raise

    @classmethod
    def _opened(cls: type[_Self], folder: Path, found: State, writer: Writer | None) -> _Self:
        self = cls.__new__(cls)
        self.path, self.mode = folder, "r" if writer is None else "a"
        self._state, self._writer = found, writer
        self._take(Contents(found.manifest.bitorder, found.snapshot))
        if any(file.tables is not None for file in found.files.values()):
            self._why = "its tables are stored"
        self._closed = False
        return self

    @property
    def generation(self) -> int:
        """The generation that is seen here or, by the writer, was committed last."""
        return self._state.manifest.generation

    @property
    def changed(self) -> bool:
        """Whether there are changes that were not committed."""
        if self._writer is None or self._closed:
            return False
        return _numbers(self._seen) != _numbers(self._state.snapshot)

    def __del__(self) -> None:
        if not self._closed:
            if self.changed and self._writer is not None and os.getpid() == self._writer.pid:
                message = f"{self!r} was dropped with changes that were not committed"
                warnings.warn(message, ResourceWarning, stacklevel=2)
            self._end()

    def _built(
        self, snapshot: Snapshot, kept: int, threads: int, tell: Callable[[float, str], object]
    ) -> tuple[Segment | None, str]:
        """As of every index; tables that are stored over all the codes are read into memory."""
        first = snapshot.segments[0] if snapshot.segments else None
        stored = any(first is file.tables for file in self._state.files.values() if file.tables is not None)
        if self.kind == "flat" or not stored or kept or not isinstance(first, Multi):
            return super()._built(snapshot, kept, threads, tell)
        if len(first) != snapshot.n // BLOCK * BLOCK:
            return super()._built(snapshot, kept, threads, tell)
        size, left = first.tables.nbytes, memory.available()
        if left is not None and size > left:
            raise MemoryError(f"its tables take {memory.size(size)}, but {memory.size(left)} are free")
        tell(0.0, "reading stored tables")
        return in_memory(first), "its tables were stored"

    def copy(self) -> Index:  # type: ignore[override]
        """An ``Index`` in memory with the same codes, which maps the same files."""
        self._check_open()
        return Index._of(Contents(self.bitorder, self._snapshot.shared()))

    def __deepcopy__(self, memo: dict[int, Any]) -> Index:  # type: ignore[override]
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_open()
        if self.changed:
            raise TypeError("a collection with changes cannot be pickled: commit them first, or pickle a copy()")
        return type(self).open, (self.path,)

    @classmethod
    def from_bytes(cls, data: Any, *, verify: bool = True) -> NoReturn:
        """Not of a collection: use ``Index.from_bytes``, and ``merge``."""
        raise TypeError("a collection lies in a folder: use Index.from_bytes, and merge the index into a collection")

    @classmethod
    def load(cls, file: Any, *, mmap: bool = True, verify: bool = True) -> NoReturn:
        """Not of a collection: use ``open`` for a folder, and for a file ``Index.load`` and ``merge``."""
        raise TypeError("a collection is opened by Collection.open; an index file by Index.load, and then merged")

    def _end(self) -> None:
        if not self._closed:
            if self._writer is not None:
                self._writer.release()  # first: after Ctrl-C in it one can close again
            self._seen, self._closed = _Closed(self.path), True

    def _check_open(self) -> None:
        if self._closed:
            raise InputError(f"the collection {os.fspath(self.path)} is closed")


class _Closed:
    """In place of the snapshot of a collection that was closed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __len__(self) -> int:
        return self.n

    def __getattr__(self, name: str) -> Any:
        raise InputError(f"the collection {os.fspath(self._path)} is closed")


def _numbers(snapshot: Snapshot) -> tuple[int, ...]:
    """What every change changes."""
    return snapshot.n, dead(snapshot), snapshot.closings, snapshot.ids.next_id


def dead(snapshot: Snapshot) -> int:
    return 0 if snapshot.alive is None else snapshot.alive.dead


def _check_durability(durability: Any) -> bool:
    """Whether commits are synced."""
    if durability not in ("commit", "none"):
        raise InputError(f"durability must be 'commit' or 'none', got {durability!r}")
    return durability == "commit"
