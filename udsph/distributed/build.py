"""A collection written by many tasks at once: each writes one file of codes, the manifest comes last."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import tempfile
from pathlib import Path
from typing import Any

from udsph.checks import check_int
from udsph.distributed import cluster, places, rows
from udsph.errors import InputError
from udsph.hamming import FlatIndex
from udsph.hamming.codes import BitOrder, check_bitorder, check_bits
from udsph.hamming.collection import changes
from udsph.hamming.collection import folder as names
from udsph.hamming.collection.manifest import Entry, Manifest, write_manifest
from udsph.hamming.collection.segment_file import write_segment
from udsph.hamming.collection.writer import Writer, new_folder
from udsph.hamming.filters import BLOCK

_AT_ONCE = 1 << 20  # codes that a task adds at a time


def build(
    codes: Any,
    path: Any,
    *,
    shards: int | None,
    bits: int | None,
    bitorder: BitOrder,
    ids: Any,
    multi: bool,
    keep: int,
    code_column: str,
    id_column: str | None,
) -> Manifest:
    """Write a collection of one file for each shard; see ``ShardedIndex.build``."""
    if shards is not None:
        shards = check_int(shards, "shards", 1)
    order = check_bitorder(bitorder)
    source = rows.of(codes, ids, code_column, id_column)
    if bits is None:
        bits = source.bits
        if bits is None:
            raise InputError("bits must be given: codes of this form do not say how wide they are")
    bits = check_bits(bits)
    wanted = shards or len(cluster.nodes())
    blocks = -(-source.n // BLOCK)
    cuts = sorted({min(source.n, BLOCK * (blocks * i // wanted)) for i in range(wanted + 1)})
    place = places.name_of(path)
    with _claimed(place, bits, order, multi, keep) as first:
        work = cluster.ray().remote(num_cpus=1, max_retries=8)(_write)
        spans = list(itertools.pairwise(cuts))
        under_way = [
            work.remote(place, names.new_segment_name(), source.between(begin, end), bits, order, multi)
            for begin, end in spans
        ]
        entries, kinds = [], []
        for span, (entry, kind) in zip(spans, _got(under_way), strict=True):
            assert entry.codes == span[1] - span[0]
            entries.append(entry)
            kinds.append(kind)
        manifest = first._replace(
            generation=first.generation + 1,
            ids=kinds[0] if kinds else first.ids,
            next_id=source.n if not kinds or kinds[0] == "positions" else 0,
            entries=tuple(entries),
        )
        if source.named and not multi:
            from udsph.distributed.overlap import check_distinct

            check_distinct(place, manifest)
        _publish(place, manifest)
    return manifest


class _claimed:
    """A new folder for a collection, or an empty place at a URI; removed again where the block fails."""

    def __init__(self, place: str, bits: int, order: BitOrder, multi: bool, keep: int) -> None:
        self._place = place
        self._writer: Writer | None = None
        self._first = Manifest(0, bits, order, multi, "positions", 0, keep, 0, (), None, secrets.token_hex(8))

    def __enter__(self) -> Manifest:
        if places.is_uri(self._place):
            with contextlib.suppress(FileNotFoundError):
                if places.names_in(self._place):
                    raise InputError(f"{self._place} is there already; give the place of a new or an empty folder")
            return self._first
        folder = new_folder(self._place)
        self._writer = Writer(folder, durable=True)
        try:
            first = self._first
            self._first = self._writer.make(first.bits, first.bitorder, first.multi, first.keep).manifest
        except BaseException:
            self._writer.release()
            raise
        return self._first

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None:
            if self._writer is not None:
                self._writer.release()
            return
        if self._writer is None:
            with contextlib.suppress(OSError, ValueError):
                for name in places.names_in(self._place):
                    places.remove(places.joined(self._place, name))
            return
        folder = Path(self._place)
        names.clean(folder, ())
        self._writer.release()
        with contextlib.suppress(OSError):
            (folder / names.LOCK).unlink(missing_ok=True)
            folder.rmdir()


def _publish(place: str, manifest: Manifest) -> None:
    if not places.is_uri(place):
        changes.publish(Path(place), manifest, durable=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        name = names.manifest_name(manifest.generation)
        write_manifest(Path(folder) / name, manifest, durable=False)
        places.write(places.joined(place, name), Path(folder) / name)


def _got(references: list[Any]) -> list[Any]:
    engine = cluster.ray()
    try:
        return engine.get(references)
    except engine.exceptions.RayTaskError as error:
        for reference in references:
            engine.cancel(reference, force=True)
        raise (error.cause if isinstance(error.cause, Exception) else error) from None


def _write(place: str, name: str, part: rows.Rows, bits: int, order: BitOrder, multi: bool) -> tuple[Entry, str]:
    """In a task: one file of codes."""
    index = FlatIndex(bits, bitorder=order, multi=multi)
    for begin in range(0, part.n, _AT_ONCE):
        codes, ids = part.read(begin, min(part.n, begin + _AT_ONCE))
        index.add(codes, ids)
    with contextlib.ExitStack() as stack:
        remote = places.is_uri(place)
        folder = stack.enter_context(tempfile.TemporaryDirectory()) if remote else place
        target = Path(folder) / name
        written = write_segment(target, index._snapshot, 0, durable=not remote)
        if remote:
            places.write(places.joined(place, name), target)
    return Entry(name, len(index), *written), index._snapshot.ids.kind
