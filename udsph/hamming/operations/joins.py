"""All pairs of codes within a radius, of one set or of two, and what they connect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.codes import BitOrder, as_codes, check_bitorder, width_of
from udsph.hamming.filters import BLOCK
from udsph.hamming.flat import FlatIndex
from udsph.hamming.operations.join_plans import Plan, make_plan, words_of
from udsph.threads import thread_count

Codes = NDArray[np.uint8]
Words = NDArray[np.uint64]

_CAPACITY = 1 << 22  # pairs of a block
_JOINED = 2  # pairs a code that one join may find, where that is more: a pass over the codes should be worth it


class Pairs(NamedTuple):
    """A block of pairs.

    left, right : (m,) int64, positions in the first set and in the second, or of two of the one set; of an index: ids
    distances : (m,) int32
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    distances: NDArray[np.int32]


def pairs(
    codes: Any,
    radius: int,
    *,
    other: Any = None,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
) -> Iterator[Pairs]:
    """Find all pairs of codes within a radius.

    Parameters
    ----------
    codes : (n, width) array or index
        In the forms of ``FlatIndex``; an index, whose ids then name the codes, is taken as it is at the call.
    radius : int
        Largest distance that counts, 0 or more.
    other : array or index, optional
        A second set: pairs are of a code of the first with one of the second. By default those of ``codes`` with
        itself, each once and with the earlier code first.
    bits : int, optional
        Width of a code where ``codes`` is no index; by default all bits of the rows, texts or bytes.
    bitorder : {"little", "big"}
        Of the bits in a packed byte; an array beside an index is in the order of the index.
    threads : int, optional
        Default: see ``FlatIndex.search``.

    Yields
    ------
    Pairs
        Blocks of pairs, sorted within and from block to block by the position of the first code, then by that of the
        second: one after the other they are the same on every machine. A block has from 1 to 4,194,304 pairs.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, dimension or width, or a negative radius: at the call, not at the first block.

    Notes
    -----
    Where the radius is small against the width, buckets of codes that agree or nearly agree in some of their bits are
    joined (see ``csrc/hamming/pairs.h``), else one set is scanned for each code of the other; what is cheapest is
    estimated from a sample. Beside the codes a join takes up to 16 bytes a code, or 4 and a copy of it, and up to 44
    for each pair that it finds at a time: of these at most four times as many as there are codes, or 8,388,608, or all
    of one code.

    Examples
    --------
    >>> import udsph.hamming as hamming
    >>> codes = hamming.pack([[1, 1, 1, 1], [-1, -1, -1, 1], [1, 1, -1, 1]])
    >>> for left, right, distances in hamming.pairs(codes, 1):
    ...     print(left, right, distances)
    [0] [2] [1]
    """
    radius, count = check_int(radius, "radius", 0), thread_count(threads)
    if isinstance(codes, FlatIndex):
        bits, bitorder = bits or codes.bits, codes.bitorder
    first, rows, bits = _taken(codes, bits, bitorder, "codes")
    radius = min(radius, bits)
    if other is None:
        found = _within(rows, radius, bits, count)
    else:
        second, others, _ = _taken(other, bits, bitorder, "other")  # of an index: in its own order of bits
        found = _between(rows, others, radius, bits, count)
    return _named(found, first, first if other is None else second)


def groups(
    codes: Any,
    radius: int,
    *,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
) -> NDArray[np.int64]:
    """Group codes that are connected by pairs within a radius: near-duplicates, and near-duplicates of these.

    Parameters
    ----------
    codes, radius, bits, bitorder, threads
        As for ``pairs``.

    Returns
    -------
    (n,) int64
        The group of every code by insertion order: connected components of the pairs, numbered from 0 by their first
        code.

    Raises
    ------
    TypeError, ValueError
        As for ``pairs``.

    Examples
    --------
    >>> import udsph.hamming as hamming
    >>> hamming.groups(hamming.pack([[1, 1, 1, 1], [-1, -1, -1, 1], [1, 1, -1, 1]]), 1)
    array([0, 1, 0])
    """
    radius, count = check_int(radius, "radius", 0), thread_count(threads)
    if isinstance(codes, FlatIndex):
        bits, bitorder = bits or codes.bits, codes.bitorder
    _, rows, bits = _taken(codes, bits, bitorder, "codes")
    components = (_native() or _Components)(len(rows))
    for left, right, _ in _within(rows, min(radius, bits), bits, count):
        components.link(left, right)
    return components.labels()


def _native() -> Any:
    return backend.module().Components if backend.name() == "native" else None


def _taken(values: Any, bits: int | None, bitorder: BitOrder, name: str) -> tuple[Any, Codes, int]:
    """What names the positions of codes (None: nothing), their packed rows, and their width."""
    if isinstance(values, FlatIndex):
        snapshot = values._snapshot
        if bits is not None and bits != snapshot.bits:
            raise InputError(f"{name} must be of {bits} bits, the index is of {snapshot.bits}")
        positions = snapshot.positions()
        return (snapshot.ids, positions), snapshot.read_positions(positions), snapshot.bits
    bits = width_of(values, bits, name)
    return None, as_codes(values, bits, check_bitorder(bitorder), name), bits


def _named(found: Iterator[Pairs], first: Any, second: Any) -> Iterator[Pairs]:
    for left, right, distances in found:
        yield Pairs(_ids(first, left), _ids(second, right), distances)


def _ids(names: Any, positions: NDArray[np.int64]) -> Any:
    return positions if names is None else names[0].at(names[1][positions])


def _within(rows: Codes, radius: int, bits: int, threads: int) -> Iterator[Pairs]:
    """Positions (i, j), i < j, and distances of a set's pairs."""
    plan = make_plan(rows, rows, radius, bits, len(rows) * (len(rows) - 1) / 2)
    if plan is not None:
        return _joined(words_of(rows), 0, len(rows), plan, radius, threads)
    return _scanned(rows, rows, radius, bits, threads, within=True)


def _between(rows: Codes, others: Codes, radius: int, bits: int, threads: int) -> Iterator[Pairs]:
    """Positions and distances of the pairs of two sets."""
    if len(rows) == 0 or len(others) == 0:
        return iter(())
    plan = make_plan(rows, others, radius, bits, len(rows) * len(others))
    if plan is not None:
        both = words_of(np.concatenate([rows, others]))
        moved = _joined(both, len(rows), len(rows), plan, radius, threads)
        return (Pairs(left, right - len(rows), distances) for left, right, distances in moved)
    return _scanned(rows, others, radius, bits, threads, within=False)


def _joined(words: Words, first_right: int, count: int, plan: Plan, radius: int, threads: int) -> Iterator[Pairs]:
    """Pairs by native joins: one for all codes, or where they are too many, one for as many codes as a block has room
    for.
    """
    begin, end, capacity = 0, count, max(_CAPACITY, _JOINED * len(words))
    while begin < count:
        left, right, distances, done = backend.module().join_pairs(
            words, first_right, begin, end, plan.masks, radius, plan.probed, capacity, threads
        )
        for first in range(0, len(left), _CAPACITY):
            block = slice(first, first + _CAPACITY)
            yield Pairs(left[block], right[block], distances[block])
        begin, end = done, min(count, done + 2 * (done - begin))


def _scanned(rows: Codes, others: Codes, radius: int, bits: int, threads: int, *, within: bool) -> Iterator[Pairs]:
    """Pairs by scanning one set for each code of the other, as many codes at a time as a block has room for."""
    segment = backend.empty_segment(bits).extended(others)
    begin, step = 0, max(1, min(BLOCK, _CAPACITY // max(1, len(others))))
    while begin < len(rows):
        end = min(begin + step, len(rows))
        base = begin // BLOCK * BLOCK if within and hasattr(segment, "part") else 0
        part = segment.part(base // BLOCK, -(-len(segment) // BLOCK)) if base else segment
        offsets, distances, right = part.range_search(rows[begin:end], radius, None, threads)
        left = np.repeat(np.arange(begin, end), np.diff(offsets))
        right = right + base
        if within:
            kept = right > left
            left, right, distances = left[kept], right[kept], distances[kept]
        order = np.lexsort((right, left))
        for first in range(0, len(order), _CAPACITY):
            block = order[first : first + _CAPACITY]
            yield Pairs(left[block], right[block], distances[block])
        most = max(1, _CAPACITY // max(1, int(np.diff(offsets).max())))
        begin, step = end, max(1, min(2 * step, most, 8 * BLOCK))


class _Components:
    """Connected components without native code; see ``csrc/hamming/pairs.h``."""

    def __init__(self, n: int) -> None:
        self._parents = np.arange(n)

    def link(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """Connect members, in rounds: each takes the lowest root that a link leads to, then shortens its way."""
        while len(left):
            a, b = self._parents[left], self._parents[right]
            apart = a != b
            left, right, a, b = left[apart], right[apart], a[apart], b[apart]
            np.minimum.at(self._parents, np.maximum(a, b), np.minimum(a, b))
            self._shorten()

    def _shorten(self) -> None:
        while True:
            further = self._parents[self._parents]
            if (further == self._parents).all():
                return
            self._parents = further

    def labels(self) -> NDArray[np.int64]:
        """Labels by the first member."""
        self._shorten()
        return np.unique(self._parents, return_inverse=True)[1].astype(np.int64)
