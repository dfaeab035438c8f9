"""All pairs of codes within a radius, of one set or of two, and what they connect."""

from __future__ import annotations

import itertools
import math
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
from udsph.threads import thread_count

Codes = NDArray[np.uint8]
Words = NDArray[np.uint64]

_CAPACITY = 1 << 22  # pairs of a block
_JOINED = 2  # pairs a code that one join may find, where that is more: a pass over the codes should be worth it
_MOST_CODES = (1 << 32) - 1  # of a join
_MOST_CHUNKS = 32
_MOST_TABLES = 400
_SAMPLES = 3000  # codes among which pairs that share a bucket are counted
_TRIED = 12  # tables of a plan that are tried on them
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

# In ns of one thread, roughly: what is left to choose by them differs tenfold.
_PLACED = 20.0  # a code brought into its bucket
_COMPARED = 0.3  # two codes of one word compared within a bucket
_SCANNED = 0.05  # two codes of one word compared by a scan
_STARTED = 1e6  # a table, whatever its size


class Pairs(NamedTuple):
    """A block of pairs.

    left, right : (m,) int64, positions (of an index: ids) in the first set and in the second, or of two of the one set
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
        Of the bits in a packed byte of an array.
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
    Where the radius is small against the width, buckets of codes that agree in some of their bits are joined (see
    ``csrc/hamming/pairs.h``), else one set is scanned for each code of the other; which of both is estimated from a
    sample. A join takes 16 bytes a code beside them, and up to 44 for each of the pairs that it finds at a time: twice
    as many as there are codes, at least 4,194,304, or all of one code.

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
        bits, bitorder = codes.bits, codes.bitorder
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
        bits, bitorder = codes.bits, codes.bitorder
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
    masks = _plan(rows, rows, radius, bits, len(rows) * (len(rows) - 1) / 2)
    if masks is not None:
        return _joined(_words(rows), 0, len(rows), masks, radius, threads)
    return _scanned(rows, rows, radius, bits, threads, within=True)


def _between(rows: Codes, others: Codes, radius: int, bits: int, threads: int) -> Iterator[Pairs]:
    """Positions and distances of the pairs of two sets."""
    if len(rows) == 0 or len(others) == 0:
        return iter(())
    masks = _plan(rows, others, radius, bits, len(rows) * len(others))
    if masks is not None:
        both = _words(np.concatenate([rows, others]))
        moved = _joined(both, len(rows), len(rows), masks, radius, threads)
        return (Pairs(left, right - len(rows), distances) for left, right, distances in moved)
    return _scanned(rows, others, radius, bits, threads, within=False)


def _joined(words: Words, first_right: int, count: int, masks: Words, radius: int, threads: int) -> Iterator[Pairs]:
    """Pairs by native joins: one for all codes, or where they are too many, one for as many codes as a block has room
    for.
    """
    begin, end, capacity = 0, count, max(_CAPACITY, _JOINED * len(words))
    while begin < count:
        left, right, distances, done = backend.module().join_pairs(
            words, first_right, begin, end, masks, radius, capacity, threads
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


def _words(rows: Codes) -> Words:
    """Packed rows as rows of whole words, in place where they are."""
    width = -(-rows.shape[1] // 8) * 8
    if rows.shape[1] != width:
        padded = np.zeros((len(rows), width), np.uint8)
        padded[:, : rows.shape[1]] = rows
        rows = padded
    return np.ascontiguousarray(rows).view("<u8").astype(np.uint64, copy=False)


def _plan(rows: Codes, others: Codes, radius: int, bits: int, compared: float) -> Words | None:
    """Masks of the chunks (chunks, words) of the cheapest join, or None where a scan is cheaper or all there is."""
    n = len(rows) + (0 if others is rows else len(others))
    if backend.name() != "native" or n > _MOST_CODES or compared == 0:
        return None
    words = -(-bits // 64)
    best, cheapest = None, _SCANNED * words * compared + _STARTED
    sample = _words(np.concatenate([part[:: max(1, len(part) // _SAMPLES)][:_SAMPLES] for part in (rows, others)]))
    for chunks in range(radius + 1, min(bits, _MOST_CHUNKS) + 1):
        tables = math.comb(chunks, radius)
        fixed = tables * (_STARTED + _PLACED * (1 + words / 4) * n)
        if tables > _MOST_TABLES or fixed > cheapest:
            break
        for masks in _cuts(bits, chunks, words):
            cost = fixed + tables * _shared(sample, masks, radius) * compared * _COMPARED * (1 if words == 1 else 20)
            if cost < cheapest:
                best, cheapest = masks, cost
    return best


def _cuts(bits: int, chunks: int, words: int) -> Iterator[Words]:
    """Two ways to cut a code into chunks: bits that follow each other, and bits from everywhere."""
    for chunk_of in (np.arange(bits) * chunks // bits, np.arange(bits) % chunks):
        masks = np.zeros((chunks, 64 * words), np.uint8)
        masks[chunk_of, np.arange(bits)] = 1
        yield np.packbits(masks, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def _shared(sample: Words, masks: Words, radius: int) -> float:
    """Share of pairs of the sample that meet in a table, on average over some of the tables."""
    choices = list(itertools.combinations(range(len(masks)), len(masks) - radius))
    total, n = 0.0, len(sample)
    for choice in choices[:: max(1, len(choices) // _TRIED)][:_TRIED]:
        mask = np.bitwise_or.reduce(masks[list(choice)], axis=0)
        keys = np.zeros(n, np.uint64)
        for word in range(sample.shape[1]):
            keys = (keys ^ (sample[:, word] & mask[word])) * _MULTIPLIER
            keys ^= keys >> np.uint64(32)
        sizes = np.unique(keys, return_counts=True)[1]
        total += float((sizes * (sizes - 1)).sum()) / max(1, n * (n - 1))
    return total / min(len(choices), _TRIED)


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
