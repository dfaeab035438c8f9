"""One small model of pixels and words, which all tests of the room share; none changes it."""

from __future__ import annotations

import pytest

from tests.training.conftest import QUICK
from udsph import data
from udsph.data import Dataset
from udsph.training import UDSPH


@pytest.fixture(scope="session")
def scenes() -> Dataset:
    return data.load("scenes", pairs=80, workers=1)


@pytest.fixture(scope="session")
def model(scenes: Dataset) -> UDSPH:
    return UDSPH(**(QUICK | {"epochs": 1})).fit(scenes, progress=False)
