"""What a state of an index has on a GPU beside its codes: ids that are not positions, and where codes were removed.

Brought there by the first search that needs it, and gone with the state; later ones wait for nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from udsph.hamming.gpu.memory import Buffer, copied
from udsph.threads import ForkSafeLock


class Alive(NamedTuple):
    """A bit per position that holds a code, and the number of codes before each word of 32."""

    words: Buffer
    before: Buffer


_held: weakref.WeakKeyDictionary[Any, dict[tuple[str, int], Any]] = weakref.WeakKeyDictionary()
_lock = ForkSafeLock()


def ids(snapshot: Any, device: int) -> Buffer:
    """The ids of all positions, int64."""
    n = snapshot.n
    return _once(snapshot, "ids", device, lambda: copied(snapshot.ids.column().values, device, f"ids of {n} codes"))


def alive(snapshot: Any, device: int) -> Alive:
    """Of a state some of whose codes were removed."""

    def made() -> Alive:
        words = np.zeros(-(-snapshot.n // 32), np.uint32)
        packed = np.packbits(snapshot.alive.mask(0, snapshot.n), bitorder="little")
        words.view(np.uint8)[: len(packed)] = packed
        counts = np.unpackbits(words.view(np.uint8)).reshape(-1, 32).sum(axis=1, dtype=np.int64)
        before = np.cumsum(counts) - counts
        return Alive(*(copied(part, device, "a filter") for part in (words, before)))

    return _once(snapshot, "alive", device, made)


def _once(snapshot: Any, name: str, device: int, make: Callable[[], Any]) -> Any:
    with _lock.here:
        of_state = _held.setdefault(snapshot, {})
        found = of_state.get((name, device))
    if found is None:  # made without the lock: two threads may, and one of both is kept
        made = make()
        with _lock.here:
            found = of_state.setdefault((name, device), made)
    return found
