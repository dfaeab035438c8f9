"""The one writer of a collection: it makes the folder, commits, and removes what nobody needs."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from udsph.errors import InputError
from udsph.files import sync_file, sync_folder
from udsph.hamming.codes import BitOrder
from udsph.hamming.collection import changes, state
from udsph.hamming.collection import folder as names
from udsph.hamming.collection.lock import WriterLock
from udsph.hamming.collection.manifest import Manifest, read_manifest
from udsph.hamming.collection.state import State
from udsph.hamming.collection.tables import bytes_of
from udsph.hamming.multi import Multi
from udsph.hamming.segments import Snapshot
from udsph.hamming.storage import FormatError

Tell = Callable[[float], object]


class Writer:
    """Holds the lock of a folder. Whoever makes one releases it."""

    def __init__(self, folder: Path, *, durable: bool, takeover: bool = False) -> None:
        self.pid = os.getpid()
        self._folder = folder
        self._durable = durable
        self._synced: set[str] = set()  # files that this writer has synced
        self._published: State | None = None
        self._lock = WriterLock(folder / names.LOCK, takeover=takeover)

    def make(self, bits: int, bitorder: BitOrder, multi: bool, keep: int) -> State:
        """Write the first generation, without codes."""
        if not names.is_vacant(self._folder):
            raise InputError(f"{os.fspath(self._folder)} was made a collection by another process meanwhile")
        first = Manifest(0, bits, bitorder, multi, "positions", 0, keep, 0, (), None, secrets.token_hex(8))
        try:
            changes.publish(self._folder, first, durable=self._durable)
            if self._durable:
                sync_folder(self._folder.parent)
        except BaseException:
            changes.take_back(self._folder, first, None)
            raise
        return state.state_of(self._folder, first)

    def check(self) -> None:
        """Raise in a fork of the process that opened the collection."""
        if os.getpid() != self.pid:
            raise InputError(
                f"this collection was opened for writing by process {self.pid}, of which this one is a fork; "
                "open it again here when that one is closed"
            )

    def commit(
        self,
        before: State,
        snapshot: Snapshot,
        *,
        anew: bool,
        tell: Tell = lambda share: None,
        built: Multi | None = None,
    ) -> State:
        """Make a snapshot the next generation.

        Parameters
        ----------
        before : State
            The last generation.
        anew : bool
            Write all codes to one file, without those that were removed. Otherwise the snapshot begins with the
            positions of the last generation.
        tell : callable
            Is told of the share that is done of writing anew.
        built : Multi, optional
            Tables over the whole blocks of a snapshot from which nothing was removed, to be written with it.

        Raises
        ------
        InputError
            The lock was lost, or somebody else has committed.
        FormatError, OSError
            What was to be copied is damaged; the disk is full or fails. The last generation stands.
        """
        self._lock.check()
        changes.check_newest(self._folder, before.manifest.generation)
        if anew:
            done, total = 0, len(snapshot) * ((snapshot.bits + 7) // 8) + (0 if built is None else bytes_of(built))

            def told(count: int) -> None:
                nonlocal done
                done += count
                tell(min(1.0, done / max(1, total)))

            manifest = changes.write_anew(
                self._folder, before, snapshot, durable=self._durable, progress=told, built=built
            )
        else:
            manifest = changes.write_changes(self._folder, before, snapshot, durable=self._durable)
        try:
            if anew:
                now = state.state_of(self._folder, manifest, closings=snapshot.closings + 1)
            else:
                now = state.state_of(self._folder, manifest, before, snapshot.ids, snapshot.closings)
            if not anew or (snapshot.alive is None and built is None):  # positions are as they were
                now = state.with_tables_of(snapshot, now)
            if self._durable:
                self._sync(before.manifest, manifest)
            changes.publish(self._folder, manifest, durable=self._durable)
            self._published = now
        except BaseException:
            published = self._published
            if published is None or published.manifest is not manifest:
                changes.take_back(self._folder, manifest, before.manifest)
            raise
        return now

    def settled(self, before: State) -> State:
        """The last generation: that of the caller, or, where Ctrl-C came before it took the next one, that one."""
        after = self._published
        return before if after is None or after.manifest.generation <= before.manifest.generation else after

    def _sync(self, before: Manifest, manifest: Manifest) -> None:
        """Sync files of earlier generations, which may be of a writer that did not."""
        named = {entry.file for entry in manifest.entries}
        unknown = named & {entry.file for entry in before.entries} - self._synced
        for name in unknown:
            sync_file(self._folder / name)
        if unknown:
            sync_folder(self._folder)  # their names, before a manifest names them
        self._synced = named

    def clean(self, newest: Manifest) -> None:
        """Remove the files of generations that do not stay, and what a writer left that was stopped.

        What cannot be removed now is removed by the next commit or the next writer.
        """
        with contextlib.suppress(FormatError, OSError):  # of an old manifest: nobody can say which files it needs
            stay = names.generations(self._folder)[-newest.keep :]
            needed = {names.manifest_name(generation) for generation in stay}
            for generation in stay:
                place = self._folder / names.manifest_name(generation)
                manifest = newest if generation == newest.generation else read_manifest(place)
                needed |= {entry.file for entry in manifest.entries}
            names.clean(self._folder, needed)

    def release(self) -> None:
        """Let another write."""
        self._lock.release()


def new_folder(path: Any) -> Path:
    """Make a folder for a collection, or take an empty one.

    Raises
    ------
    InputError
        Something is there already.
    OSError
        The folder that it would be in is missing, or the system refuses.
    """
    folder = Path(os.path.abspath(path))
    try:
        os.mkdir(folder)
    except FileExistsError:
        if not folder.is_dir() or not names.is_vacant(folder):
            message = f"{os.fspath(path)} is there already; give the path of a new or an empty folder"
            raise InputError(message) from None
    return folder
