"""The index that grows: flat segments, and after ``optimize`` segments with tables, behind the same calls."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.codes import BitOrder
from udsph.hamming.filters import BLOCK
from udsph.hamming.flat import FlatIndex
from udsph.hamming.multi import Multi, build
from udsph.hamming.segments import Segment, Snapshot, extended
from udsph.threads import thread_count

Kind = Literal["auto", "flat", "multi"]

_LEAST = 1 << 14  # codes below which a scan takes microseconds
_MOST = (1 << 32) - 1  # codes of one set of tables
_WIDEST = 1024  # bits


class Index(FlatIndex):
    """Exact index that looks up instead of scanning where that is faster; the same calls and results as ``FlatIndex``.

    New codes are scanned, as in a ``FlatIndex``. ``optimize`` builds tables over all codes there are (multi-index
    hashing); codes that come later are scanned again until the next ``optimize``. Each search decides query by query
    whether the tables or the scan answer it, by costs that were measured when the tables were built.

    Parameters
    ----------
    bits : int
        Width of the codes, 1 to 8192.
    bitorder : {"little", "big"}
        As for ``FlatIndex``.
    kind : {"auto", "flat", "multi"}
        What ``optimize`` does: builds tables where they help queries that are like the codes, never, or always.
    multi : bool
        Whether one id may have several codes, as for ``FlatIndex``.

    Notes
    -----
    Tables need native code and codes of at most 1024 bits; elsewhere ``optimize`` leaves the scan. They live in
    memory: ``save`` and ``pickle`` write the codes alone.

    Examples
    --------
    >>> import numpy as np
    >>> import udsph.hamming as hamming
    >>> rng = np.random.default_rng(0)
    >>> codes = hamming.pack(rng.normal(size=(50_000, 64)))
    >>> index = hamming.Index(64)
    >>> index.add(codes)
    >>> index.optimize()
    >>> distances, ids = index.search(codes[:3], k=1)
    >>> ids[:, 0]
    array([0, 1, 2])
    """

    def __init__(self, bits: int, *, bitorder: BitOrder = "little", kind: Kind = "auto", multi: bool = False) -> None:
        if kind not in ("auto", "flat", "multi"):
            raise InputError(f"kind must be 'auto', 'flat' or 'multi', got {kind!r}")
        super().__init__(bits, bitorder=bitorder, multi=multi)
        self.kind = kind

    def __repr__(self) -> str:
        tables = sum(len(part) for part in self._snapshot.segments if isinstance(part, Multi))
        return (
            f"Index(bits={self.bits}, bitorder={self.bitorder!r}, kind={self.kind!r}, {len(self)} codes, "
            f"{tables} in tables)"
        )

    def optimize(self, *, threads: int | None = None) -> None:
        """Build tables over all codes, in place of those there are.

        Other threads search and change the index meanwhile. Ctrl-C or a lack of memory leave it as it was. Tables of
        64-bit codes take up to 48 bytes a code beside the codes, and during the building twice as much.

        Parameters
        ----------
        threads : int, optional
            Default: see ``FlatIndex.search``.
        """
        count = thread_count(threads)
        while True:
            with self._changes.here:
                self._snapshot = snapshot = self._snapshot.compacted()
            built = self._built(snapshot, count)
            if built is None:
                return
            with self._changes.here:
                now = self._snapshot
                if now.closings == snapshot.closings:  # positions are those of the tables
                    self._snapshot = _with_tables(now, built)
                    return

    def _built(self, snapshot: Snapshot, threads: int) -> Segment | None:
        """The whole blocks of all segments with tables, or None where there shall be none."""
        blocks = snapshot.n // BLOCK
        if self.kind == "flat" or self.bits > _WIDEST or blocks == 0 or blocks * BLOCK > _MOST:
            return None
        if backend.name() != "native" or (self.kind == "auto" and snapshot.n < _LEAST):
            return None
        plain = [part.segment if isinstance(part, Multi) else part for part in snapshot.segments]
        return build(snapshot.empty.joined(plain).part(0, blocks), threads, always=self.kind == "multi")

    def _take(self, contents: Any) -> None:
        super()._take(contents)
        self.kind = "auto"


def _with_tables(now: Snapshot, built: Segment) -> Snapshot:
    """A state with its first codes in the segment with tables, and the others behind."""
    rest = now.read_positions(np.arange(len(built), now.n))
    segments: tuple[Segment, ...] = (built,)
    if len(rest):
        segments = extended(segments, now.empty, rest)
    return Snapshot(now.empty, segments, now.ids, now.alive, now.closings)
