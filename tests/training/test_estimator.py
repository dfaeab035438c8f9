"""UDSPH from Python: training, codes from one modality, repeatability, resuming, bad input."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from tests.training.conftest import QUICK, make_dataset
from udsph.data import Dataset, Modality
from udsph.errors import InputError
from udsph.training import UDSPH, evaluate, evaluate_run, load_run
from udsph.training.phase import Phase


def train(dataset: Dataset, **settings) -> UDSPH:
    return UDSPH(**(QUICK | settings)).fit(dataset, progress=False, output=settings.pop("output", None))


def codes_of(model: UDSPH, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return model.encode_image(dataset.image), model.encode_text(dataset.text)


@pytest.mark.parametrize(
    "kinds", [("vectors", "vectors"), ("pixels", "tokens"), ("regions", "tokens"), ("regions", "vectors")]
)
def test_learns_each_kind_of_data(kinds):
    dataset = make_dataset(kinds, n=160)
    metrics = evaluate(train(dataset, epochs=12), dataset)
    for direction in ("image_to_text", "text_to_image"):
        assert metrics[direction]["map"] > metrics["chance"] + 0.3
    assert metrics["label_to_label"] > 0.95
    assert metrics["bits"] == 16 and metrics["n_query"] == 40 and metrics["n_database"] == 120


@pytest.mark.parametrize("bits", [1, 13, 64, 300])
def test_codes_are_packed_and_padded_with_zeros(toy, bits):
    codes = train(toy, bits=bits, epochs=1).encode_image(toy.image)
    assert codes.shape == (len(toy), -(-bits // 8)) and codes.dtype == np.uint8
    assert not np.unpackbits(codes, axis=1, bitorder="little")[:, bits:].any()


@pytest.mark.parametrize("settings", [{"attention": False}, {"adversarial": "features"}, {"label_net": False}])
def test_switches_leave_a_model_that_trains(scenes_like, settings):
    with_all, without = (train(scenes_like, **given) for given in ({}, settings))
    codes = codes_of(without, scenes_like)
    assert [len(code) for code in codes] == [len(scenes_like)] * 2
    for first in ("pair.image.to_code.weight", "pair.text.to_code.weight"):
        assert not torch.equal(with_all.tensors()[first], without.tensors()[first])


def test_a_code_needs_its_own_modality_only(toy):
    model = train(toy)
    image, text = codes_of(model, toy)
    alone = model.encode_image(toy.image.values[3:5])
    np.testing.assert_array_equal(alone, image[3:5])
    np.testing.assert_array_equal(model.encode_text(toy.text.take(np.array([7]))), text[7:8])
    assert model.encode_image(toy.image.take(np.array([], dtype=np.int64))).shape == (0, 2)


def test_sparse_vectors_are_like_dense_ones(toy):
    sparse = dataclasses.replace(toy, text=Modality("vectors", csr_array(toy.text.values)))
    for a, b in zip(codes_of(train(toy), toy), codes_of(train(sparse), sparse), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_same_seed_gives_the_same_codes_and_another_gives_others(toy):
    first, second, other = (codes_of(train(toy, seed=seed), toy)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_queries_do_not_touch_the_training(toy):
    spoilt = toy.image.values.copy()
    spoilt[toy.splits["query"]] = 100
    changed = dataclasses.replace(toy, image=Modality("vectors", spoilt))
    keep = toy.splits["train"]
    np.testing.assert_array_equal(codes_of(train(toy), toy)[0][keep], codes_of(train(changed), toy)[0][keep])


@pytest.mark.parametrize("refit", ["true", "false"])
@pytest.mark.parametrize("stop", [1, 3, 6])
def test_an_interrupted_training_continues_to_the_same_model(scenes_like, tmp_path, monkeypatch, refit, stop):
    whole = codes_of(train(scenes_like, refit=refit), scenes_like)
    settings, steps, original = QUICK | {"refit": refit}, [], Phase.step

    def interrupted(self, batch, **settings):
        steps.append(batch)
        if len(steps) > 3 * stop:  # batches of an epoch
            raise KeyboardInterrupt
        return original(self, batch, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(Phase, "step", interrupted)
        try:
            UDSPH(**settings).fit(scenes_like, output=tmp_path / "run", progress=False)
        except KeyboardInterrupt:
            assert (tmp_path / "run" / "checkpoint.pt").exists()
    model = UDSPH(**settings).fit(scenes_like, output=tmp_path / "run", progress=False)
    for a, b in zip(whole, codes_of(model, scenes_like), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_run_holds_what_it_promises(toy, tmp_path):
    run = tmp_path / "run"
    model = UDSPH(**QUICK).fit(toy, output=run, progress=False)
    promised = {"config.json", "splits.npz", "inputs.json", "log.csv", "model.safetensors"}
    assert {path.name for path in run.iterdir()} == promised
    assert json.loads((run / "config.json").read_text())["training"]["bits"] == 16
    loaded, arguments, splits = load_run(run)
    for a, b in zip(codes_of(model, toy), codes_of(loaded, toy), strict=True):
        np.testing.assert_array_equal(a, b)
    assert arguments == {"name": "toy", "root": None}
    np.testing.assert_array_equal(splits["query"], toy.splits["query"])
    lines = (run / "log.csv").read_text().splitlines()
    assert lines[0].startswith("phase,epoch,seconds,loss,validation_map,") and len(lines) > 5
    again = UDSPH(**QUICK).fit(toy, output=run, progress=False)
    np.testing.assert_array_equal(again.encode_image(toy.image), model.encode_image(toy.image))


def test_evaluate_run_writes_its_metrics(toy, tmp_path):
    UDSPH(**QUICK).fit(toy, output=tmp_path / "run", progress=False)
    metrics = evaluate_run(tmp_path / "run", dataset=toy)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    against = evaluate_run(tmp_path / "run", dataset=toy, database="query")
    assert against["n_database"] == against["n_query"] == 24
    assert json.loads((tmp_path / "run" / "metrics-query.json").read_text()) == against
    assert 0 <= metrics["codes"]["bit_entropy"] <= 1 and 0 <= metrics["codes"]["bit_correlation"] <= 1


@pytest.mark.parametrize("multi", [False, True])
def test_the_ceiling_is_measured_with_and_without_a_label_network(multi):
    dataset = make_dataset(multi=multi)
    found = {}
    for label_net in (True, False):
        model = train(dataset, label_net=label_net, epochs=1)
        before = torch.get_rng_state()
        found[label_net] = evaluate(model, dataset)["label_to_label"]
        assert torch.equal(before, torch.get_rng_state())
    assert found[True] == pytest.approx(found[False], abs=0.05) and found[True] > 0.8


def test_save_and_load(toy, tmp_path):
    model = train(toy)
    model.save(tmp_path / "saved")
    np.testing.assert_array_equal(UDSPH.load(tmp_path / "saved").encode_text(toy.text), model.encode_text(toy.text))
    with pytest.raises(InputError, match="holds a run already"):
        model.save(tmp_path / "saved")


def test_a_run_keeps_what_was_asked_beside_what_came_of_it(toy, tmp_path):
    settings = {name: value for name, value in QUICK.items() if name != "epochs"}
    model = UDSPH(**settings, label_loss="auto", patience=1).fit(toy, output=tmp_path / "run", progress=False)
    model.save(tmp_path / "saved")
    for folder in ("run", "saved"):
        loaded = UDSPH.load(tmp_path / folder)
        assert loaded.asked == model.asked and loaded.asked.epochs == 0 and loaded.asked.label_loss == "auto"
        assert loaded.config == model.config and loaded.config.epochs > 0
        assert UDSPH.load(tmp_path / folder, device="cpu").asked.device == "cpu"
    path = tmp_path / "run" / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in content.items() if name != "asked"}))
    assert UDSPH.load(tmp_path / "run").asked == model.config, "a run of before is taken at its word"
    path.write_text(json.dumps(content | {"asked": 7}))
    with pytest.raises(InputError, match="'asked' is missing"):
        UDSPH.load(tmp_path / "run")


def test_what_is_not_a_run_is_refused(toy, tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        UDSPH.load(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not a run"):
        UDSPH(**QUICK).fit(toy, output=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_of_other_settings_is_refused(toy, tmp_path):
    UDSPH(**QUICK).fit(toy, output=tmp_path / "run", progress=False)
    with pytest.raises(InputError, match="another bits: 16, not 32"):
        UDSPH(**(QUICK | {"bits": 32})).fit(toy, output=tmp_path / "run", progress=False)


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors"])
def test_a_damaged_run_is_one_line(toy, tmp_path, damage):
    UDSPH(**(QUICK | {"epochs": 1})).fit(toy, output=tmp_path / "run", progress=False)
    path = tmp_path / "run" / damage
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(InputError, match="damaged"):
        UDSPH.load(tmp_path / "run")


def test_a_strange_checkpoint_is_not_unpickled(toy, tmp_path):
    import pickle

    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a stranger's file was executed",))

    UDSPH(**(QUICK | {"epochs": 1})).fit(toy, output=tmp_path / "run", progress=False)
    (tmp_path / "run" / "model.safetensors").unlink()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="damaged"):
        UDSPH(**(QUICK | {"epochs": 1})).fit(toy, output=tmp_path / "run", progress=False)


def test_a_loss_that_is_not_finite_stops_and_names_itself(toy, tmp_path):
    values = toy.image.values.copy()
    values[toy.splits["train"][5]] = np.inf
    broken = dataclasses.replace(toy, image=Modality("vectors", values))
    with pytest.raises(FloatingPointError, match="batch"):
        UDSPH(**QUICK).fit(broken, output=tmp_path / "run", progress=False)


def test_data_without_contrast_is_refused(toy):
    same = dataclasses.replace(toy, labels=np.tile(np.array([[1, 0, 0, 1]], np.uint8), (len(toy), 1)))
    with pytest.raises(InputError, match="the same labels"):
        train(same)
    blank = toy.labels.copy()
    blank[toy.splits["train"][:2]] = 0
    with pytest.raises(InputError, match="2 training items have no label"):
        train(dataclasses.replace(toy, labels=blank))


def test_fewer_items_than_a_batch_train(toy):
    few = dataclasses.replace(toy, splits={**toy.splits, "train": toy.splits["train"][:9]})
    assert len(train(few, batch_size=512).encode_image(toy.image)) == len(toy)


def test_a_dataset_with_other_classes_is_not_evaluated(toy, tmp_path):
    UDSPH(**(QUICK | {"epochs": 1})).fit(toy, output=tmp_path / "run", progress=False)
    turned = dataclasses.replace(toy, classes=toy.classes[::-1], labels=toy.labels[:, ::-1])
    with pytest.raises(InputError, match="classes or their order"):
        evaluate_run(tmp_path / "run", dataset=turned)


def test_an_untrained_model_has_no_codes(toy):
    with pytest.raises(InputError, match="not trained"):
        UDSPH(bits=8).encode_image(toy.image)
