"""A model of features takes pictures and texts, where it is known what made the features of its training."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.features.test_packaged import random_weights
from udsph import UDSPH, Hasher, data
from udsph.cli.app import main
from udsph.encoding import items
from udsph.encoding.extractors import Extractors
from udsph.encoding.inputs import Inputs
from udsph.encoding.streaming import encode_file
from udsph.errors import InputError
from udsph.features import extract, image_extractor, text_extractor
from udsph.serve.state import State, Wanted

WORDS = ("red", "green", "blue", "star", "box", "ring")
CAPTIONS = [f"a {WORDS[k % 3]} {WORDS[3 + k // 3 % 3]}, {WORDS[k % 3]}" for k in range(24)]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, weights, features and a run of them."""
    extracted = tmp_path_factory.mktemp("features")
    (extracted / "photos").mkdir()
    rows = ["image,caption,labels,split"]
    for k, caption in enumerate(CAPTIONS):
        pixels = np.zeros((40, 50, 3), np.uint8)
        pixels[:, :, k % 3] = 255
        pixels[k : k + 12, 2 * k :] = 9 * k
        Image.fromarray(pixels).save(extracted / "photos" / f"{k:02}.png")
        rows.append(f'{k:02}.png,"{caption}",{caption.split()[1]},{"query" if k < 4 else "train"}')
    (extracted / "photos" / "pairs.csv").write_text("\n".join(rows) + "\n")
    doubled = {name: value * (2 if value.ndim == 4 else 1) for name, value in random_weights().items()}
    torch.save(doubled, extracted / "w.pth")  # at their usual size random weights make every picture the same
    photos = data.load("folder", root=extracted / "photos", size=224)
    images = image_extractor("efficientnet-lite0", weights=str(extracted / "w.pth"), form="regions", dims=3)
    texts = text_extractor("word2vec", form="regions", dims=8)
    extract(photos, extracted / "features", image=images, text=texts)
    features = data.load("features", root=extracted / "features")
    settings: dict[str, Any] = {
        "bits": 16,
        "epochs": 12,
        "batch_size": 8,
        "label_steps": 20,
        "width": 64,
        "device": "cpu",
    }
    UDSPH(**settings).fit(features, output=extracted / "run", progress=False)
    return extracted


@pytest.fixture(scope="module")
def hasher(extracted: Path) -> Hasher:
    moved = extracted / "moved"  # a run goes on without the folder that it was trained on
    shutil.copytree(extracted / "run", moved)
    return Hasher.load(moved)


@pytest.fixture(scope="module")
def codes(extracted: Path) -> dict[str, np.ndarray]:
    """Of the stored features."""
    features, model = data.load("features", root=extracted / "features"), Hasher.load(extracted / "run")
    found = {"image": model.encode_image(features.image), "text": model.encode_text(features.text)}
    assert min(len(np.unique(rows, axis=0)) for rows in found.values()) > 2
    return found


def paths(extracted: Path) -> list[Path]:
    return sorted((extracted / "photos").glob("*.png"))


def test_pictures_and_texts_have_the_codes_of_their_features(extracted, hasher, codes):
    np.testing.assert_array_equal(hasher.encode_text(CAPTIONS), codes["text"])
    np.testing.assert_array_equal(hasher.encode_image(paths(extracted)), codes["image"])
    opened = [Image.open(path) for path in paths(extracted)[:3]]
    np.testing.assert_array_equal(hasher.encode_image([opened[0], np.asarray(opened[1]), str(paths(extracted)[2])]),
                                  codes["image"][:3])  # fmt: skip
    array = np.stack([np.asarray(Image.open(path)) for path in paths(extracted)])
    np.testing.assert_array_equal(hasher.encode_image(array), codes["image"])
    assert "paths, PIL images or arrays of pixels, through efficientnet-lite0, or arrays of regions" in repr(hasher)


def test_arrays_of_features_are_read_as_before(extracted, hasher, codes):
    stored = np.load(extracted / "features" / "image.npy")
    np.testing.assert_array_equal(hasher.encode_image(stored), codes["image"])
    np.testing.assert_array_equal(hasher.encode_image(list(stored)), codes["image"])


def test_folders_and_files_of_texts_are_encoded(extracted, hasher, codes, tmp_path):
    tally = encode_file(hasher, extracted / "photos", tmp_path / "i.npy", modality="image")
    assert tally.encoded == 24 and "1 files have no image's suffix" in tally.remarks[0]
    np.testing.assert_array_equal(np.load(tmp_path / "i.npy"), codes["image"])
    (tmp_path / "texts.txt").write_text("\n".join(CAPTIONS) + "\nzebra\n")
    tally = encode_file(hasher, tmp_path / "texts.txt", tmp_path / "t.npy", modality="text")
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy")[:24], codes["text"])
    assert tally.remarks[0] == "texts without a word of the vocabulary: 1; they share one code"


def test_extractors_are_made_before_they_are_needed(extracted):
    extractors = Hasher.load(extracted / "run").inputs.extractors
    assert extractors.made() == (extractors, []) and {"images", "texts"} <= extractors.__dict__.keys()


def test_what_classes_looked_at_lies_over_cells_and_words(extracted, hasher):
    seen = hasher.attended("image", paths(extracted)[:2])
    assert seen.grid == (4, 4) and seen.weights.shape == (2, 3, 16)
    seen = hasher.attended("text", ["a red star, zebra", "box"])
    assert seen.words == (("a", "red", "star"), ("box",)) and seen.lengths.tolist() == [3, 1]
    stored = data.load("features", root=extracted / "features").text.take(np.arange(2))
    assert hasher.attended("text", stored).words is None, "features alone do not say of which words"


def test_photographs_are_indexed_and_found_by_words(extracted, capsys, tmp_path):
    index = tmp_path / "photos.index"
    assert main(["index", str(extracted / "run"), str(extracted / "photos"), "--output", str(index), "--quiet"]) == 0
    assert main(["search", str(extracted / "run"), str(index), "--text", CAPTIONS[5], "-k", "2", "--json"]) == 0
    assert ".png" in capsys.readouterr().out


def test_another_extractor_is_refused_by_name(extracted, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(extracted / "run", run)
    content = json.loads((run / "inputs.json").read_text())
    content["extractors"]["text"]["longest"] = 7
    (run / "inputs.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"texts: word2vec is not as it was .*: its longest is 64, was 7"):
        Hasher.load(run).encode_text(["a red star"])
    shutil.rmtree(run / "extractors")
    with pytest.raises(InputError, match="images: what efficientnet-lite0 learnt from the training items is missing"):
        Hasher.load(run).encode_image(paths(extracted))
    inputs = Hasher.load(run).inputs
    left, hindered = inputs.extractors.made()
    assert not left.described and [sentence[:24] for sentence in hindered] == [
        "images are not read: ima",
        "texts are not read: text",
    ]
    content["extractors"] = {"text": {"kind": "regions"}}
    (run / "inputs.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"inputs.json does not describe the extractors"):
        Hasher.load(run)


def test_a_shared_model_keeps_extractors_that_others_can_make(extracted, hasher, codes, tmp_path):
    hasher.share(tmp_path / "shared")
    shared = Hasher.load(tmp_path / "shared")
    np.testing.assert_array_equal(shared.encode_text(CAPTIONS), codes["text"])
    assert str(extracted) not in (tmp_path / "shared" / "config.json").read_text()
    with pytest.raises(InputError, match="images: values of type object given, the model takes arrays of regions"):
        shared.encode_image(paths(extracted))


def test_a_model_of_features_of_ones_own_takes_no_pictures(tmp_path):
    values = np.random.default_rng(0).random((40, 5)).astype(np.float32)
    np.savez(tmp_path / "f.npz", image=values, text=values, labels=np.arange(40) % 2)
    features = data.load("features", root=tmp_path / "f.npz")
    model = UDSPH(bits=8, epochs=1, label_steps=5, device="cpu").fit(features, progress=False)
    with pytest.raises(InputError, match="texts: text given, the model takes arrays of feature vectors"):
        model.encode_text(["a red star"])
    (tmp_path / "texts.txt").write_text("a\n")
    with pytest.raises(InputError, match=r"'texts.txt': the model takes arrays .*udsph extract"):
        encode_file(model, tmp_path / "texts.txt", tmp_path / "t.npy", modality="text")


def test_layers_in_bfloat16_leave_the_extractor_as_it_was(extracted, hasher, codes):
    found = hasher.encode_image(paths(extracted), precision="bf16-mixed")
    stored = np.load(extracted / "features" / "image.npy")
    np.testing.assert_array_equal(found, hasher.encode_image(stored, precision="bf16-mixed"))


def test_words_are_named_whatever_holds_the_texts(hasher):
    for texts in (("red box",), np.array(["red box"]), iter(["red box"])):
        assert hasher.attended("text", texts).words == (("red", "box"),)
    for nothing in ([], np.array([], object)):
        assert hasher.attended("text", nothing).weights.shape[0] == 0
    assert hasher.attended("text", [""]).lengths.tolist() == [0]


def test_texts_go_through_an_extractor_in_pieces(hasher, codes, monkeypatch, caplog):
    monkeypatch.setattr(items, "TEXTS", 5)
    most, read = [], Extractors.read
    monkeypatch.setattr(Extractors, "read", lambda self, texts: (most.append(len(texts)), read(self, texts))[1])
    np.testing.assert_array_equal(hasher.encode_text(iter(CAPTIONS)), codes["text"])
    assert max(most) == 5
    caplog.clear()
    hasher.encode_text(["red " * 65, "zebra", *CAPTIONS[:4], "red " * 64, "zebra " * 70, "red " * 66])
    assert "texts with more than 64 known words: 2;" in caplog.text
    assert "without a word of the vocabulary: 2;" in caplog.text


def test_a_server_says_what_of_a_text_is_read(hasher, monkeypatch):
    state = State.__new__(State)
    state.hasher, state.follower = hasher, SimpleNamespace(view=None)
    monkeypatch.setattr(state, "_searched", lambda view, code, wanted, seconds, remarks: list(remarks), raising=False)
    said = {text: state._encoded_and_searched("text", text, Wanted()) for text in ("red", "red " * 65, "zebra")}
    assert list(said.values()) == [
        [],
        ["only the first 64 known words are read"],
        ["the model knows none of these words"],
    ]


def test_one_picture_is_not_taken_for_regions(extracted, hasher):
    with pytest.raises(InputError, match=r"an array of 40 x 50 x 3 given, .* give a list, also of one"):
        hasher.encode_image(np.asarray(Image.open(paths(extracted)[0])))


def test_a_model_stays_whole_from_another_folder_and_in_a_copy(extracted, codes, monkeypatch):
    monkeypatch.chdir(extracted)
    model = Hasher.load("run")
    monkeypatch.chdir("/")
    for one in (copy.deepcopy(model), model, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(one.encode_text(CAPTIONS), codes["text"])


def test_a_model_is_stored_without_the_folder_of_what_was_learnt(extracted, codes, tmp_path, caplog):
    shutil.copytree(extracted / "run", tmp_path / "run")
    used, unused = Hasher.load(tmp_path / "run"), Hasher.load(tmp_path / "run")
    used.encode_text(["red"])
    shutil.rmtree(tmp_path / "run")
    used.share(tmp_path / "used")
    np.testing.assert_array_equal(Hasher.load(tmp_path / "used").encode_text(CAPTIONS), codes["text"])
    assert "missing" not in caplog.text
    unused.save(tmp_path / "unused")
    assert "what word2vec learnt from the training items is missing" in caplog.text


@pytest.mark.parametrize("content", ["{}", '{"words": ["a"]}', '{"words": 3}'])
def test_damage_of_what_was_learnt_is_named(extracted, tmp_path, content):
    shutil.copytree(extracted / "run", tmp_path / "run")
    (tmp_path / "run" / "extractors" / "word2vec.json").write_text(content)
    with pytest.raises(InputError, match=r"word2vec"):
        Hasher.load(tmp_path / "run").encode_text(["red"])


@pytest.mark.parametrize(
    "content",
    [
        [],
        3,
        None,
        {"text": 3},
        {"label": {"extractor": "glove"}},
        {"text": {"extractor": "../../secret"}},
        {"text": {"extractor": "cnnf"}},
        {"image": {"extractor": "glove"}},
        {"text": {"extractor": ["glove"]}},
        {"image": {"extractor": "cnnf", "weights": 3}},
        {"image": {"extractor": "efficientnet-lite0", "grid": "x"}},
        {"text": {"extractor": "word2vec", "dims": 10**12}},
        {"text": {"extractor": "word2vec", "dims": True}},
        {"text": {"extractor": "glove", "words": 3}},
    ],
    ids=str,
)
def test_strange_descriptions_are_refused(content):
    stored = {**Inputs().as_json(), "extractors": content}
    with pytest.raises(InputError, match=r"inputs.json does not describe"):
        Inputs.from_json(stored, "inputs.json")


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("cnnf", "/w.mat"),
        ("cnnf", "w.mat"),
        ("efficientnet-lite0", "../w.pth"),
        ("huggingface", "/models/clip"),
        ("huggingface", "../clip"),
        ("huggingface", "a/b/c"),
        ("huggingface", "a/.."),
        ("timm", "resnet10t=/w.safetensors"),
        ("timm", "hf-hub:some/one"),
        ("timm", "local-dir:/models"),
    ],
)
def test_a_shared_model_names_no_place_of_weights(kind, weights):
    described = {"image": {"extractor": kind, "form": "vectors", "weights": weights}}
    with pytest.raises(InputError, match=r"config.json: the weights of images are '.*'; a shared model names only"):
        Extractors.from_json(described, "config.json", None, shared=True)
    assert "image" not in Extractors.from_json(described, "inputs.json", None).without_places()


def test_a_shared_model_names_weights_that_others_can_have(tmp_path):
    for kind, weights in (("huggingface", "openai/clip-vit-base-patch32"), ("timm", "resnet50.a1_in1k")):
        described = {"image": {"extractor": kind, "form": "vectors", "weights": weights}}
        read = Extractors.from_json(described, "config.json", tmp_path, shared=True)
        assert read.without_places().described == described


def test_nothing_but_what_extractors_learn_is_copied(tmp_path):
    (tmp_path / "glove.json").write_text("{}")
    (tmp_path / "glove.safetensors").write_text("")
    described = {"text": {"extractor": "glove", "form": "vectors"}}
    Extractors.from_json(described, "inputs.json", tmp_path).store(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_users_own_description_of_features_is_no_extractor(tmp_path):
    for name in ("image", "text", "labels"):
        np.save(tmp_path / f"{name}.npy", np.ones((4, 2), np.float32))
    (tmp_path / "features.json").write_text('{"image": {"extractor": "mine"}, "text": 3}')
    dataset = SimpleNamespace(root=tmp_path, name="features", settings={})
    assert not Extractors.of(dataset).described  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "weights", "message"),
    [
        ("huggingface", "/gone/clip", "^/gone/clip does not exist"),
        ("cnnf", "/gone/w.mat", "/gone/w.mat does not exist"),
        ("timm", "hf-hub:some/one", "hf-hub:some/one: only timm's own models"),
        ("timm", "local-dir:/models", "local-dir:/models: only timm's own models"),
    ],
)
def test_weights_that_are_gone_or_may_run_code_are_named(kind, weights, message):
    described = {"image": {"extractor": kind, "form": "vectors", "weights": weights}}
    extractors = Extractors.from_json(described, "inputs.json", None)
    with pytest.raises(InputError, match=message):
        extractors.images  # noqa: B018
