"""The feature folder: what is in it, memory-mapped reading, interruption, bad input."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from udsph import data
from udsph.data import Dataset, Modality
from udsph.errors import InputError
from udsph.features import extract, image_extractor, text_extractor
from udsph.features import folder as folder_room
from udsph.features.words import Word2Vec

N = 30


class Colours:
    """Mean colour of each image, or of its two halves."""

    size = 8

    def __init__(self, form="vectors", spoil=None, stop=None):
        self.form, self.shape, self.spoil, self.stop = form, (3,) if form == "vectors" else (2, 3), spoil, stop
        self.calls = []

    def __call__(self, pixels):
        self.calls.append(len(pixels))
        if self.stop is not None and len(self.calls) > self.stop:
            raise KeyboardInterrupt
        halves = pixels.reshape(len(pixels), 2, -1, 3).mean(2, dtype=np.float32)
        if self.spoil is not None:
            halves[self.spoil] = np.nan
        return halves if self.form == "regions" else halves.mean(1)

    def describe(self):
        return {"extractor": "colours", "form": self.form}


@pytest.fixture
def dataset():
    return data.load("scenes", pairs=N, query=10, workers=1)


@pytest.fixture(autouse=True)
def note_every_batch(monkeypatch):
    monkeypatch.setattr(folder_room, "_SECONDS", 0)


def same(found: Dataset, expected: Dataset):
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.classes == expected.classes and found.captions == expected.captions
    for split in ("train", "database", "query"):
        np.testing.assert_array_equal(found.splits[split], expected.splits[split])


def test_kept_modalities_come_back_as_they_were(dataset, tmp_path):
    extract(dataset, tmp_path / "f", batch_size=7)
    found = data.load("features", root=tmp_path / "f")
    same(found, dataset)
    assert found.image.kind == "pixels" and found.text.kind == "tokens"
    assert isinstance(found.image.values, np.memmap)
    np.testing.assert_array_equal(found.image.values, dataset.image.values)
    np.testing.assert_array_equal(found.text.values, dataset.text.values)
    np.testing.assert_array_equal(found.text.lengths, dataset.text.lengths)
    assert found.text.vocabulary == dataset.text.vocabulary and found.text.words == dataset.text.words


@pytest.mark.parametrize("form", ["vectors", "regions"])
def test_extracted_features_are_read_as_memory_maps(dataset, tmp_path, form):
    text = Word2Vec(form=form, dims=5, longest=20)
    extract(dataset, tmp_path / "f", image=Colours(form), text=text, batch_size=8)
    found = data.load("features", root=tmp_path / "f")
    same(found, dataset)
    assert found.image.kind == found.text.kind == form
    assert isinstance(found.image.values, np.memmap) and isinstance(found.text.values, np.memmap)
    np.testing.assert_array_equal(found.image.values, Colours(form)(dataset.image.values))
    words = [[dataset.text.vocabulary[t] for t in row if t] for row in dataset.text.values]
    values, lengths = text(words)
    np.testing.assert_array_equal(found.text.values, values)
    if form == "regions":
        np.testing.assert_array_equal(found.text.lengths, lengths)


def test_a_learnt_text_extractor_sees_the_training_texts_alone(dataset, tmp_path):
    changed = dataset.text.values.copy()
    changed[dataset.splits["query"]] = 1
    other = dataclasses.replace(dataset, text=dataclasses.replace(dataset.text, values=changed))
    for name, one in (("a", dataset), ("b", other)):
        extract(one, tmp_path / name, image=Colours(), text=text_extractor("word2vec", dims=5))
    first, second = (data.load("features", root=tmp_path / name) for name in "ab")
    keep = dataset.splits["train"]
    np.testing.assert_array_equal(first.text.values[keep], second.text.values[keep])


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_an_interrupted_extraction_continues(dataset, tmp_path, stop):
    with pytest.raises(KeyboardInterrupt):
        extract(dataset, tmp_path / "f", image=Colours(stop=stop), batch_size=6)
    with pytest.raises(InputError, match=rf"half-written: {6 * stop} of {N} rows of image"):
        data.load("features", root=tmp_path / "f")
    again = Colours()
    extract(dataset, tmp_path / "f", image=again, batch_size=6)
    assert sum(again.calls) == N - 6 * stop
    extract(dataset, tmp_path / "whole", image=Colours(), batch_size=6)
    for name in ("image", "text", "labels", "train", "query", "database"):
        assert (tmp_path / "f" / f"{name}.npy").read_bytes() == (tmp_path / "whole" / f"{name}.npy").read_bytes()
    third = Colours()
    extract(dataset, tmp_path / "f", image=third)
    assert third.calls == []


def test_another_extraction_does_not_continue_it(dataset, tmp_path):
    extract(dataset, tmp_path / "f", image=Colours())
    with pytest.raises(InputError, match="another image"):
        extract(dataset, tmp_path / "f", image=Colours("regions"))
    more = data.load("scenes", pairs=N + 1, query=10, workers=1)
    with pytest.raises(InputError, match="another source"):
        extract(more, tmp_path / "f", image=Colours())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is no feature folder"):
        extract(dataset, tmp_path / "mine", image=Colours())


def test_a_cut_off_array_is_named(dataset, tmp_path):
    extract(dataset, tmp_path / "f", image=Colours())
    path = tmp_path / "f" / "image.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"cannot read image\.npy"):
        data.load("features", root=tmp_path / "f")
    np.save(path, np.zeros((N, 2), np.float32))
    with pytest.raises(InputError, match="not the array that"):
        data.load("features", root=tmp_path / "f")


def test_an_array_cut_off_during_an_interruption_is_extracted_again(dataset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        extract(dataset, tmp_path / "f", image=Colours(stop=2), batch_size=6)
    path = tmp_path / "f" / "image.npy"
    path.write_bytes(path.read_bytes()[:-20])
    again = Colours()
    extract(dataset, tmp_path / "f", image=again, batch_size=6)
    assert sum(again.calls) == N


def test_features_that_are_not_finite_are_named(dataset, tmp_path):
    with pytest.raises(InputError, match="image features of item 2 are not finite"):
        extract(dataset, tmp_path / "f", image=Colours(spoil=2), batch_size=5)


class Pictures:
    """As the reader of image files: some names turn out to be damaged and are shown grey."""

    def __init__(self, values, bad):
        self._values, self._bad = values, bad
        self.names = [f"{item}.jpg" for item in range(len(values))]
        self.shape, self.dtype, self.damaged = values.shape, values.dtype, set()

    def __len__(self):
        return len(self._values)

    def __getitem__(self, index):
        self.damaged |= {self.names[item] for item in index.tolist() if item in self._bad}
        return self._values[index]


def test_items_that_cannot_be_read_are_in_no_split(dataset, tmp_path):
    pictures = dataclasses.replace(dataset, image=Modality("pixels", Pictures(dataset.image.values, {3, 20})))
    left = extract(pictures, tmp_path / "f", image=Colours(), batch_size=4)
    assert left == {3: "3.jpg is no whole image", 20: "20.jpg is no whole image"}
    found = data.load("features", root=tmp_path / "f")
    assert set(dataset.splits["query"]) - set(found.splits["query"]) == {3}
    assert set(dataset.splits["train"]) - set(found.splits["train"]) == {20}
    assert json.loads((tmp_path / "f" / "features.json").read_text())["spoilt"]["20"] == "20.jpg is no whole image"


def test_what_does_not_fit_is_refused(dataset, tmp_path):
    vectors = dataclasses.replace(dataset, image=Modality("vectors", np.zeros((N, 4), np.float32)))
    with pytest.raises(InputError, match="vectors, not pixels"):
        extract(vectors, tmp_path / "a", image=Colours())
    wordless = dataclasses.replace(dataset, text=Modality("vectors", np.zeros((N, 4), np.float32)))
    with pytest.raises(InputError, match="its text has no words"):
        extract(wordless, tmp_path / "b", text=text_extractor("word2vec"))
    with pytest.raises(InputError, match="known: keep, cnnf, efficientnet-lite0, huggingface, timm"):
        image_extractor("resnet")
    with pytest.raises(InputError, match="known: keep, doc2vec, word2vec, glove, wordllama, minilm, huggingface"):
        text_extractor("bert")
    assert not any(tmp_path.iterdir())


def test_tags_are_words(dataset, tmp_path):
    tags = np.zeros((N, 3), np.float32)
    tags[:, 0] = 1
    tags[::2, 2] = 1
    tagged = dataclasses.replace(dataset, text=Modality("vectors", tags, vocabulary=("sun", "rain", "sea")))
    extractor = Word2Vec(form="regions", dims=4)
    extract(tagged, tmp_path / "f", image=Colours(), text=extractor)
    found = data.load("features", root=tmp_path / "f")
    np.testing.assert_array_equal(found.text.lengths, np.where(np.arange(N) % 2, 1, 2))


def test_features_of_pairs_without_labels_have_none_either(dataset, tmp_path):
    bare = dataclasses.replace(dataset, labels=None, classes=())
    extract(bare, tmp_path / "f", image=Colours())
    found = data.load("features", root=tmp_path / "f")
    assert not found.labelled and found.labels.shape == (N, 0)
    assert found.captions == dataset.captions


def test_a_description_that_is_none_is_named(dataset, tmp_path):
    extract(dataset, tmp_path / "f", image=Colours())
    path = tmp_path / "f" / "features.json"
    for content, message in (("[]", "it holds no names and values"), ("{", "it is not JSON")):
        path.write_text(content)
        with pytest.raises(InputError, match=rf"features\.json is damaged: {message}"):
            data.load("features", root=tmp_path / "f")
        with pytest.raises(InputError, match=rf"features\.json is damaged: {message}"):
            extract(dataset, tmp_path / "f", image=Colours())


def test_captions_of_other_items_are_refused(dataset, tmp_path):
    extract(dataset, tmp_path / "f", image=Colours())
    (tmp_path / "f" / "captions.json").write_text('["one"]')
    with pytest.raises(InputError, match=f"features: 1 captions but {N} pairs"):
        data.load("features", root=tmp_path / "f")
