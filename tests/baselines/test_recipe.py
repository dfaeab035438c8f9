"""The recipe of docs/baselines.md, followed to the letter: one new file is a method."""

import numpy as np
import pytest

from udsph import baselines
from udsph.baselines import create, methods, shallow
from udsph.baselines.comparison import Job, Views, run_job

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


@pytest.fixture
def new_method(tmp_path, monkeypatch):
    (tmp_path / "class_codes.py").write_text(NEW_FILE)
    monkeypatch.setattr(shallow, "__path__", [*shallow.__path__, str(tmp_path)])
    baselines.methods.cache_clear()
    yield "class-codes"
    monkeypatch.undo()
    baselines.methods.cache_clear()


def test_one_file_makes_a_method(new_method):
    assert new_method in methods()
    images, texts, labels = planted()
    assert min(both_directions(create(new_method, 16, 0), images, texts, labels, 80)) > 0.9
    row = run_job(Job(new_method, 8, 0), Views(small_set(), fixed_features=True))
    assert row["kind"] == "supervised" and row["text_to_image"]["map"] > 0.9
    assert np.isfinite(row["train_seconds"])
