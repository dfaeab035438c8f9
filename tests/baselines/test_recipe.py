"""The recipe of docs/baselines.md, followed to the letter: one new file is a method, shallow or deep."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from udsph import baselines
from udsph.baselines import create, deep, methods, shallow
from udsph.baselines.comparison import Job, run_job
from udsph.baselines.scoring import Views

from .test_comparison import small_set
from .views import both_directions, planted

NEW_FILE = '''
"""Class codes: ridge regression of random class signs."""

from typing import ClassVar

from udsph.baselines.base import Kind, LinearMethod
from udsph.baselines.linalg import ridge


class ClassCodes(LinearMethod):
    """Each class has random signs; both views regress to the signs of their classes."""

    kind: ClassVar[Kind] = "supervised"
    supervised = True

    def __init__(self, bits=64, random_state=0, penalty=1.0):
        self.bits = bits
        self.random_state = random_state
        self.penalty = penalty

    def _learn(self, images, texts, labels, rng):
        wanted = labels @ rng.choice([-1.0, 1.0], (labels.shape[1], self.bits))
        self.image_weights_ = ridge(images, wanted - wanted.mean(0), self.penalty)
        self.text_weights_ = ridge(texts, wanted - wanted.mean(0), self.penalty)


METHODS = {"class-codes": ClassCodes}
'''

NEW_DEEP_FILE = '''
"""Pair codes: both networks predict the classes, and each other's codes."""

from udsph.baselines.networks import DeepMethod
from udsph.training.losses import classification


class PairCodes(DeepMethod):
    """Classification of both views, and squared distance of the codes of a pair."""

    def _losses(self, batch):
        views = {"image": batch.image, "text": batch.text}
        found = {
            view: classification(outputs.class_logits, batch.labels, single=self.single_label_)
            for view, outputs in views.items()
        }
        return found | {"pair": (batch.image.codes - batch.text.codes).square().mean()}


METHODS = {"pair-codes": PairCodes}
'''


@pytest.fixture
def new_method(tmp_path, monkeypatch):
    yield from added(shallow, "class_codes.py", NEW_FILE, tmp_path, monkeypatch)


@pytest.fixture
def new_deep_method(tmp_path, monkeypatch):
    yield from added(deep, "pair_codes.py", NEW_DEEP_FILE, tmp_path, monkeypatch)


def added(room, file, content, tmp_path, monkeypatch):
    """The name of the method, while the file seems to lie in its room."""
    (tmp_path / file).write_text(content)
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
    baselines.methods.cache_clear()
    yield file.removesuffix(".py").replace("_", "-")
    monkeypatch.undo()
    baselines.methods.cache_clear()


def test_one_file_makes_a_method(new_method):
    assert new_method in methods()
    images, texts, labels = planted()
    assert min(both_directions(create(new_method, 16, 0), images, texts, labels, 80)) > 0.9
    row = run_job(Job(new_method, 8, 0), Views(small_set(), fixed_features=True))
    assert row["kind"] == "supervised" and row["text_to_image"]["map"] > 0.9
    assert np.isfinite(row["train_seconds"])


def test_one_file_makes_a_deep_method(new_deep_method):
    images, texts, labels = planted(n=300)
    assert min(both_directions(create(new_deep_method, 16, 0, epochs=8), images, texts, labels, 80)) > 0.8
    row = run_job(Job(new_deep_method, 8, 0), Views(small_set(), fixed_features=False), epochs=2)
    assert row["kind"] == "deep" and 0 < row["image_to_text"]["map"] <= 1


def test_the_command_line_finds_a_new_file(tmp_path):
    """In a copy of the room, since the command and its workers are other processes."""
    (tmp_path / "class_codes.py").write_text(NEW_FILE)
    hook = f"from udsph.baselines import shallow; shallow.__path__.append({str(tmp_path)!r})"
    (tmp_path / "sitecustomize.py").write_text(hook)
    command = [sys.executable, "-m", "udsph", "compare", "--data", "scenes", "--set", "pairs=60", "--bits", "8"]
    command += ["--methods", "class-codes", "--seeds", "1", "--processes", "1", "--output", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert found.returncode == 0, found.stderr
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert row["method"] == "class-codes" and "error" not in row
