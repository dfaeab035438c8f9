"""One small model of pixels and words, which all tests of the room share; none changes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.conftest import QUICK
from udsph import data
from udsph.data import Dataset
from udsph.data.directions import MODALITIES
from udsph.encoding.batches import read
from udsph.training import UDSPH


@pytest.fixture(scope="session")
def scenes() -> Dataset:
    return data.load("scenes", pairs=80, workers=1)


@pytest.fixture(scope="session")
def model(scenes: Dataset) -> UDSPH:
    """Trained for a moment, then balanced: each bit is 1 for half of the scenes, so that a code shows what was read."""
    made = UDSPH(**(QUICK | {"epochs": 1})).fit(scenes, progress=False)
    for name in MODALITIES:
        network = getattr(made.model.pair, name).eval()
        with torch.no_grad():
            rows = read(getattr(scenes, name), np.arange(len(scenes)), made.model.device)
            # Midway between two scenes: on one of them rounding, which the size of a batch decides, would be its bit.
            middle = network(*rows).code_logits.quantile(0.5, dim=0)
            network.to_code.bias -= middle.view_as(network.to_code.bias)
        codes = made.codes_of(name, getattr(scenes, name))
        assert len(np.unique(codes, axis=0)) > 40
    return made
