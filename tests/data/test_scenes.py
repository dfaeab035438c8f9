"""The built-in scenes: determinism, statistics, captions that agree with labels, and settings."""

import numpy as np
import pytest

from udsph import data
from udsph.data.scenes.world import CLASSES


@pytest.fixture(scope="module")
def scenes():
    return data.load("scenes", pairs=600, seed=3, workers=1)


def test_shapes_and_kinds(scenes):
    assert scenes.image.kind == "pixels"
    assert scenes.image.values.shape == (600, 64, 64, 3)
    assert scenes.image.values.dtype == np.uint8
    assert scenes.text.kind == "tokens"
    assert scenes.text.values.dtype == np.int32
    assert scenes.labels.shape == (600, 24)
    assert scenes.classes == CLASSES
    assert len(scenes.captions) == 600


def test_any_number_of_workers_gives_the_same_pairs(scenes):
    parallel = data.load("scenes", pairs=600, seed=3, workers=2)
    np.testing.assert_array_equal(parallel.image.values, scenes.image.values)
    np.testing.assert_array_equal(parallel.labels, scenes.labels)
    assert parallel.captions == scenes.captions
