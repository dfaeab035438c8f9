"""An index in a folder: it grows, changes and survives. ``docs/collections.md`` says what is promised.

The order of reading: ``collection`` (the class; ``handle`` opens and closes it), ``state`` (a generation that is open),
``writer`` and ``changes`` (how a commit writes), ``manifest`` and ``segment_file`` (the two kinds of file),
``container`` (the form of both), ``folder`` (names), ``lock`` (the one writer).
"""

from udsph.hamming.collection.collection import Collection

__all__ = ["Collection"]
