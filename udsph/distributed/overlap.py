"""Whether an id is in two index files that are searched as one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from udsph.distributed.calls import Calls
from udsph.distributed.source import Source
from udsph.errors import InputError
from udsph.hamming.collection.manifest import Manifest

_KEYS = 1 << 22  # ids that are compared at a time


def check_ids_apart(source: Source, calls: Calls) -> None:
    """Raise if two index files have an id in common that may have one code only.

    Ids in ranges that do not meet are apart. Of others all keys come here, some at a time.

    Raises
    ------
    InputError
        An id is there twice; the message names it and the files.
    """
    if len(source.files) < 2 or source.multi or source.ids not in ("integers", "strings"):
        return  # the writer of a collection has looked
    _check(source, calls)


def check_distinct(place: str, manifest: Manifest) -> None:
    """Raise if an id is twice in a collection whose files were written apart from one another."""
    from udsph.distributed.actors import Pool, RayCalls

    source = Source((place,), manifest.bits, manifest.bitorder, False, manifest.ids, 0, (), manifest)
    pool = Pool(1, None, None)
    try:
        calls = RayCalls(pool, source.specs(len(manifest.entries), False))
        calls.open()
        _check(source, calls)
    finally:
        pool.close()


def _check(source: Source, calls: Calls) -> None:
    nothing: list[tuple[Any, ...] | None] = [()] * len(calls.specs)
    ranges = sorted(itertools.chain.from_iterable(calls.each("id_ranges", nothing)))
    if source.ids == "integers" and all(low[1] < high[0] for low, high in itertools.pairwise(ranges)):
        return
    buckets = -(-source.positions // _KEYS)
    for bucket in range(buckets):
        keys = np.sort(np.concatenate(calls.each("id_keys", [(bucket, buckets)] * len(calls.specs))))
        again = np.unique(keys[1:][keys[1:] == keys[:-1]])
        for key in again.tolist():
            found = list(itertools.chain.from_iterable(calls.each("holders", [(key,)] * len(calls.specs))))
            _refuse_twice(found)


def _refuse_twice(found: list[tuple[Any, str]]) -> None:
    """Ids that share a key, and their files: strings may be different ones."""
    seen: dict[Any, str] = {}
    for id, place in found:
        if id in seen:
            where = "is given twice" if seen[id] == place else f"is in {seen[id]} and in {place}"
            raise InputError(f"the id {id!r} {where}; each id may have one code only")
        seen[id] = place
