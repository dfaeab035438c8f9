"""What tables of words keep at hand."""

from __future__ import annotations

import numpy as np

from udsph.features import word_tables


class Letters(word_tables.WordTable):
    """A vector of any word."""

    name, package, dims = "letters", word_tables.GLOVE, 1

    def __init__(self) -> None:
        self.form, self.longest, self.cut, self._known = "vectors", 8, 0, {}

    def _vector(self, word: str) -> np.ndarray:
        return np.array([len(word)], np.float32)


def test_ever_new_words_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(word_tables, "REMEMBERED", 10)
    table = Letters()
    values, _ = table([["a" * (1 + k)] for k in range(100)])
    np.testing.assert_array_equal(values[:, 0], np.arange(1, 101))
    assert len(table._known) <= 10
