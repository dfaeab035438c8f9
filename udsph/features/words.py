"""Word vectors and document vectors that gensim learns from the training texts, or word vectors from a file.

T. Mikolov et al., "Distributed representations of words and phrases and their compositionality", NIPS 2013;
Q. Le, T. Mikolov, "Distributed representations of sentences and documents", ICML 2014. Learnt in one thread from a
seed, so that the same texts give the same vectors.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.features.base import Form, Reads, check_form, load_stored, missing, save_stored, stored

_INFERRING = threading.Lock()  # a model has one random state, that every inference sets
LONGEST = 64  # most words of a text in the form of regions
Words = Sequence[str]


def _gensim() -> Any:
    try:
        import gensim.models
    except ImportError as error:
        raise missing("Doc2Vec and word2vec", error) from error
    return gensim.models


class Word2Vec:
    """The mean of the vectors of a text's words (``vectors``), or the vectors themselves (``regions``).

    Words that are not known are left out; a text without any known word is all zeros.

    Parameters
    ----------
    weights
        A file in word2vec's own format, ``.bin`` or text (``.txt``, ``.vec``, also with ``.gz``); without one the
        vectors are learnt from the training texts (skip-gram, negative sampling).
    dims
        Length of learnt vectors.
    longest
        Most words in the form ``regions``; the rest of a longer text is left out and counted in ``cut``.
    """

    reads: Reads = "words"

    def __init__(
        self, weights: str = "", form: str = "vectors", *, dims: int = 200, longest: int = LONGEST, seed: int = 0
    ) -> None:
        self.form = check_form("word2vec", form)
        self.weights = str(Path(weights).resolve()) if weights else ""
        self.dims, self.longest, self.seed = dims, longest, seed
        self.cut = 0
        self.words: tuple[str, ...] = ()
        self.vectors = np.zeros((0, dims), np.float32)
        if weights:
            self._take(*_read_vectors(Path(weights)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the features of one text."""
        return (self.dims,) if self.form == "vectors" else (self.longest, self.dims)

    def _take(self, words: Sequence[str], vectors: np.ndarray) -> None:
        self.words, self.vectors, self.dims = tuple(words), vectors, vectors.shape[1]
        self._place = {word: place for place, word in enumerate(self.words)}

    def fit(self, texts: Sequence[Words]) -> None:
        """Learn the vectors, where no file gave them."""
        if self.weights:
            return
        model = _gensim().Word2Vec(
            vector_size=self.dims, window=5, min_count=_least_count(texts), sg=1, negative=5, epochs=10, workers=1,
            seed=self.seed,
        )  # fmt: skip
        model.build_vocab(texts)
        model.train(texts, total_examples=model.corpus_count, epochs=model.epochs)
        self._take(model.wv.index_to_key, model.wv.vectors)

    def __call__(self, texts: Sequence[Words]) -> tuple[np.ndarray, np.ndarray | None]:
        """See :class:`~udsph.features.base.TextExtractor`."""
        found = np.zeros((len(texts), *self.shape), np.float32)
        lengths = np.zeros(len(texts), np.int32)
        for row, words in enumerate(texts):
            places = [self._place[word] for word in words if word in self._place]
            if self.form == "regions":
                self.cut += len(places) > self.longest
                lengths[row] = min(len(places), self.longest)
                found[row, : lengths[row]] = self.vectors[places[: self.longest]]
            elif places:
                found[row] = self.vectors[places].mean(0)
        return found, (lengths if self.form == "regions" else None)

    def kept(self, words: Words) -> list[str]:
        """The words of a text of which there are vectors, as far as it is read: what the regions stand for."""
        return [word for word in words if word in self._place][: self.longest]

    def describe(self) -> dict[str, Any]:
        settings = {"weights": self.weights} if self.weights else {"dims": self.dims, "seed": self.seed}
        return {"extractor": "word2vec", "form": self.form, "longest": self.longest, **settings}

    def save(self, folder: Path) -> None:
        """Words and vectors as ``word2vec.json`` and ``word2vec.safetensors``."""
        save_stored(folder, "word2vec", {"words": list(self.words)}, {"vectors": self.vectors})

    def load(self, folder: Path) -> bool:
        """What ``save`` wrote."""
        if not stored(folder, "word2vec"):
            return False
        content, arrays = load_stored(folder, "word2vec")
        words, vectors = content["words"], arrays["vectors"]
        if vectors.shape != (len(words), self.dims):
            raise InputError(f"word2vec: {len(words)} words but vectors of {vectors.shape} in {folder}")
        self._take(words, vectors)
        return True


class Doc2Vec:
    """A vector for each text, inferred by a paragraph-vector model (PV-DBOW with word vectors) of the training texts.

    The inference of a text starts from the seed, so that it depends neither on the texts before it nor on the process.
    A text without any known word is all zeros.
    """

    reads: Reads = "words"
    form: Form = "vectors"

    def __init__(self, *, dims: int = 200, epochs: int = 20, seed: int = 0) -> None:
        self.dims, self.epochs, self.seed = dims, epochs, seed
        self._model: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the features of one text."""
        return (self.dims,)

    def _new(self, least_count: int) -> Any:
        return _gensim().Doc2Vec(
            vector_size=self.dims, dm=0, dbow_words=1, window=5, negative=5, min_count=least_count, epochs=self.epochs,
            workers=1, seed=self.seed,
        )  # fmt: skip

    def fit(self, texts: Sequence[Words]) -> None:
        """Learn from the training texts."""
        tagged = [_gensim().doc2vec.TaggedDocument(list(words), [row]) for row, words in enumerate(texts)]
        model = self._new(_least_count(texts))
        model.build_vocab(tagged)
        model.train(tagged, total_examples=model.corpus_count, epochs=model.epochs)
        self._model = model

    def __call__(self, texts: Sequence[Words]) -> tuple[np.ndarray, np.ndarray | None]:
        """See :class:`~udsph.features.base.TextExtractor`."""
        found = np.zeros((len(texts), self.dims), np.float32)
        for row, words in enumerate(texts):
            known = [word for word in words if word in self._model.wv.key_to_index]
            if known:
                found[row] = self._inferred(known)
        return found, None

    def _inferred(self, words: list[str]) -> np.ndarray:
        """As gensim's ``infer_vector``, which starts from Python's hash of the text: another one in each process."""
        model, draw = self._model, np.random.RandomState(self.seed)
        vector = ((draw.random_sample((1, self.dims)) - 0.5) / self.dims).astype(np.float32)
        # gensim frees a scratch array of its own while it still writes to it
        work, factors = np.zeros(model.layer1_size, np.float32), np.ones(1, np.float32)
        with _INFERRING:
            model.random = draw
            for rate in np.linspace(model.alpha, model.min_alpha, self.epochs):
                _gensim().doc2vec.train_document_dbow(
                    model, words, [0], rate, work, learn_words=False, learn_hidden=False, doctag_vectors=vector,
                    doctags_lockf=factors,
                )  # fmt: skip
        return vector[0]

    def describe(self) -> dict[str, Any]:
        return {"extractor": "doc2vec", "form": "vectors", "dims": self.dims, "epochs": self.epochs, "seed": self.seed}

    def save(self, folder: Path) -> None:
        """What inference needs, as ``doc2vec.json`` and ``doc2vec.safetensors``: words, counts, both layers."""
        words = self._model.wv
        counts = [int(words.get_vecattr(word, "count")) for word in words.index_to_key]
        layers = {"vectors": words.vectors, "output": self._model.syn1neg}
        save_stored(folder, "doc2vec", {"words": words.index_to_key, "counts": counts}, layers)

    def load(self, folder: Path) -> bool:
        """What ``save`` wrote."""
        if not stored(folder, "doc2vec"):
            return False
        content, arrays = load_stored(folder, "doc2vec")
        model = self._new(least_count=1)
        model.build_vocab_from_freq(dict(zip(content["words"], content["counts"], strict=True)))
        _reorder(model, content["words"])
        model.wv.vectors[:], model.syn1neg[:] = arrays["vectors"], arrays["output"]
        self._model = model
        return True


def _reorder(model: Any, words: list[str]) -> None:
    """The order that the words had: gensim sorts by frequency, in no fixed order among equals, and draws by place."""
    known = model.wv
    place = [known.key_to_index[word] for word in words]
    for values in known.expandos.values():
        values[:] = values[place]
    known.index_to_key = list(words)
    known.key_to_index = {word: position for position, word in enumerate(words)}
    model.make_cum_table()


def _least_count(texts: Sequence[Words]) -> int:
    """Words that occur once teach nothing; of few texts all are kept.

    Raises
    ------
    InputError
        If there are no words.
    """
    words = list(itertools.islice(itertools.chain.from_iterable(texts), 10_000))
    if not words:
        raise InputError("the training texts hold no words, so no word vectors can be learnt")
    return 2 if len(words) == 10_000 else 1


def _read_vectors(path: Path) -> tuple[Sequence[str], np.ndarray]:
    if not path.is_file():
        raise InputError(f"word2vec: the file {path} does not exist")
    try:
        found = _gensim().KeyedVectors.load_word2vec_format(str(path), binary=".bin" in path.suffixes)
    except (ValueError, EOFError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"word2vec: {path.name} is no file of word vectors ({error}); .bin, .txt, .vec") from error
    return found.index_to_key, found.vectors
