"""Encoding stands below training: a model is opened and used without a trainer."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np

import udsph
from tests.training.conftest import QUICK, make_dataset
from udsph.data import Dataset
from udsph.encoding import Config, Hasher
from udsph.training import UDSPH


def test_a_run_is_opened_and_used_without_the_trainer(tmp_path: Path) -> None:
    dataset = make_dataset()
    model = UDSPH(**QUICK | {"epochs": 1}).fit(dataset, output=tmp_path / "run", progress=False)
    np.save(tmp_path / "items.npy", dataset.image.values)
    code = (
        "import sys, numpy as np; from udsph import Hasher\n"
        f"codes = Hasher.load({str(tmp_path / 'run')!r}).encode_image(np.load({str(tmp_path / 'items.npy')!r}))\n"
        f"np.save({str(tmp_path / 'codes.npy')!r}, codes)\n"
        "print([name for name in ('udsph.training', 'lightning_fabric', 'numba', 'rich') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[]", done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), model.encode_image(dataset.image))


def test_a_model_that_can_be_trained_is_a_hasher() -> None:
    assert issubclass(UDSPH, Hasher)
    assert udsph.Hasher is Hasher and udsph.UDSPH is UDSPH
    assert udsph.training.Config is Config


def test_a_model_goes_to_other_processes(model: UDSPH, scenes: Dataset) -> None:
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.encode_image(scenes.image), model.encode_image(scenes.image))
    assert again.asked == model.asked and again.inputs == model.inputs


def test_one_door_opens_runs_and_shared_models(tmp_path: Path) -> None:
    dataset = make_dataset()
    model = UDSPH(**QUICK | {"epochs": 1}).fit(dataset, progress=False)
    model.save(tmp_path / "run")
    model.share(tmp_path / "shared")
    for folder in ("run", "shared"):
        for kind in (Hasher, UDSPH):
            opened = kind.load(tmp_path / folder, device="cpu")
            assert type(opened) is kind and opened.classes == dataset.classes
            np.testing.assert_array_equal(opened.encode_text(dataset.text), model.encode_text(dataset.text))
