"""Pairs of codes within a radius over all shards: some codes of one at a time, with those of it and of later ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from udsph.distributed.snapshot import ShardedSnapshot
from udsph.hamming.operations.joins import Pairs

_CAPACITY = 1 << 22  # pairs of a block
_LEAST, _MOST = 1 << 14, 1 << 20  # codes of one shard that are joined at a time


def pairs(snapshot: ShardedSnapshot, radius: int, threads: int) -> Iterator[Pairs]:
    """Blocks of pairs in the order of the first code, then of the second; ids as the index has them."""
    calls, step = snapshot.calls, _LEAST
    radius = min(radius, snapshot.bits)
    for shard, (begin, end) in enumerate(zip(snapshot.ends.ranks, snapshot.ends.ranks[1:], strict=False)):
        first = 0
        while first < end - begin:
            last = min(end - begin, first + step)
            ranks = np.arange(first, last)
            mine: list[Any] = [(ranks,) if number == shard else None for number in range(len(calls.specs))]
            rows, places = calls.each("read", mine)[shard], calls.each("positions_at", mine)[shard]
            shared = calls.shared(rows, rows.nbytes)
            asked: list[Any] = [
                None if other < shard else (shared, first if other == shard else None, radius, threads)
                for other in range(len(calls.specs))
            ]
            found = _sorted(snapshot, calls.each("join", asked), places + snapshot.ends.positions[shard])
            for at in range(0, len(found.left), _CAPACITY):
                block = slice(at, at + _CAPACITY)
                ids = snapshot.ids.at(found.left[block]), snapshot.ids.at(found.right[block])
                yield Pairs(*ids, found.distances[block])
            room = _CAPACITY * step // max(1, len(found.left))
            first, step = last, max(_LEAST // 32, min(2 * step, room, _MOST))


def _sorted(snapshot: ShardedSnapshot, answers: list[Any], places: Any) -> Pairs:
    """Positions of all pairs of some codes, which lie at ``places``."""
    lefts, rights, near = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for blocks, base in zip(answers, snapshot.ends.positions, strict=False):
        for left, right, distances in blocks or ():
            lefts.append(places[left])
            rights.append(right + base)
            near.append(distances)
    left, right = np.concatenate(lefts), np.concatenate(rights)
    order = np.lexsort((right, left))
    return Pairs(left[order], right[order], np.concatenate(near)[order])
