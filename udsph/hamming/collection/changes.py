"""How a commit writes: what is new in a file of its own, with the small files before it, and the manifest at last."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from udsph.errors import InputError
from udsph.files import sync_folder
from udsph.hamming.collection import folder as names
from udsph.hamming.collection.manifest import Entry, Manifest, write_manifest
from udsph.hamming.collection.segment_file import Progress, write_compacted, write_segment
from udsph.hamming.collection.state import State
from udsph.hamming.filters import BLOCK
from udsph.hamming.multi import Multi
from udsph.hamming.segments import Snapshot

_RATIO = 4  # a file that is less than so many times as large as what follows it is written again with it
_MOST_REWRITTEN = 1 << 24  # bytes of codes and ids of such files in one commit


class Plan(NamedTuple):
    """Which files stay, and from which position on codes are written."""

    kept: tuple[Entry, ...]
    begin: int


def plan(manifest: Manifest, snapshot: Snapshot, tabled: Collection[str] = ()) -> Plan:
    """What to write so that the files hold a snapshot which begins with the positions of a manifest.

    Only the last file may end within a block, so the codes of such a block are written again with the new ones. Small
    files are written again too, so that there are few: their sizes fall by a factor from one to the next, but for those
    that are too large to be part of a quick commit.

    tabled : files with tables, which are not written again: that would lose the tables
    """
    kept, begin = list(manifest.entries), manifest.positions
    if begin == snapshot.n:
        return Plan(tuple(kept), begin)
    if kept and kept[-1].codes % BLOCK:
        last = kept.pop()
        whole = last.codes // BLOCK * BLOCK
        begin -= last.codes - whole
        if whole:
            kept.append(last._replace(codes=whole))
    size = (snapshot.bits + 7) // 8 + 8  # of a code and its id, more or less
    while kept and kept[-1].file not in tabled:
        both = snapshot.n - begin + kept[-1].codes
        if kept[-1].codes >= _RATIO * (snapshot.n - begin) or both * size > _MOST_REWRITTEN:
            break
        begin -= kept.pop().codes
    return Plan(tuple(kept), begin)


def write_changes(folder: Path, state: State, snapshot: Snapshot, *, durable: bool) -> Manifest:
    """Write what is new in a snapshot that begins with the positions of the state; returns the next manifest."""
    tabled = {name for name, file in state.files.items() if file.tables is not None}
    kept, begin = plan(state.manifest, snapshot, tabled)
    entries = kept
    if begin < snapshot.n:
        _verify_rewritten(state, begin)
        name = names.new_segment_name()
        written = write_segment(folder / name, snapshot, begin, durable=durable)
        entries = (*kept, Entry(name, snapshot.n - begin, *written))
    return _next(state.manifest, snapshot, entries, anew=False)


def write_anew(
    folder: Path,
    state: State,
    snapshot: Snapshot,
    *,
    durable: bool,
    progress: Progress | None = None,
    built: Multi | None = None,
) -> Manifest:
    """Write a snapshot without what was removed, and tables over it, in one file; returns the next manifest."""
    for file in state.files.values():
        file.verify(derived=False)
    entries: tuple[Entry, ...] = ()
    if len(snapshot):
        name = names.new_segment_name()
        written = write_compacted(folder / name, snapshot, durable=durable, progress=progress, built=built)
        entries = (Entry(name, len(snapshot), *written),)
    return _next(state.manifest, snapshot, entries, anew=True)


def _verify_rewritten(state: State, begin: int) -> None:
    """Compare checksums of what is copied from the files, so that no damage gets a new one."""
    base = 0
    for entry in state.manifest.entries:
        if begin < base + entry.codes:
            state.files[entry.file].verify(max(0, begin - base), derived=False)
        base += entry.codes


def _next(before: Manifest, snapshot: Snapshot, entries: tuple[Entry, ...], *, anew: bool) -> Manifest:
    """The next manifest.

    anew : whether the files are without what was removed
    """
    ids = snapshot.ids
    kind = ids.kind
    if not ids.custom and not (ids.positional and (snapshot.alive is None or not anew)):
        kind = "own"
    return before._replace(
        generation=before.generation + 1,
        epoch=before.epoch + anew,
        ids=kind,
        next_id=ids.next_id,
        entries=entries,
        alive=None if anew else snapshot.alive,
    )


def publish(folder: Path, manifest: Manifest, *, durable: bool) -> None:
    """Write a manifest under its name: from then on this is the newest generation."""
    write_manifest(folder / names.manifest_name(manifest.generation), manifest, durable=durable)


def take_back(folder: Path, manifest: Manifest, before: Manifest | None) -> None:
    """Remove a manifest that may be there or not, and then, if it is certain that it is not, its new file.

    A failure leaves files that the next commit or the next writer removes.
    """
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / names.manifest_name(manifest.generation))
        sync_folder(folder)
        old = set() if before is None else {entry.file for entry in before.entries}
        for name in {entry.file for entry in manifest.entries} - old:
            os.unlink(folder / name)


def check_newest(folder: Path, generation: int) -> None:
    """Raise if somebody else has committed."""
    newest = names.generations(folder)[-1:]
    if newest != [generation]:
        found = f"generation {newest[0]}" if newest else "no generation"
        raise InputError(
            f"{os.fspath(folder)} has {found}, this writer's last is {generation}: another writer was there; what was "
            "not committed here is lost, open the collection again"
        )
