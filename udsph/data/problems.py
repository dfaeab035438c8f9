"""Items that cannot be used: each is named and counted; ``on_error`` says whether the first one ends the loading."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sized

from udsph.data.quotes import shown
from udsph.data.settings import Setting
from udsph.errors import InputError

NAMED = 3  # examples that a note gives
ON_ERROR = Setting(
    "skip", str, "whether a bad item is left out and counted or ends the loading: skip, stop", choices=("skip", "stop")
)


class BadItem(InputError):
    """A single item that cannot be used, where ``on_error`` is ``stop``."""


class Problems:
    """What went wrong with single items of one dataset, and what a protocol leaves out.

    Parameters
    ----------
    layout
        Name of the dataset, for the messages.
    on_error
        ``stop``: the first bad item is a :class:`BadItem`. ``skip``: it is counted.
    """

    def __init__(self, layout: str, on_error: str) -> None:
        self.layout = layout
        self.stops = on_error == "stop"
        self._items: dict[str, list[str]] = {}
        self._remarks: list[str] = []

    def leave_out(self, reason: str, item: str) -> None:
        """A bad item, which the caller leaves out."""
        reason, item = shown(reason), shown(item)
        if self.stops:
            raise BadItem(f"{self.layout}: {reason}: {item}; on_error=skip leaves such items out and counts them")
        self._items.setdefault(reason, []).append(item)

    def remark(self, text: str) -> None:
        """Something that is no error but that the reader of a result must know, with its count."""
        self._remarks.append(text)

    def notes(self) -> tuple[str, ...]:
        """One line for each reason, with its count and first items; then the remarks."""
        lines = []
        for reason, items in self._items.items():
            listed = ", ".join(items[:NAMED]) + (", ..." if len(items) > NAMED else "")
            lines.append(f"left out {len(items):,}: {reason} ({listed})")
        return (*lines, *self._remarks)

    def check_any_left(self, count: int) -> None:
        """Refuse a dataset of which every item was left out, and say why they were."""
        if count == 0:
            raise InputError(f"{self.layout}: no items are left; {'; '.join(self.notes()) or 'the lists are empty'}")

    def check_splits(self, splits: Mapping[str, Sized]) -> None:
        """Refuse splits of which one is empty, and say what was left out, which is often why."""
        for split, index in splits.items():
            if not len(index):
                raise InputError("; ".join([f"{self.layout}: the split '{split}' is empty", *self.notes()]))

    def tell(self) -> tuple[str, ...]:
        """The notes, each also as a warning."""
        notes = self.notes()
        for note in notes:
            warnings.warn(f"{self.layout}: {note}", stacklevel=4)
        return notes
