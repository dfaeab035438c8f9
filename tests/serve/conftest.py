"""One small model and one server of its index, which the tests of the room share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="FastAPI, of the extra serve, is not installed")
pytest.importorskip("uvicorn", reason="uvicorn, of the extra serve, is not installed")

import numpy as np
import torch

from tests.serve.servers import Client, serving, state_of, write_photos
from udsph import data
from udsph.data import Dataset
from udsph.data.directions import MODALITIES
from udsph.encoding import Config, Hasher
from udsph.encoding.batches import read, spec_of
from udsph.encoding.inputs import Inputs
from udsph.encoding.model import Description, Model
from udsph.serve.state import State

COUNT = 30


@pytest.fixture(scope="session")
def scenes() -> Dataset:
    return data.load("scenes", pairs=80, workers=1)


@pytest.fixture(scope="session")
def model(scenes: Dataset) -> Hasher:
    """Never trained, but balanced: each bit is 1 for half of the scenes, so that a code shows what was read."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        description = Description(spec_of(scenes.image), spec_of(scenes.text), scenes.classes)
        made = Model(description, Config(bits=16, width=128, part_width=16, device="cpu"), torch.device("cpu"))
    for name in MODALITIES:
        network = getattr(made.pair, name).eval()
        with torch.no_grad():
            rows = read(getattr(scenes, name), np.arange(len(scenes)), made.device)
            middle = network(*rows).code_logits.quantile(0.5, dim=0)
            network.to_code.bias -= middle.view_as(network.to_code.bias)
    hasher = Hasher(made, Inputs.of(scenes), {"name": "scenes"})
    assert len(np.unique(hasher.encode_image(scenes.image), axis=0)) > 30
    return hasher


@pytest.fixture(scope="session")
def folder(scenes: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("served") / "photos"
    write_photos(scenes, place, COUNT)
    (place.parent / "secret.png").write_bytes((place / "items.csv").read_bytes())
    return place


@pytest.fixture(scope="session")
def state(model: Hasher, folder: Path) -> State:
    return state_of(model, folder, COUNT)


@pytest.fixture(scope="session")
def client(state: State) -> Iterator[Client]:
    with serving(state, hosts=("127.0.0.1", "localhost")) as asked:
        yield asked
