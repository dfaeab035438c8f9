"""How the codes of a source come into a collection: in batches, each with ids that occur once, committed in steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.collection.formats import Batch, Source
from udsph.hamming.flat import FlatIndex
from udsph.hamming.segments import Duplicates

if TYPE_CHECKING:
    from udsph.hamming.collection.exchange import Exchange

MOST_UNCOMMITTED = 1 << 27  # bytes of codes and ids that an import holds in memory


def run(collection: Exchange, source: Source, duplicates: Duplicates, tell: Callable[[float, str], object]) -> int:
    """Append the codes of a source and commit them; returns how many there were."""
    count, uncommitted, size = 0, 0, (collection.bits + 7) // 8 + 8
    for batch in _gathered(source.batches, MOST_UNCOMMITTED // size):
        codes, ids = batch.codes, batch.ids
        if ids is None or duplicates == "error":
            collection.add(codes, ids)
        else:
            if not collection.multi:
                codes, ids = _distinct(codes, ids, first=duplicates == "keep")
            part = FlatIndex(collection.bits, bitorder=collection.bitorder, multi=collection.multi)
            part.add(codes, ids)
            collection.merge(part, duplicates=duplicates)
        count += len(batch.codes)
        uncommitted += len(batch.codes)
        tell(batch.share, "reading codes")
        if uncommitted * size > MOST_UNCOMMITTED:
            collection.commit()
            uncommitted = 0
    collection.commit()
    tell(1.0, "reading codes")
    return count


def _gathered(batches: Iterator[Batch], most: int) -> Iterator[Batch]:
    """Batches whose ids are integers, several at once: each comparison with the ids that are there costs."""
    held: list[Batch] = []
    for batch in batches:
        if not isinstance(batch.ids, np.ndarray) or (held and held[0].codes.shape[1:] != batch.codes.shape[1:]):
            yield from _joined(held)
            yield batch
            held = []
            continue
        held.append(batch)
        if sum(len(part.codes) for part in held) >= most:
            yield from _joined(held)
            held = []
    yield from _joined(held)


def _joined(held: list[Batch]) -> Iterator[Batch]:
    if len(held) == 1:
        yield held[0]
    elif held:
        codes, ids = (np.concatenate([part[i] for part in held]) for i in (0, 1))
        yield Batch(codes, ids, held[-1].share)


def _distinct(codes: Any, ids: Any, *, first: bool) -> tuple[Any, Any]:
    """The first or the last code of every id, in the order in which they came."""
    if isinstance(ids, np.ndarray):
        given: NDArray[Any] = ids if first else ids[::-1]
        _, places = np.unique(given, return_index=True)
        kept = np.sort(places if first else len(ids) - 1 - places)
    else:
        found: dict[Any, int] = {}
        for place, id in enumerate(ids):
            if not first or id not in found:
                found[id] = place
        kept = np.sort(np.fromiter(found.values(), np.int64, len(found)))
    if len(kept) == len(ids):
        return codes, ids
    return codes[kept], ids[kept] if isinstance(ids, np.ndarray) else [ids[place] for place in kept.tolist()]
