"""Text as tokens: words, and their places in a vocabulary."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from udsph.data.dataset import Modality
from udsph.data.lines import composed
from udsph.errors import InputError

_WORD = re.compile(r"\w+", re.UNICODE)


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, without punctuation."""
    return _WORD.findall(composed(text).lower())


def tokenise(texts: Sequence[str], vocabulary: Sequence[str], longest: int | None = None) -> Modality:
    """Texts as a ``tokens`` modality.

    Parameters
    ----------
    texts
        One string per item.
    vocabulary
        The known words; entry 0 is the padding. Other words are left out.
    longest
        Number of columns. By default that of the longest text; a longer text is an error, nothing is cut off.

    Returns
    -------
    Modality
        int32 ``(n, longest)`` with 0 behind the last word, and the number of words of each text in ``lengths``.
    """
    place = {word: index for index, word in enumerate(vocabulary) if index > 0}
    rows = [[place[word] for word in words_of(text) if word in place] for text in texts]
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    most = int(lengths.max(initial=1))
    if longest is not None and most > longest:
        raise InputError(f"text {int(lengths.argmax())} has {most} words, more than {longest}")
    values = np.zeros((len(rows), longest or max(most, 1)), dtype=np.int32)
    for row, indices in zip(values, rows, strict=True):
        row[: len(indices)] = indices
    return Modality("tokens", values, lengths, tuple(vocabulary))
