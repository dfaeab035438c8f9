"""Words in English and Chinese, vocabularies, and reading text files."""

import numpy as np
import pytest

from udsph.data.problems import Problems
from udsph.data.texts import as_tokens, read_text, splitter
from udsph.errors import InputError

MIXED = "中国人民,2021年 COVID疫情! A"


def test_bigrams_of_chinese_characters_and_whole_other_words():
    assert splitter("bigrams")(MIXED) == ["中国", "国人", "人民", "2021", "年", "covid", "疫情", "a"]
    assert splitter("bigrams")("") == []
    assert splitter("bigrams")("Two dogs, one cat.") == ["two", "dogs", "one", "cat"]


def test_characters():
    assert splitter("characters")(MIXED) == [*"中国人民", "2021", "年", "covid", "疫", "情", "a"]


def test_jieba_words():
    pytest.importorskip("jieba", reason="jieba, of the extra data, is not installed")
    found = splitter("jieba")("我来到北京清华大学。OK")
    assert "北京" in found
    assert "清华大学" in found
    assert "ok" in found
    assert "。" not in found


def tokens(texts, train, longest=9, vocabulary=99, problems=None):
    problems = problems or Problems("mine", "skip")
    return as_tokens(
        texts, np.array(train), problems, words="bigrams", vocabulary=vocabulary, longest=longest
    )  # fmt: skip


def test_the_vocabulary_comes_from_the_training_texts_alone():
    found = tokens(["red dog red", "dog cat cat red", "bird bird dog"], train=[0, 1])
    assert found.vocabulary == ("<padding>", "red", "cat", "dog")  # by frequency, then alphabet
    np.testing.assert_array_equal(found.values, [[1, 3, 1, 0], [3, 2, 2, 1], [3, 0, 0, 0]])
    np.testing.assert_array_equal(found.lengths, [3, 4, 1])
    assert found.values.dtype == np.int32


def test_words_seen_once_are_left_out_unless_all_are():
    assert tokens(["a b b", "c"], train=[0, 1]).vocabulary == ("<padding>", "b")
    assert tokens(["a b", "c"], train=[0, 1]).vocabulary == ("<padding>", "a", "b", "c")


def test_what_is_cut_off_is_counted():
    problems = Problems("mine", "skip")
    found = tokens(["a a a a", "a a", "b"], train=[0, 1], longest=3, problems=problems)
    np.testing.assert_array_equal(found.lengths, [3, 2, 0])
    assert problems.notes() == (
        "texts with more than 3 words: 1; only the first 3 are read (longest)",
        "texts without a word of the vocabulary: 1 (items 2)",
    )
    assert tokens(["a a b b c c"], train=[0], vocabulary=2).vocabulary == ("<padding>", "a", "b")


def test_a_vocabulary_of_nothing_is_refused():
    with pytest.raises(InputError, match="mine: the training texts hold no words, so the vocabulary is empty"):
        tokens(["!?", "word"], train=[0])


def test_text_files_that_cannot_be_used_are_counted(tmp_path):
    (tmp_path / "chinese.txt").write_bytes("中国".encode("gb18030"))
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "good.txt").write_text("good\n")
    problems = Problems("mine", "skip")
    found = {
        name: read_text(tmp_path / f"{name}.txt", "utf-8", f"{name}.txt", problems)
        for name in ("chinese", "empty", "good", "none")
    }
    assert found == {"chinese": None, "empty": None, "good": "good", "none": None}
    assert problems.notes() == (
        "left out 1: the text is not utf-8 (encoding=NAME for another) (chinese.txt, byte 0)",
        "left out 1: the text is empty (empty.txt)",
        "left out 1: the text does not exist (none.txt)",
    )
