"""Words and their places in a vocabulary."""

import numpy as np
import pytest

from udsph.data import tokenise
from udsph.data.tokens import words_of
from udsph.errors import InputError

VOCABULARY = ("<pad>", "a", "red", "ring")


def test_words_are_lower_case_without_punctuation():
    assert words_of("A ring, Red!  and_so 2 Größe 新闻") == ["a", "ring", "red", "and_so", "2", "größe", "新闻"]
    assert words_of(" .,") == []


def test_tokenise_pads_and_leaves_unknown_words_out():
    tokens = tokenise(["a red ring", "Ring: unheard", ""], VOCABULARY)
    assert tokens.kind == "tokens"
    assert tokens.values.dtype == np.int32
    assert tokens.values.tolist() == [[1, 2, 3], [3, 0, 0], [0, 0, 0]]
    assert tokens.lengths.tolist() == [3, 1, 0]
    assert tokens.vocabulary == VOCABULARY


def test_tokenise_to_a_given_width():
    assert tokenise(["red"], VOCABULARY, longest=4).values.tolist() == [[2, 0, 0, 0]]
    assert tokenise([], VOCABULARY, longest=4).values.shape == (0, 4)
    with pytest.raises(InputError, match="text 1 has 3 words, more than 2"):
        tokenise(["red", "a red ring"], VOCABULARY, longest=2)


def test_the_padding_is_no_word():
    assert tokenise(["pad <pad> red"], ("pad", "red")).values.tolist() == [[1]]
