"""The index that grows: flat segments, and after ``optimize`` segments with tables, behind the same calls."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from udsph import memory
from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.codes import BitOrder
from udsph.hamming.filters import BLOCK
from udsph.hamming.flat import FlatIndex
from udsph.hamming.holding import Holder
from udsph.hamming.multi import Multi, build
from udsph.hamming.segments import Duplicates, Segment, Snapshot, extended
from udsph.threads import thread_count

Kind = Literal["auto", "flat", "multi"]

_LEAST = 1 << 14  # codes below which a scan takes microseconds
_MOST = (1 << 32) - 1  # codes of one set of tables
_WIDEST = 1024  # bits
_SEVERAL = 4  # times as large as the new tables are those that stay
_UNSCANNED = 1 << 15  # codes after the tables that get some of their own: a scan takes longer than a lookup
_SMALL = 1 << 20  # codes of tables that additions make anew, which takes a fraction of a second
_BUILDING = 0.9  # of the work of optimize; the rest measures
_UNASKED = "optimize was not called"

Progress = Callable[[float, str], object]


class Index(FlatIndex):
    """Exact index that looks up instead of scanning where that is faster; the same calls and results as ``FlatIndex``.

    New codes are scanned, as in a ``FlatIndex``. ``optimize`` builds tables over all codes there are (multi-index
    hashing). Codes that come later are scanned until there are some ten thousand; then ``add`` builds small tables over
    them, so that a query costs about as much as before, and the next ``optimize`` makes one set of all. Each search
    decides query by query whether the tables or the scan answer it, by costs that were measured when the tables were
    built.

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
        self._why = _UNASKED

    def __repr__(self) -> str:
        tables = sum(len(part) for part in self._snapshot.segments if isinstance(part, Multi))
        return (
            f"Index(bits={self.bits}, bitorder={self.bitorder!r}, kind={self.kind!r}, {len(self)} codes, "
            f"{tables} in tables)"
        )

    def optimize(
        self, *, threads: int | None = None, progress: Progress | bool | None = None, new_only: bool = False
    ) -> None:
        """Build tables over all codes, in place of those there are.

        Other threads search and change the index meanwhile. Ctrl-C, a lack of memory or an exception of ``progress``
        leave it as it was. Tables of 64-bit codes take up to 48 bytes a code beside the codes, and half as much again
        while they are built: how much is said before it is taken.

        Parameters
        ----------
        threads : int, optional
            Default: see ``FlatIndex.search``.
        progress : callable or True, optional
            Called as ``progress(share, what)`` with the share of the work that is done, from 0 to 1, and a text; first
            with the memory that the tables will take. True writes to stderr.
        new_only : bool
            Build tables over the codes that came since, beside those there are: a fraction of the time, and searches
            go through one more set of tables. Sets that are not several times as large are joined with the new one, so
            that there are few.

        Raises
        ------
        MemoryError
            The tables need more memory than there is; nothing was begun.
        """
        count, tell = thread_count(threads), listener(progress)
        while True:
            with self._changes.here:
                if not new_only:
                    self._snapshot = self._snapshot.compacted()
                snapshot = self._snapshot
            kept = _kept(snapshot) if new_only else 0
            built, reason = self._built(snapshot, kept, count, tell)
            if built is None:
                self._why = self._why if kept else reason
                tell(1.0, f"{'nothing is built' if kept else 'codes are scanned'}: {reason}")
                return
            if self._publish(snapshot, kept, built):
                self._why = reason
                break
        tell(1.0, f"{len(built):,} codes are in tables")

    def add(self, codes: Any, ids: Any = None) -> None:
        """Append codes, as ``FlatIndex.add`` does.

        After ``optimize`` many new codes get tables of their own, which takes about a microsecond a code.
        """
        super().add(codes, ids)
        self._look_up_new()

    def merge(self, other: Holder, *, duplicates: Duplicates = "error") -> None:
        """Append the codes of another index, as ``FlatIndex.merge`` does; see ``add``."""
        super().merge(other, duplicates=duplicates)
        self._look_up_new()

    def _look_up_new(self) -> None:
        """Tables over what is scanned beside tables, and over small sets of them, if it is much.

        They are left to the next addition where memory is short, or another thread has changed the segments meanwhile.
        """
        snapshot = self._snapshot
        scanned = sum(map(len, itertools.takewhile(_scanned, reversed(snapshot.segments))))
        if not _UNSCANNED <= scanned < snapshot.n:
            return
        kept = max(1, _kept(snapshot, _SMALL))
        try:
            built, _ = self._built(snapshot, kept, thread_count(None), lambda share, what: None)
        except MemoryError:
            return
        if built is not None:
            self._publish(snapshot, kept, built)

    def _publish(self, snapshot: Snapshot, kept: int, built: Segment) -> bool:
        """Put tables, built over a state that was, into the present one, unless positions have changed."""
        with self._changes.here:
            now = self._snapshot
            # Nor must anybody else have built some meanwhile.
            if now.closings != snapshot.closings or now.segments[:kept] != snapshot.segments[:kept]:
                return False
            self._snapshot = _with_tables(now, kept, built)
            return True

    def _reason_to_scan(self, snapshot: Snapshot) -> str | None:
        """Why no tables shall be built, if so."""
        if self.kind == "flat":
            return "kind='flat'"
        if backend.name() != "native":
            return f"tables need native code, and {backend.name()} serves here"
        if self.bits > _WIDEST:
            return f"codes have more than {_WIDEST} bits"
        least = _LEAST if self.kind == "auto" else BLOCK
        if snapshot.n < least:
            return f"there are fewer than {least:,} codes"
        if snapshot.n > _MOST:
            return "there are more than 2**32 - 1 codes"
        return None

    def _built(
        self, snapshot: Snapshot, kept: int, threads: int, tell: Callable[[float, str], object]
    ) -> tuple[Segment | None, str]:
        """The whole blocks of the segments from ``kept`` on with tables, or None where they are scanned, and why."""
        reason = self._reason_to_scan(snapshot)
        segments = snapshot.segments[kept:]
        blocks = sum(map(len, segments)) // BLOCK
        if reason is None and blocks == 0:
            reason = "no whole block of codes is new"
        if reason is not None:
            return None, reason
        n = blocks * BLOCK
        _, size, peak = backend.module().Tables.size_of(n, self.bits, 0, threads)
        needed = f"tables over {n:,} codes take up to {memory.size(size)}, and {memory.size(peak)} while they are built"
        left = memory.available()
        if left is not None and peak > left:
            raise MemoryError(f"{needed}, but {memory.size(left)} are free; free some, or leave the scan as it is")
        tell(0.0, needed)
        plain = [part.segment if isinstance(part, Multi) else part for part in segments]
        whole = snapshot.empty.joined(plain).part(0, blocks)
        costs = snapshot.segments[0].costs if kept and isinstance(snapshot.segments[0], Multi) else None
        always = self.kind == "multi" or costs is not None

        def share_of_building(share: float) -> None:
            tell(_BUILDING * share, "building")

        built = build(whole, threads, always=always, costs=costs, tell=share_of_building)
        if built is whole:
            return None, "in a sample of queries like the codes, a scan is faster for nearly all"
        if self.kind == "multi":
            return built, "kind='multi'"
        return built, "in a sample of queries like the codes, tables are faster"

    def _take(self, contents: Any) -> None:
        super()._take(contents)
        self.kind = "auto"
        self._why = _UNASKED


def listener(progress: Any) -> Callable[[float, str], object]:
    """What is called with share and text."""
    if progress is None or progress is False:
        return lambda share, what: None
    if progress is True:
        return _print
    if not callable(progress):
        raise TypeError(f"progress must be a callable or True, got {type(progress).__name__}")
    return progress


def _print(share: float, what: str) -> None:
    end = "\r" if sys.stderr.isatty() and share < 1 else "\n"
    if share in (0, 1) or end == "\r":
        print(f"{share:4.0%} {what:75}", end=end, file=sys.stderr, flush=True)


def _scanned(segment: Segment) -> bool:
    return not isinstance(segment, Multi)


def _kept(snapshot: Snapshot, most: int = _MOST) -> int:
    """How many segments stay where tables are built over new codes: large ones, that have tables."""
    count = len(snapshot.segments)
    while count and not isinstance(snapshot.segments[count - 1], Multi):
        count -= 1
    new = sum(map(len, snapshot.segments[count:]))
    if new < BLOCK:
        return count
    while count and len(snapshot.segments[count - 1]) <= min(_SEVERAL * new, most):
        count -= 1
        new += len(snapshot.segments[count])
    return count


def _with_tables(now: Snapshot, kept: int, built: Segment) -> Snapshot:
    """A state in which the segment with tables follows those that are kept; the other codes come behind."""
    segments = (*now.segments[:kept], built)
    rest = now.read_positions(np.arange(sum(map(len, segments)), now.n))
    if len(rest):
        segments = extended(segments, now.empty, rest)
    return Snapshot(now.empty, segments, now.ids, now.alive, now.closings)
