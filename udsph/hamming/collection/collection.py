"""``Collection``: an index in a folder."""

from __future__ import annotations

import contextlib
import os
from types import TracebackType
from typing import Any, TypeVar

from udsph.errors import InputError
from udsph.hamming.collection import folder as names
from udsph.hamming.collection import state
from udsph.hamming.collection.exchange import Exchange
from udsph.hamming.collection.handle import dead
from udsph.hamming.collection.manifest import is_read, read_manifest
from udsph.hamming.collection.tables import check_tables
from udsph.hamming.collection.writer import Tell, Writer
from udsph.hamming.filters import BLOCK
from udsph.hamming.holding import Holder
from udsph.hamming.ids import Unknown
from udsph.hamming.index import Index, Progress, listener
from udsph.hamming.multi import Multi
from udsph.hamming.segments import Duplicates, Snapshot
from udsph.hamming.storage import FormatError
from udsph.threads import thread_count

_BUILDING = 0.5  # of the work of a compaction with tables
_Self = TypeVar("_Self", bound="Collection")


class Collection(Exchange):
    """An ``Index`` in a folder: it grows, changes, is opened by many processes and survives a crash.

    ``Collection.create`` makes one, ``Collection.open`` opens it: ``mode="a"`` for the one writer, ``mode="r"`` for any
    number of readers, in any processes. Codes are searched where they lie in the files, by memory map.

    The writer sees its changes at once, everybody else after ``commit``, which makes the next **generation** of the
    collection. A reader sees the generation that was the newest when it was opened, until ``refresh``. What was
    committed outlives the end of any process and, with ``durability="commit"``, a power failure; what was not is gone
    as if it had never been. ``docs/collections.md`` says what is promised, to whom, and how it is tested.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    mode : {"r", "a"}

    Notes
    -----
    Used in ``with``, a writer commits at the end of the block, unless it is left by an exception. Everything that an
    ``Index`` can do works here: ``copy`` gives an ``Index`` in memory, ``save`` writes one file, ``merge`` takes codes
    from another index or collection. ``optimize`` builds its tables in memory, and ``compact`` writes them to the file,
    where whoever opens the collection has them at once. A pickled collection opens the folder again, for reading.

    Examples
    --------
    >>> import tempfile
    >>> import udsph.hamming as hamming
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/codes"
    >>> with hamming.Collection.create(path, bits=64) as collection:
    ...     collection.add([1, 2, 3], ids=["one", "two", "three"])
    >>> with hamming.Collection.open(path) as collection:
    ...     collection.search([3], k=1).ids
    array([['three']], dtype=object)
    """

    def __repr__(self) -> str:
        if self._closed:
            return f"Collection({os.fspath(self.path)!r}, closed)"
        return (
            f"Collection({os.fspath(self.path)!r}, mode={self.mode!r}, bits={self.bits}, bitorder={self.bitorder!r}, "
            f"generation={self.generation}, {len(self)} codes)"
        )

    @property
    def generations(self) -> list[int]:
        """Generations that can be opened now, ascending."""
        return names.generations(self.path)[-self._state.manifest.keep :]

    def add(self, codes: Any, ids: Any = None) -> None:
        """Append codes, as ``Index.add`` does; see ``commit``."""
        self._check_writer()
        super().add(codes, ids)

    def remove(self, ids: Any, *, unknown: Unknown = "error") -> None:
        """Remove all codes of ids, as ``Index.remove`` does; see ``commit``."""
        self._check_writer()
        super().remove(ids, unknown=unknown)

    def clear(self) -> None:
        """Remove all codes, as ``Index.clear`` does; see ``commit``."""
        self._check_writer()
        super().clear()

    def merge(self, other: Holder, *, duplicates: Duplicates = "error") -> None:
        """Append the codes of another index or collection, as ``Index.merge`` does; see ``commit``."""
        self._check_writer()
        super().merge(other, duplicates=duplicates)

    def commit(self) -> int:
        """Make the changes since the last commit the next generation, which others see from now on.

        What is new is written to one file, the small files before it with it; then the manifest. Where that fails, the
        last generation stands, the changes stay here, and the next ``commit`` tries again.

        Returns
        -------
        int
            The generation: the last one, where nothing has changed.

        Raises
        ------
        InputError
            The collection was opened for reading, or the lock is no longer held here.
        FormatError
            A small file before the new ones is damaged.
        OSError
            The disk is full or fails.
        """
        with self._changes.here:
            self._commit_changes(self._check_writer())
            return self.generation

    def compact(self, progress: Progress | bool | None = None, *, tables: bool | None = None) -> int:
        """Commit, and write all codes to one file without those that were removed, and the tables over them.

        Searches go on meanwhile, here and elsewhere; changes wait. Needs room for a second copy of what is written.
        Checksums of what is copied are compared first.

        Parameters
        ----------
        progress : callable or True, optional
            Called as ``progress(share, what)``, as by ``Index.optimize``. True writes to stderr.
        tables : bool, optional
            Whether tables are written, as ``Index.optimize`` builds them: they are searched where they lie from the
            first query after opening on, and take up to 48 bytes a code in the file; building them takes memory as
            said there. By default, if this collection has tables, in its file or by ``optimize``.

        Returns
        -------
        int
            The generation.

        Raises
        ------
        FormatError
            A file is damaged: nothing was changed.
        MemoryError
            Tables need more memory than there is: nothing was changed.
        InputError, OSError
            As for ``commit``.
        """
        tell = listener(progress)
        with self._changes.here:
            writer = self._check_writer()
            files, segments = self._state.files.values(), self._snapshot.segments
            if tables is None:
                tables = any(isinstance(segment, Multi) for segment in segments)
            stored = any(file.tables is not None for file in files)
            whole = not self.changed and self._snapshot.alive is None and len(files) <= 1
            if whole and tables == stored:
                return self.generation
            snapshot, built = self._snapshot, None
            if tables:
                snapshot = snapshot.compacted()
                built = self._to_store(snapshot, lambda share, what: tell(_BUILDING * share, what))
                if built is None and whole and not stored:
                    return self.generation
            else:
                snapshot = state.without_tables(snapshot)
            begin = 0.0 if built is None else _BUILDING
            self._commit(
                writer, snapshot, anew=True, built=built,
                tell=lambda share: tell(begin + (1 - begin) * share, "writing codes"),
            )  # fmt: skip
            return self.generation

    def _to_store(self, snapshot: Snapshot, tell: Progress) -> Multi | None:
        """Tables over the whole blocks of a snapshot: those there are if they are over all and right, or new ones."""
        first = snapshot.segments[0] if snapshot.segments else None
        if isinstance(first, Multi) and len(first) == snapshot.n // BLOCK * BLOCK:
            with contextlib.suppress(FormatError):  # they may be of a file that was never verified
                check_tables(first, "")
                return first
        built, self._why = Index._built(self, snapshot, 0, thread_count(None), tell)
        return built if isinstance(built, Multi) else None

    def rollback(self) -> None:
        """Give up the changes since the last commit."""
        with self._changes.here:
            self._check_writer()  # a thread may have closed it while this one waited
            self._snapshot = self._state.snapshot

    def refresh(self) -> bool:
        """See the newest generation from now on; searches that run see the one with which they began.

        Returns
        -------
        bool
            Whether there was a newer one. The writer has the newest always.

        Raises
        ------
        FormatError, OSError
            As for ``open``: what was seen stays.
        """
        with self._changes.here:
            self._check_open()  # a thread may have closed it while this one waited
            if self._writer is not None:
                return False
            seen = self._state.manifest
            with contextlib.suppress(FileNotFoundError):
                if names.generations(self.path)[-1:] == [seen.generation] and is_read(
                    self.path / names.manifest_name(seen.generation), seen
                ):
                    return False
            before, now = self._state, state.open_newest(self.path, self._state)
            if (now.manifest.bits, now.manifest.bitorder) != (self.bits, self.bitorder):
                raise FormatError(f"{os.fspath(self.path)} is another collection now, of {now.manifest.bits} bits")
            if now.snapshot.closings == self._seen.closings == before.snapshot.closings:
                now = state.with_tables_of(self._seen, now)
            self._state, self._snapshot = now, now.snapshot
            return True

    def verify(self, progress: Progress | bool | None = None) -> None:
        """Read all files of this generation: checksums, and that ids are what they can be. Changes in memory are not.

        May run in a thread of its own while others search.

        Parameters
        ----------
        progress : callable or True, optional
            As for ``compact``.

        Raises
        ------
        FormatError
            Damage, and where it is.
        InputError
            The files of this generation were removed, since there is a newer one: refresh first.
        """
        self._check_open()
        seen, tell = self._state, listener(progress)
        try:
            read_manifest(self.path / names.manifest_name(seen.manifest.generation))
            state.verify(seen, lambda share: tell(share, "reading"))
        except FileNotFoundError as error:
            generation = seen.manifest.generation
            if names.generations(self.path)[-1:] != [generation]:
                message = f"generation {generation} was replaced and its files removed: refresh before verifying"
                raise InputError(message) from None
            raise FormatError(f"{error.filename} is missing") from None

    def stats(self) -> dict[str, Any]:
        """Numbers: generation, codes, those removed but still in files, files and bytes, bits, ids, stored tables."""
        self._check_open()
        generation = self._state
        manifest, snapshot = generation.manifest, self._snapshot if self.mode == "a" else generation.snapshot
        return {
            "generation": manifest.generation,
            "bits": self.bits,
            "codes": len(snapshot),
            "removed": dead(snapshot),
            "changed": self.changed,
            "ids": snapshot.ids.kind,
            "files": len(manifest.entries),
            "bytes": sum(entry.size for entry in manifest.entries),
            "codes_in_files": [entry.codes for entry in manifest.entries],
            "codes_in_tables": sum(len(file.tables) for file in generation.files.values() if file.tables is not None),
        }

    def close(self) -> None:
        """Commit, where this is the writer, and end: any other call is an error then. A failed commit leaves it open.

        Give changes up with ``rollback`` first. Arrays and copies that came from here stay.
        """
        with self._changes.here:  # not while another thread writes: the lock is given back
            if self._writer is not None and not self._closed and os.getpid() == self._writer.pid:
                self._commit_changes(self._writer)
            self._end()

    def __enter__(self: _Self) -> _Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            with self._changes.here:
                self._end()

    def _commit_changes(self, writer: Writer) -> None:
        if self.changed:
            anew = self._snapshot.closings != self._state.snapshot.closings
            self._commit(writer, self._snapshot, anew=anew)

    def _commit(
        self,
        writer: Writer,
        snapshot: Snapshot,
        *,
        anew: bool,
        tell: Tell = lambda share: None,
        built: Multi | None = None,
    ) -> None:
        self._state = writer.settled(self._state)
        self._state = writer.commit(self._state, snapshot, anew=anew, tell=tell, built=built)
        self._snapshot = self._state.snapshot
        writer.clean(self._state.manifest)

    def _check_writer(self) -> Writer:
        self._check_open()
        if self._writer is None:
            raise InputError(f"the collection {os.fspath(self.path)} was opened for reading: open it with mode='a'")
        self._writer.check()
        return self._writer
