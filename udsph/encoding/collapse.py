"""Codes that hardly differ, which no search can use: how they are noticed."""

from __future__ import annotations

import numpy as np

LEAST_ITEMS = 32  # of fewer nothing is said
UNKNOWN = 1024  # classes that pairs without labels are taken to have
WITHOUT_CLASSES = 4096  # codes that there could be of pairs without labels: more are not counted
ROWS = 1024  # looked at in one piece


class Collapse:
    """Counts different codes, until there are enough of them.

    Codes have collapsed where there are at most a quarter as many as there could be: as many as items, classes or
    combinations of the bits, whatever is the least. Without classes every item is meant to have a code of its own.

    Parameters
    ----------
    name
        ``image`` or ``text``.
    classes
        Number of classes of the training data; 0 where it has none.
    bits
        Length of the codes.
    """

    def __init__(self, name: str, classes: int, bits: int) -> None:
        self._name, self._bits, self._items = name, bits, 0
        self._could = min(classes or UNKNOWN, 2 ** min(bits, 30))
        self._seen: set[bytes] = set()

    def add(self, codes: np.ndarray) -> None:
        """Look at further codes, uint8 ``(n, bytes)``."""
        self._items += len(codes)
        for start in range(0, len(codes), ROWS):
            if len(self._seen) > self._few:
                return
            self._seen.update(row.tobytes() for row in codes[start : start + ROWS])

    @property
    def _few(self) -> int:
        return max(self._could // 4, min(2, self._could - 1))

    def remarks(self) -> list[str]:
        """One line where the codes have collapsed."""
        found = len(self._seen)
        if self._items < LEAST_ITEMS or found > min(self._few, max(2, self._items // 4)):
            return []
        codes = "one code" if found == 1 else f"{found} different codes"
        return [
            f"{self._items:,} {self._name}s have {codes} of {self._bits} bits: a search can hardly tell them apart; "
            "the training was too short for its data, or these items are unlike those that it was trained on"
        ]
