"""Raw text: reading it, splitting it into words in English or Chinese, and choosing a vocabulary."""

from __future__ import annotations

import itertools
import re
import warnings
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.dataset import Modality
from udsph.data.lines import composed, decode_text, not_in
from udsph.data.problems import NAMED, Problems
from udsph.data.settings import Setting
from udsph.data.tokens import words_of
from udsph.errors import InputError, MissingExtra

PADDING = "<padding>"
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff"  # Chinese characters and Japanese syllables
_RUN = re.compile(rf"[{_HAN}]+|[^\W{_HAN}]+")
_HAN_START = re.compile(rf"[{_HAN}]")

WORDS = Setting(
    "bigrams", str, "how text is split: bigrams (of Chinese characters; other words whole), jieba, characters",
    choices=("bigrams", "jieba", "characters"),
)  # fmt: skip
VOCABULARY = Setting(10000, int, "most words kept, the most frequent ones of the training texts, 10000", least=1)
LONGEST = Setting(64, int, "words of a text that are read, from its beginning, 64", least=1)
ENCODING = Setting("utf-8", str, "encoding of the text files, utf-8")
SETTINGS = {"words": WORDS, "vocabulary": VOCABULARY, "longest": LONGEST}


def splitter(words: str) -> Callable[[str], list[str]]:
    """The function that splits a text: lower case, without punctuation, letters and their accents in one sign.

    ``bigrams`` gives overlapping pairs of neighbouring Chinese characters, as search engines do, and all other words
    whole; ``characters`` the single Chinese characters; ``jieba`` the words of its dictionary; ``plain`` whatever
    stands between spaces and punctuation (:func:`udsph.data.tokens.words_of`).
    """
    if words == "plain":
        return words_of
    if words not in WORDS.choices:
        raise InputError(f"texts cannot be split into '{words}'; known: plain, {', '.join(WORDS.choices)}")
    if words == "jieba":
        jieba = _jieba()
        return lambda text: [word for word in jieba.lcut(composed(text).lower()) if _RUN.search(word)]
    return _bigrams if words == "bigrams" else _characters


def _bigrams(text: str) -> list[str]:
    if text.isascii():
        return _RUN.findall(text.lower())
    found: list[str] = []
    for run in _RUN.findall(composed(text).lower()):
        if len(run) > 2 and _HAN_START.match(run):
            found += [run[k : k + 2] for k in range(len(run) - 1)]
        else:
            found.append(run)
    return found


def _characters(text: str) -> list[str]:
    if text.isascii():
        return _RUN.findall(text.lower())
    found: list[str] = []
    for run in _RUN.findall(composed(text).lower()):
        if _HAN_START.match(run):
            found += run
        else:
            found.append(run)
    return found


def _jieba() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own invalid escape sequences
            import jieba
    except ImportError as error:
        raise MissingExtra("splitting Chinese text into words", "data") from error
    jieba.setLogLevel("ERROR")
    return jieba


def as_tokens(
    texts: Sequence[str], train: np.ndarray, problems: Problems, *, words: str, vocabulary: int, longest: int
) -> Modality:
    """Texts as a ``tokens`` modality whose vocabulary comes from the training texts alone.

    Words that are not in it, and words behind the first ``longest`` of a text, are left out; both are remarked on with
    their counts.

    Returns
    -------
    Modality
        int32 ``(n, longest or less)``, 0 behind the last word; the vocabulary is sorted by frequency, then alphabet.
    """
    names, flat, counts = _numbered(texts, splitter(words))
    ends = np.cumsum(counts)
    trained = np.zeros(len(texts), bool)
    trained[train] = True
    seen = np.bincount(flat[np.repeat(trained, counts)], minlength=len(names)).tolist()
    # A word that stands at a single place of the training texts cannot be learnt; of very few texts all are kept.
    common = [word for word in range(len(names)) if seen[word] > 1] or [w for w in range(len(names)) if seen[w]]
    if not common:
        raise InputError(f"{problems.layout}: the training texts hold no words, so the vocabulary is empty")
    common.sort(key=lambda word: (-seen[word], names[word]))
    common = common[:vocabulary]
    place = np.zeros(len(names), np.int32)
    place[common] = np.arange(1, len(common) + 1)
    values, lengths = _rows(place[flat], ends - counts, ends, longest, problems)
    return Modality("tokens", values, lengths, (PADDING, *(names[word] for word in common)), words=words)


def _numbered(texts: Sequence[str], split: Callable[[str], list[str]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """All different words, the words of all texts as their numbers one after the other, and how many each text has."""
    numbers: defaultdict[str, int] = defaultdict(itertools.count().__next__)  # a new word gets the next number
    flat = array("i")
    counts = np.zeros(len(texts), np.int64)
    for item, text in enumerate(texts):
        found = split(text)
        counts[item] = len(found)
        flat.extend(map(numbers.__getitem__, found))
    return list(numbers), np.frombuffer(flat, np.int32) if flat else np.zeros(0, np.int32), counts


def _rows(
    placed: np.ndarray, starts: np.ndarray, ends: np.ndarray, longest: int, problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    """The words of each text that are known (not 0), the first ``longest`` of them, and their number."""
    known = np.concatenate([[0], np.cumsum(placed > 0)])
    lengths = known[ends] - known[starts]
    placed = placed[placed > 0]
    cut = int((lengths > longest).sum())
    if cut:
        problems.remark(f"texts with more than {longest} words: {cut:,}; only the first {longest} are read (longest)")
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        listed = ", ".join(map(str, empty[:NAMED].tolist())) + (", ..." if len(empty) > NAMED else "")
        problems.remark(f"texts without a word of the vocabulary: {len(empty):,} (items {listed})")
    firsts, lengths = known[starts], np.minimum(lengths, longest)
    values = np.zeros((len(starts), max(1, int(lengths.max(initial=1)))), np.int32)
    for column in range(values.shape[1]):
        rows = np.flatnonzero(lengths > column)
        values[rows, column] = placed[firsts[rows] + column]
    return values, lengths.astype(np.int32)


def choose(captions: Sequence[Sequence[str]], rows: Sequence[int], seed: int) -> tuple[str, ...]:
    """One of the captions of each row, by the seed and the row's number: the same whatever other rows there are."""
    return tuple(captions[row][np.random.RandomState([seed, row]).randint(len(captions[row]))] for row in rows)


def read_text(path: Path, encoding: str, name: str, problems: Problems) -> str | None:
    """The text of one file, or None if it is missing, empty or in another encoding, which is then counted."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        problems.leave_out("the text does not exist", name)
        return None
    text, fault = decode_text(raw, encoding, name)
    if fault:
        problems.leave_out(f"the text {not_in(encoding)}", fault)
        return None
    if not text:
        problems.leave_out("the text is empty", name)
        return None
    return text
