"""Word and document vectors: repeatable, stored without pickle, and meaningful."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("gensim")

from udsph.errors import InputError
from udsph.features.words import Doc2Vec, Word2Vec


@pytest.fixture(scope="module")
def texts() -> list[list[str]]:
    """Two topics that share no words but 'the'."""
    random = np.random.default_rng(0)
    topics = [[f"{name}{k}" for k in range(12)] for name in ("sea", "sky")]
    return [["the", *random.choice(topics[row % 2], 8)] for row in range(300)]


def closeness(vectors: np.ndarray) -> tuple[float, float]:
    """Mean cosine within the topics and between them."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    same = np.equal.outer(np.arange(len(unit)) % 2, np.arange(len(unit)) % 2)
    return float(cosines[same].mean()), float(cosines[~same].mean())


@pytest.mark.parametrize("make", [lambda: Word2Vec(dims=16), lambda: Doc2Vec(dims=16)], ids=["word2vec", "doc2vec"])
def test_topics_come_apart_and_the_same_texts_give_the_same_vectors(texts, make, tmp_path):
    first, second = make(), make()
    for extractor in (first, second):
        extractor.fit(texts)
    vectors, lengths = first(texts[:40])
    assert vectors.shape == (40, 16) and vectors.dtype == np.float32 and lengths is None
    inside, between = closeness(vectors)
    assert inside > between + 0.01
    np.testing.assert_array_equal(second(texts[:40])[0], vectors)
    np.testing.assert_array_equal(first(texts[5:6])[0], vectors[5:6])  # no text depends on those before it
    first.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    loaded = make()
    assert loaded.load(tmp_path)
    np.testing.assert_array_equal(loaded(texts[:40])[0], vectors)


def test_nothing_stored_is_nothing_loaded(tmp_path):
    assert not Word2Vec().load(tmp_path) and not Doc2Vec().load(tmp_path)


def test_a_document_has_the_same_vector_in_every_process_and_thread(texts, tmp_path, monkeypatch):
    extractor = Doc2Vec(dims=8)
    extractor.fit(texts[:60])
    vectors, _ = extractor(texts[:60])

    def hashed(size, seed_string=None, hashfxn=hash):  # Python's hash of a text is another one in each process
        return np.random.default_rng(len(seed_string)).random(size, np.float32)

    monkeypatch.setattr("gensim.models.doc2vec.pseudorandom_weak_vector", hashed)
    with ThreadPoolExecutor(4) as pool:
        for found, _ in pool.map(extractor, [texts[:60]] * 4):
            np.testing.assert_array_equal(found, vectors)
    assert not extractor([[], ["never", "seen"]])[0].any() and vectors.any(1).all()


def test_learnt_vectors_of_another_form_are_refused(texts, tmp_path):
    extractor = Word2Vec(dims=4)
    extractor.fit(texts)
    extractor.save(tmp_path)
    with pytest.raises(InputError, match=r"vectors of \(\d+, 4\)"):
        Word2Vec(dims=5).load(tmp_path)


def test_a_damaged_store_is_named(texts, tmp_path):
    extractor = Word2Vec(dims=4)
    extractor.fit(texts)
    extractor.save(tmp_path)
    path = tmp_path / "word2vec.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="damaged"):
        Word2Vec(dims=4).load(tmp_path)


def test_regions_are_the_words_in_order(tmp_path):
    (tmp_path / "v.txt").write_text("3 2\nred 1 2\nstar 3 4\nbox 5 6\n", encoding="utf-8")
    extractor = Word2Vec(str(tmp_path / "v.txt"), "regions", longest=2)
    extractor.fit([["never", "learnt"]])
    values, lengths = extractor([["star", "unknown", "red"], [], ["box", "box", "red"]])
    assert extractor.shape == (2, 2)
    np.testing.assert_array_equal(values, [[[3, 4], [1, 2]], [[0, 0], [0, 0]], [[5, 6], [5, 6]]])
    np.testing.assert_array_equal(lengths, [2, 0, 2])
    assert extractor.cut == 1
    means, _ = Word2Vec(str(tmp_path / "v.txt"))([["star", "red"], ["unknown"]])
    np.testing.assert_array_equal(means, [[2, 3], [0, 0]])


def test_what_holds_no_words_is_refused(tmp_path):
    for extractor in (Word2Vec(), Doc2Vec()):
        with pytest.raises(InputError, match="hold no words"):
            extractor.fit([[], []])
    with pytest.raises(InputError, match="does not exist"):
        Word2Vec(str(tmp_path / "none.txt"))
    (tmp_path / "bad.txt").write_text("not vectors")
    with pytest.raises(InputError, match="is no file of word vectors"):
        Word2Vec(str(tmp_path / "bad.txt"))
    with pytest.raises(InputError, match="form=words"):
        Word2Vec(form="words")
