"""What a reader of codes gives, and what a writer gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.codes import BitOrder, reverse_bits
from udsph.hamming.segments import Snapshot

BATCH = 1 << 20  # codes at a time
USUAL_IDS = "id"  # the column of ids that is written, and read unless another is named

Tell = Callable[[float], object]


class Columns(NamedTuple):
    """Names of columns, of files that have some; without a name ids are read where they have the usual one.

    bits : the width of the codes, where it is known, for texts that can be read in two ways
    """

    code: str = "code"
    id: str | None = None
    bits: int | None = None


class Batch(NamedTuple):
    """Codes and ids, if there are ids, and the share of the file that is read with them."""

    codes: Any
    ids: Any
    share: float


class Source(NamedTuple):
    """What a file holds.

    bits : width of the codes, where the file says more than their bytes do
    batches : the codes, of which an empty file has none
    multi : whether one id may have several codes
    """

    bits: int | None
    batches: Iterator[Batch]
    multi: bool = False


def of_snapshot(snapshot: Snapshot, bitorder: BitOrder, tell: Tell) -> Iterator[tuple[Any, Any]]:
    """Packed rows and ids of all codes; the share that is done is told."""
    done = 0
    for positions in positions_of(snapshot):
        rows = snapshot.read_positions(positions)
        yield rows if bitorder == "little" else reverse_bits(rows), snapshot.ids.at(positions)
        done += BATCH
        tell(min(1.0, done / snapshot.n))


def positions_of(snapshot: Snapshot) -> Iterator[NDArray[np.int64]]:
    """Positions that hold a code, a batch at a time."""
    for begin in range(0, snapshot.n, BATCH):
        positions = np.arange(begin, min(begin + BATCH, snapshot.n))
        yield positions if snapshot.alive is None else positions[snapshot.alive.at(positions)]
