"""How the pairs of a set are found: by a join of buckets whose codes agree, of close buckets, or by a scan.

Codes of 64 bits within 3 agree in one of four chunks of 16 bits, or in three of six. Where the radius is larger they
differ in few bits of some chunk: codes of 256 bits within 31 in at most one bit of one of 16. The joins are explained
in ``csrc/hamming/pairs.h``; the cheapest way is estimated from the codes themselves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import backend
from udsph.hamming.reference import POPCOUNT

Codes = NDArray[np.uint8]
Words = NDArray[np.uint64]

_MOST_CODES = (1 << 32) - 1  # of a join
_MOST_CHUNKS = 32
_MOST_TABLES = 400
_MOST_PROBED_BITS = 22  # of a chunk
_MOST_PROBES = 2000
_SAMPLES = 3000  # codes among which pairs that share a bucket are counted
_FEW_SAMPLES = 700  # and those that are in close ones
_TRIED = 12  # tables of a plan that are tried on them
_TRIED_CLOSE = 3  # plans with close buckets that are tried
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

# In ns of one thread, roughly: what is left to choose by them differs tenfold.
_PLACED = 20.0  # a code of one word brought into its bucket
_COMPARED = 0.3  # two codes of one word compared within a bucket
_SCANNED = 0.05  # two codes of one word compared by a scan
_PROBED = 5.0  # a code that looks into a close bucket
_STARTED = 1e6  # a table, whatever its size


class Plan(NamedTuple):
    """A join: the bits of every chunk (chunks, words), and whether close buckets are compared, or equal ones."""

    masks: Words
    probed: bool


def words_of(rows: Codes) -> Words:
    """Packed rows as rows of whole words, in place where they are."""
    width = -(-rows.shape[1] // 8) * 8
    if rows.shape[1] != width:
        padded = np.zeros((len(rows), width), np.uint8)
        padded[:, : rows.shape[1]] = rows
        rows = padded
    return np.ascontiguousarray(rows).view("<u8").astype(np.uint64, copy=False)


def make_plan(rows: Codes, others: Codes, radius: int, bits: int, compared: float) -> Plan | None:
    """The cheapest join of as many pairs as are ``compared``, or None where a scan is cheaper or all there is."""
    n = len(rows) + (0 if others is rows else len(others))
    if backend.name() != "native" or n > _MOST_CODES or compared == 0:
        return None
    words = -(-bits // 64)
    best, cheapest = None, _SCANNED * words * compared + _STARTED
    sample = words_of(np.concatenate([part[:: max(1, len(part) // _SAMPLES)][:_SAMPLES] for part in (rows, others)]))
    few = sample[:: max(1, len(sample) // _FEW_SAMPLES)][:_FEW_SAMPLES]
    for chunks in range(radius + 1, min(bits, _MOST_CHUNKS) + 1):
        tables = math.comb(chunks, radius)
        fixed = tables * (_STARTED + _PLACED * (1 + words / 4) * n)
        if tables > _MOST_TABLES or fixed > cheapest:
            break
        for masks in _cuts(bits, chunks, words):
            cost = fixed + tables * _shared(sample, masks, radius) * compared * _COMPARED * (1 if words == 1 else 20)
            if cost < cheapest:
                best, cheapest = Plan(masks, False), cost
    least = {  # of uniform codes: no others cost less
        chunks: _probing(None, bits, chunks, radius, n, compared)
        for chunks in range(max(radius // 3 + 1, -(-bits // _MOST_PROBED_BITS)), min(radius, bits) + 1)
    }
    for chunks in sorted(least, key=lambda chunks: least[chunks])[:_TRIED_CLOSE]:
        cost = _probing(few, bits, chunks, radius, n, compared) if least[chunks] < cheapest else math.inf
        if cost < cheapest:
            best, cheapest = Plan(next(_cuts(bits, chunks, words)), True), cost
    return best


def _probing(sample: Words | None, bits: int, chunks: int, radius: int, n: int, compared: float) -> float:
    """What a join of close buckets costs for codes like a sample, or for uniform ones."""
    words, cost = -(-bits // 64), 0.0
    kinds = {radius // chunks: radius % chunks + 1, radius // chunks - 1: chunks - radius % chunks - 1}
    for near, count in kinds.items():
        if near < 0 or count == 0:
            continue
        length = -(-bits // chunks)
        probes = sum(math.comb(length, flipped) for flipped in range(near + 1))
        if probes > _MOST_PROBES:
            return math.inf
        share = probes / 2**length
        if sample is not None:
            share = max(share, _close(sample, bits, chunks, near))
        fixed = _STARTED + _PLACED * words * n + _PROBED * probes * (n + 4 * min(n, 2**length))
        cost += count * (fixed + share * compared * 2 * _COMPARED * words)
    return cost


def _close(sample: Words, bits: int, chunks: int, near: int) -> float:
    """Share of pairs of the sample that differ in so many bits of a chunk at most: mean of the first and the last."""
    total, n = 0, len(sample)
    for chunk in (0, chunks - 1):
        values = np.unpackbits(sample.view(np.uint8), axis=1, count=bits, bitorder="little")
        part = np.packbits(values[:, bits * chunk // chunks : bits * (chunk + 1) // chunks], axis=1)
        differ = POPCOUNT[part[:, None] ^ part[None]].sum(axis=2, dtype=np.uint8)
        total += int((differ <= near).sum()) - n
    return total / max(1, 2 * n * (n - 1))


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
