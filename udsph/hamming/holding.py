"""What every index of codes holds, and how that changes: additions, removals, ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming.codes import as_codes, reverse_bits
from udsph.hamming.ids import Unknown, check_unknown
from udsph.hamming.names import check_ids
from udsph.hamming.segments import Duplicates
from udsph.hamming.stored import Stored


class Holder(Stored):
    """Codes of one width under ids; ``FlatIndex`` and ``SimilarityIndex`` are its kinds, which say how they search."""

    def __len__(self) -> int:
        return len(self._snapshot)

    def __contains__(self, id: object) -> bool:
        snapshot = self._snapshot
        return snapshot.ids.holds(id, snapshot.alive)

    @property
    def multi(self) -> bool:
        """Whether one id may have several codes."""
        return self._snapshot.ids.multi

    @property
    def ids(self) -> NDArray[Any]:
        """The ids of all codes in insertion order, (n,) int64, or objects where they are strings: a new array."""
        return self._snapshot.column().array()

    @property
    def nbytes(self) -> int:
        """Bytes that codes and ids take, in memory or mapped."""
        return self._snapshot.nbytes

    def add(self, codes: Any, ids: Any = None) -> None:
        """Append codes.

        Parameters
        ----------
        codes : (n, width) array
            See the class for the forms.
        ids : (n,) integers or strings, optional
            Integers from 0 to 2**63 - 1, or texts; each once, unless the index is ``multi``. Without ids a code is
            called by its insertion position. An index has ids of one of these kinds.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, dimension or width, set unused bits, or ids that are missing, negative or already used.
        """
        rows = self._codes(codes, "codes")
        with self._changes.here:
            self._snapshot = self._snapshot.extended(rows, ids)

    def reconstruct(self, ids: Any) -> NDArray[np.uint8]:
        """Return the packed codes of ids, (n, (bits + 7) // 8) uint8 in the index's bit order.

        Where one id has several codes, they follow one another in insertion order (``count`` says how many).

        Raises
        ------
        TypeError, ValueError
            Ids of another kind than the index has, or unknown.
        """
        rows = self._snapshot.read(ids)
        return rows if self.bitorder == "little" else reverse_bits(rows)

    def count(self, ids: Any) -> NDArray[np.int64]:
        """How many codes each id has, (n,) int64: 0 where it is unknown, more than 1 only if the index is ``multi``.

        Raises
        ------
        TypeError, ValueError
            Ids of another kind than the index has.
        """
        snapshot, wanted = self._snapshot, check_ids(ids)
        return np.bincount(snapshot.ids.lookup(wanted, snapshot.alive)[0], minlength=len(wanted))

    def remove(self, ids: Any, *, unknown: Unknown = "error") -> None:
        """Remove all codes of ids; the others keep their ids and their order.

        Parameters
        ----------
        ids : (n,) integers or strings
        unknown : {"error", "ignore"}
            What an id is that no code has.

        Raises
        ------
        TypeError, ValueError
            Ids of another kind than the index has, or unknown: then nothing is removed.
        """
        check_unknown(unknown)
        with self._changes.here:
            self._snapshot = self._snapshot.without(ids, unknown)

    def clear(self) -> None:
        """Remove all codes: the index is as if new, and its ids may be of another kind from now on."""
        with self._changes.here:
            self._snapshot = self._snapshot.cleared()

    def merge(self, other: Holder, *, duplicates: Duplicates = "error") -> None:
        """Append the codes of another index with their ids, or, where ids are positions, at the positions that follow.

        Parameters
        ----------
        other : FlatIndex, Index or SimilarityIndex
            Of the same width; it stays as it is.
        duplicates : {"error", "keep", "replace"}
            What happens where both have an id: nothing is merged; this index keeps its code; or that of the other takes
            its place, at the end. An index that is ``multi`` takes all codes.

        Raises
        ------
        TypeError, ValueError
            Another width, ids of another kind, or ids that both have: then nothing is merged.
        """
        if not isinstance(other, Holder):
            raise TypeError(f"other must be a FlatIndex or an Index, got {type(other).__name__}")
        if duplicates not in ("error", "keep", "replace"):
            raise InputError(f"duplicates must be 'error', 'keep' or 'replace', got {duplicates!r}")
        if other.bits != self.bits:
            raise InputError(f"other must have codes of {self.bits} bits, it has {other.bits}")
        theirs = other._snapshot
        with self._changes.here:
            self._snapshot = self._snapshot.merged(theirs, duplicates)

    def _codes(self, values: Any, name: str) -> NDArray[np.uint8]:
        return as_codes(values, self.bits, self.bitorder, name)


def check_multi(multi: Any) -> bool:
    """Whether one id may have several codes."""
    if not isinstance(multi, (bool, np.bool_)):
        raise TypeError(f"multi must be a bool, got {type(multi).__name__}")
    return bool(multi)
