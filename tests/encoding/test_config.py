"""The configuration: types, ranges and names are checked when it is made; what old runs call the same is read."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import QUICK, make_dataset
from udsph.encoding import Config, Hasher, config
from udsph.encoding.run_folder import read_recipe
from udsph.errors import InputError
from udsph.training import UDSPH

PAGE = Path(__file__).parents[2] / "docs" / "model.md"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment": "false"}, "augment='false': expected True or False"),
        ({"augment": 1}, "augment=1: expected True or False"),
        ({"attention": 1}, "attention=1: expected one of label, uniform, none"),
        ({"attention": "soft"}, "attention=soft: expected one of label, uniform, none"),
        ({"bits": 64.5}, r"bits=64\.5: expected a whole number"),
        ({"bits": "64"}, "bits='64': expected a whole number"),
        ({"bits": True}, "bits=True: expected a whole number"),
        ({"bits": None}, "bits=None: expected a whole number"),
        ({"bits": 0}, "bits=0: expected 1 to 8,192"),
        ({"bits": 8193}, "bits=8193"),
        ({"learning_rate": "fast"}, "learning_rate='fast': expected a number"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: expected 0 to 10"),
        ({"validation": True}, "validation=True: expected a number"),
        ({"weight_bit": 1j}, "weight_bit=1j: expected a number"),
        ({"device": 1}, "device=1: expected text"),
        ({"precision": "half"}, "precision=half: expected one of 32-true"),
        ({"refit": "maybe"}, "refit=maybe: expected one of auto, true, false"),
        ({"backend": None}, "backend=None: expected one of"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Config(**settings)
    with pytest.raises(InputError, match=message):
        UDSPH(**settings) if settings != {"bits": None} else Config(**settings)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bit", "weight of that loss is called 'weight_bit'; the length of the codes is 'bits'"),
        ("match", "is called 'weight_match'"),
        ("epoch", "did you mean 'epochs'"),
        ("learning-rate", "did you mean 'learning_rate'"),
        ("colour", "known: bits, epochs"),
    ],
)
def test_an_unknown_name_is_refused_and_a_near_one_suggested(name: str, message: str) -> None:
    for make in (lambda given: UDSPH(**given), lambda given: Config(**given), Config.of, Config.from_settings):
        with pytest.raises(InputError, match=f"unknown setting '{name}'.*{message}"):
            make({name: 16})


def test_a_config_is_copied_pickled_and_changed() -> None:
    config = Config(16, epochs=3)
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert dataclasses.replace(config, bits=32) == Config(bits=32, epochs=3)


def test_no_field_is_one_letter_away_from_another() -> None:
    names = Config.names()
    near = [(a, b) for a in names for b in names if a != b and (a == b[:-1] or a == b[1:])]
    assert near == [("device", "devices")]  # of different types: neither takes the other's values


def test_numbers_of_other_libraries_become_plain_ones() -> None:
    made = Config(bits=np.int64(16), learning_rate=np.float32(0.5), averaging=0, augment=np.True_, refit=False)
    assert json.loads(json.dumps(dataclasses.asdict(made)))["bits"] == 16
    assert type(made.bits) is int and type(made.averaging) is float and made.augment is True
    assert made.refit == "false"


def test_text_is_read_as_typed_on_a_command_line() -> None:
    given = {"bits": "16", "augment": "No", "learning_rate": "1e-2", "refit": "true", "backbone": "a/b"}
    assert Config.from_settings(given) == Config(16, augment=False, learning_rate=0.01, refit="true", backbone="a/b")
    for name, value in {"bits": "16.5", "augment": "2", "margin": "wide"}.items():
        with pytest.raises(InputError, match=f"{name}={value}: expected"):
            Config.from_settings({name: value})


@pytest.mark.parametrize(("given", "form"), [(True, "label"), ("yes", "label"), (np.False_, "none"), ("False", "none"),
                                             ("uniform", "uniform")])  # fmt: skip
def test_attention_may_be_said_with_yes_and_no(given: Any, form: str) -> None:
    assert Config(attention=given).attention == Config.from_settings({"attention": given}).attention == form


@pytest.mark.parametrize(("given", "form"), [(True, "codes"), ("no", "none"), ("features", "features")])
def test_the_adversary_may_be_said_with_yes_and_no(given: Any, form: str) -> None:
    assert Config(adversarial=given).adversarial == Config.from_settings({"adversarial": given}).adversarial == form
    assert config.of_earlier_version({"adversarial": True})["adversarial"] == "features"
    assert config.of_earlier_version({"adversarial": False})["adversarial"] == "none"


def test_settings_are_parted_from_those_of_a_dataset() -> None:
    assert Config.part({"bits": "16", "pairs": "80", "seed": 1}) == ({"bits": "16", "seed": 1}, {"pairs": "80"})
    with pytest.raises(InputError, match="the weight of that loss is called 'weight_pairwise'"):
        Config.part({"pairwise": "1"})


def test_a_configuration_and_settings_beside_it_are_refused() -> None:
    with pytest.raises(InputError, match="bits and config are both given"):
        UDSPH(bits=16, config=Config(bits=64))
    with pytest.raises(InputError, match="epochs and config are both given"):
        UDSPH(config=Config(), epochs=3)
    with pytest.raises(InputError, match="expected a Config"):
        UDSPH(config={"bits": 16})  # type: ignore[arg-type]
    assert UDSPH(config=Config(bits=16)).bits == UDSPH(16).bits == 16 and UDSPH().bits == 64


def test_every_field_has_a_line_on_the_page() -> None:
    between = PAGE.read_text(encoding="utf-8").partition("<!-- settings: begin -->")[2]
    assert between.partition("<!-- settings: end -->")[0].strip() == Config.table()
    assert all(field.metadata["meaning"] for field in dataclasses.fields(Config))


def as_written_before(run: Path) -> None:
    """Give a run's configuration the names that version 0.1 had before the weights of losses were renamed."""
    content = json.loads((run / "config.json").read_text())
    old = {new: name for name, new in config.RENAMED.items()}
    content["training"] = {old.get(name, name): value for name, value in content["training"].items()}
    assert {"pairwise", "bit", "equal"} <= set(content["training"])
    (run / "config.json").write_text(json.dumps(content))


def test_runs_and_shared_models_of_before_the_renaming_open(tmp_path: Path) -> None:
    dataset = make_dataset()
    settings = QUICK | {"epochs": 1, "weight_bit": 2.0}
    model = UDSPH(**settings).fit(dataset, output=tmp_path / "run", progress=False)
    model.share(tmp_path / "shared")
    for folder in (tmp_path / "run", tmp_path / "shared"):
        as_written_before(folder)
        opened = Hasher.load(folder)
        assert opened.config == model.config
        np.testing.assert_array_equal(opened.encode_image(dataset.image), model.encode_image(dataset.image))
    assert read_recipe(tmp_path / "run")[0]["weight_bit"] == 2.0
    again = UDSPH(**settings).fit(dataset, output=tmp_path / "run", progress=False)  # found to be the same run
    np.testing.assert_array_equal(again.encode_image(dataset.image), model.encode_image(dataset.image))
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    content["training"]["momentum"] = 0.9
    (tmp_path / "run" / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="was written by another version: its setting 'momentum' is not known"):
        Hasher.load(tmp_path / "run")


@pytest.mark.parametrize(("matched", "parts"), [(True, 4), (False, 4), (True, 0)])
def test_runs_of_before_the_queries_open_and_give_their_codes(tmp_path: Path, matched: bool, parts: int) -> None:
    """Version 0.1 had ``attention`` true or false: whether parts were matched, and whether vectors had any."""
    dataset = make_dataset(("regions", "vectors"))
    kept = parts if matched else 0
    settings = QUICK | {"epochs": 1, "attention": "none", "weight_match": 0.2 * matched, "parts": kept}
    settings |= {"label_loss": "pairwise"}
    model = UDSPH(**settings).fit(dataset, output=tmp_path / "run", progress=False)
    assert ("pair.text.encoder.columns.weight" in model.tensors()) == bool(kept)
    assert not [name for name in model.tensors() if "queries" in name or ".attention." in name]
    path = tmp_path / "run" / "config.json"
    content = json.loads(path.read_text())
    content["training"] |= {"attention": matched, "weight_match": 0.2, "parts": parts}
    del content["training"]["label_loss"]
    path.write_text(json.dumps(content))
    opened = Hasher.load(tmp_path / "run")
    assert opened.config == model.config
    np.testing.assert_array_equal(opened.encode_text(dataset.text), model.encode_text(dataset.text))
    np.testing.assert_array_equal(opened.encode_image(dataset.image), model.encode_image(dataset.image))
    assert Config.of(read_recipe(tmp_path / "run")[0]) == model.config
    with pytest.raises(InputError, match='another attention: "none", not "label"; choose another output'):
        UDSPH(**settings | {"attention": True}).fit(dataset, output=tmp_path / "run", progress=False)


def test_what_was_asked_stays_and_is_worked_out_anew_for_every_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("udsph.training.plan.DEFAULT_EPOCHS", {"vectors": 2})
    monkeypatch.setattr("udsph.training.plan.LEAST_STEPS", 30)
    model = UDSPH(bits=8, label_steps=2, batch_size=4, width=32, device="cpu")
    asked = model.asked
    small, large = make_dataset(n=48), make_dataset(n=120)
    few = model.fit(small, progress=False).config
    assert (few.epochs, few.refit) == (4, "true")  # 36 pairs: 9 steps an epoch, at least 30 in all
    many = model.fit(large, progress=False).config
    assert (many.epochs, many.refit) == (2, "true")  # 90 pairs: 22 steps an epoch, the usual number of epochs
    assert model.asked is asked and asked.epochs == 0 and asked.refit == "auto"
