"""One small model and one server of its index, which the tests of the room share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="FastAPI, of the extra serve, is not installed")
pytest.importorskip("uvicorn", reason="uvicorn, of the extra serve, is not installed")

from tests.encoding.conftest import model, scenes  # noqa: F401
from tests.serve.servers import Client, serving, state_of, write_photos
from udsph.data import Dataset
from udsph.serve.state import State
from udsph.training import UDSPH

COUNT = 30


@pytest.fixture(scope="session")
def folder(scenes: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    place = tmp_path_factory.mktemp("served") / "photos"
    write_photos(scenes, place, COUNT)
    (place.parent / "secret.png").write_bytes((place / "items.csv").read_bytes())
    return place


@pytest.fixture(scope="session")
def state(model: UDSPH, folder: Path) -> State:  # noqa: F811
    return state_of(model, folder, COUNT)


@pytest.fixture(scope="session")
def client(state: State) -> Iterator[Client]:
    with serving(state, hosts=("127.0.0.1", "localhost")) as asked:
        yield asked
