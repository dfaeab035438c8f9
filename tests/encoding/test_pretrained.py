"""A shared model: what lies in the folder, that it encodes raw items as before, and that nothing strange is trusted."""

from __future__ import annotations

import json
import os
import pickle
import stat

import numpy as np
import pytest
import torch

from tests.training.conftest import QUICK, make_dataset
from udsph.encoding import Hasher, encode_file
from udsph.errors import InputError
from udsph.training import UDSPH, evaluate


@pytest.fixture
def shared(model, tmp_path):
    model.save_pretrained(tmp_path / "shared", licence="cc-by-4.0")
    return tmp_path / "shared"


def test_the_folder_gives_the_same_codes(model, scenes, shared):
    assert {path.name for path in shared.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert (shared / "model.safetensors").stat().st_mode & stat.S_IRUSR
    loaded = UDSPH.from_pretrained(shared, device="cpu")
    assert loaded.bits == 16 and loaded.classes == scenes.classes and loaded.inputs == model.inputs
    np.testing.assert_array_equal(loaded.encode_image(scenes.image), model.encode_image(scenes.image))
    np.testing.assert_array_equal(loaded.encode_text(scenes.text), model.encode_text(scenes.text))


def test_raw_captions_are_encoded_as_the_dataset_s_tokens(model, scenes, shared):
    tokens, cut, unknown = UDSPH.from_pretrained(shared).inputs.tokens(scenes.captions)
    assert (cut, unknown) == (0, 0)
    np.testing.assert_array_equal(tokens.values, scenes.text.values)
    np.testing.assert_array_equal(tokens.lengths, scenes.text.lengths)
    np.testing.assert_array_equal(model.encode_text(tokens), model.encode_text(scenes.text))


def test_a_run_keeps_the_preparation_too(model, scenes, tmp_path):
    model.save(tmp_path / "run")
    assert UDSPH.load(tmp_path / "run").inputs == model.inputs
    (tmp_path / "run" / "inputs.json").write_text('{"side": 64}')
    with pytest.raises(InputError, match="does not describe the preparation"):
        UDSPH.load(tmp_path / "run")


def test_the_card_says_data_metrics_and_licence(model, scenes, tmp_path):
    metrics = evaluate(model, scenes)
    placed = Hasher(model.model, model.inputs, {**model.data, "root": "/secret/place"})
    placed.share(tmp_path / "m", licence="apache-2.0", metrics=metrics, data="Drawn scenes.", name="Scenes")
    card = (tmp_path / "m" / "README.md").read_text()
    front = card.split("---")[1]
    assert "license: apache-2.0" in front and "library_name: udsph" in front
    assert f"value: {metrics['image_to_text']['map']:.4f}" in front
    assert "# Scenes" in card and "Drawn scenes." in card and "`scenes`" in card and "16 bits" in card
    row = [f"{metrics['text_to_image'][key]:.4f}" for key in ("map", "ndcg_linear@100", "pair_recall@10")]
    assert f"| text to image | {' | '.join(row)} |" in card
    assert "secret" not in card + (tmp_path / "m" / "config.json").read_text()
    assert json.loads((tmp_path / "m" / "config.json").read_text())["metrics"] == metrics


def test_the_card_of_a_model_without_labels_has_pairs_and_that_of_an_earlier_run_its_map(model, tmp_path):
    pairs = {"pair_recall@10": 0.25, "pair_median_rank": 31.5}
    bare = {"image_to_text": pairs, "text_to_image": pairs, "bits": 16, "n_pairs": 1000, "ties": "expected"}
    model.share(tmp_path / "bare", metrics=bare)
    card = (tmp_path / "bare" / "README.md").read_text()
    assert "| direction | recall@10 of pairs |\n| --- | --- |\n| image to text | 0.2500 |" in card
    assert "recall of an item's own partner among 1,000 pairs; ties: expected." in card and "model-index" not in card
    earlier = {"image_to_text": {"map": 0.5}, "text_to_image": {"map": 0.25}, "n_query": 9, "n_database": 90}
    model.share(tmp_path / "earlier", metrics=earlier)
    card = (tmp_path / "earlier" / "README.md").read_text()
    assert "| direction | MAP |\n" in card and "| text to image | 0.2500 |" in card
    assert "9 queries, 90 items." in card and "value: 0.5000" in card


def test_a_card_without_metrics_and_licence_says_so(model, tmp_path):
    model.save_pretrained(tmp_path / "m")
    card = (tmp_path / "m" / "README.md").read_text()
    assert "None were given" in card and "No licence was stated" in card and "model-index" not in card


def test_only_a_new_folder_or_a_repository_is_written(model, tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitattributes").touch()
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is not empty"):
        model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="licence='my licence'"):
        model.save_pretrained(tmp_path / "new", licence="my licence")
    with pytest.raises(InputError, match="not trained"):
        UDSPH(bits=8).save_pretrained(tmp_path / "untrained")


def test_a_stranger_s_pickle_is_never_read(shared, tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a stranger's file was executed",))

    for name in ("pytorch_model.bin", "checkpoint.pt", "splits.npz", "inputs.json"):
        (shared / name).write_bytes(pickle.dumps(Trap()))
    assert UDSPH.from_pretrained(shared).bits == 16
    (shared / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="damaged"):
        UDSPH.from_pretrained(shared)
    (shared / "model.safetensors").unlink()
    torch.save({}, shared / "model.bin")
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        UDSPH.from_pretrained(shared)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert"}, "not the configuration of a UDSPH model"),
        ({"format": 99}, "format 99"),
        ({"inputs": None}, "'inputs' is missing"),
        ({"inputs": {"side": "64", "words": "", "vocabulary": [], "longest": 0}}, "does not describe"),
        ({"inputs": {"side": 64, "words": "", "vocabulary": [1], "longest": 0}}, "does not describe"),
        ({"training": {"bits": 16, "os.system": "ls"}}, "another version"),
        ({"training": {"bits": 10**9}}, "bits=1000000000"),
        ({"training": {"bits": 24}}, "do not fit"),
        ({"model": {"image": {}}}, "does not describe the networks"),
    ],
    ids=str,
)
def test_a_strange_configuration_is_one_line(shared, change, message):
    path = shared / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message):
        UDSPH.from_pretrained(shared)


def test_what_is_no_shared_model_is_refused(shared, tmp_path):
    with pytest.raises(InputError, match="is no shared model"):
        UDSPH.from_pretrained(tmp_path)
    (shared / "config.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        UDSPH.from_pretrained(shared)


def test_a_model_of_features_says_what_it_takes(tmp_path):
    model = UDSPH(**(QUICK | {"epochs": 1})).fit(make_dataset(), progress=False)
    (tmp_path / "in").mkdir()
    (tmp_path / "in.txt").write_text("text")
    for modality, source in (("image", "in"), ("text", "in.txt")):
        with pytest.raises(InputError, match=r"takes arrays of feature vectors \(n x 12\).*udsph extract"):
            encode_file(model, tmp_path / source, tmp_path / "c.npy", modality=modality)
    with pytest.raises(InputError, match="has no vocabulary"):
        model.inputs.tokens(["text"])


def test_all_files_of_a_run_and_of_a_shared_model_may_be_read_alike(model, tmp_path):
    before = os.umask(0o022)
    try:
        model.save(tmp_path / "run")
        model.share(tmp_path / "shared")
    finally:
        os.umask(before)
    for folder in ("run", "shared"):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / folder).iterdir()}
        assert "model.safetensors" in modes and set(modes.values()) == {0o644}, modes
