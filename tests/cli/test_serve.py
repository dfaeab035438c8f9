"""``udsph serve``: from a trained run to a page, and its end."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch

from udsph import Hasher, data
from udsph.encoding import Config
from udsph.encoding.batches import spec_of
from udsph.encoding.inputs import Inputs
from udsph.encoding.model import Description, Model
from udsph.hamming import Collection

from .command import udsph

pytest.importorskip("fastapi", reason="FastAPI, of the extra serve, is not installed")
pytest.importorskip("uvicorn", reason="uvicorn, of the extra serve, is not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never trained, which nobody notices here, and its index."""
    folder, scenes = tmp_path_factory.mktemp("runs") / "run", data.load("scenes", pairs=120, workers=1)
    description = Description(spec_of(scenes.image), spec_of(scenes.text), scenes.classes)
    model = Model(description, Config(bits=16, width=128, device="cpu"), torch.device("cpu"))
    place = {"name": "scenes", "root": None, "settings": dict(scenes.settings)}
    Hasher(model, Inputs.of(scenes), place).save(folder)
    assert udsph("index", run_index(folder)[0], "--output", run_index(folder)[1]).exit_code == 0
    return folder


def run_index(folder: Path) -> tuple[Path, Path]:
    return folder, folder.parent / "scenes.index"


def get(address: str, path: str) -> bytes:
    with urllib.request.urlopen(f"{address}{path}", timeout=30) as answer:
        found: bytes = answer.read()
    return found


def test_two_commands_give_a_page_and_a_signal_ends_it_at_once(run: Path) -> None:
    """While somebody is connected, and somebody is slow."""
    index = run_index(run)[1]
    command = [sys.executable, "-m", "udsph", "serve", str(run), "--index", str(index), "--port", "0"]
    served = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert served.stderr is not None and served.stdout is not None
        line = served.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert address is not None, line + served.stderr.read()
        assert b"<title>Search" in get(address[0], "/")
        found = json.loads(get(address[0], "/search/text?q=a+red+star&k=3"))
        by_command = json.loads(udsph("search", run, index, "--text", "a red star", "-k", 3, "--json").stdout)
        wanted = [(item["id"], item["distance"], item["caption"]) for item in by_command["answers"][0]["found"]]
        assert [(item["id"], item["distance"], item["caption"]) for item in found["results"]] == wanted
        assert all(item["labels"] for item in found["results"])  # those of the dataset
        assert get(address[0], found["results"][0]["image"]).startswith(b"\x89PNG")
        import socket

        slow = socket.create_connection(("127.0.0.1", int(address[0].rpartition(":")[2])))
        slow.sendall(b"POST /search/image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab")
        time.sleep(0.2)
        served.send_signal(signal.SIGTERM)
        said, errors = served.communicate(timeout=60)
        slow.close()
        assert served.returncode == 0 and "served for" in said and "Traceback" not in errors, errors
    finally:
        served.kill()
        served.wait()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--index", "none.index"], "none.index: No such file"),
        (["--index", "INDEX", "--host", "300.1.1.1"], "300.1.1.1, port 8000"),
        (["--index", "INDEX", "--images", "none-such"], "--images none-such: expected a folder"),
        (["--index", "INDEX", "--items", "none.csv"], "--items none.csv: expected a file"),
        (["--index", "INDEX", "--token-file", "SHORT"], "16 or more"),
        (["--index", "WIDE"], "codes of 32 bits, the model makes codes of 16"),
        (["--index", "EMPTY"], "no manifest"),
    ],
)
def test_what_cannot_be_served_is_one_line(arguments: list[str], said: str, run: Path, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("secret\n")
    (tmp_path / "empty").mkdir()
    with Collection.create(tmp_path / "wide", 32, durability="none") as collection:
        collection.add(np.zeros((1, 4), np.uint8))
    places = {
        "INDEX": run_index(run)[1],
        "SHORT": tmp_path / "short",
        "WIDE": tmp_path / "wide",
        "EMPTY": tmp_path / "empty",
    }
    done = udsph("serve", run, *(places.get(argument, argument) for argument in arguments))
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_port_that_somebody_has_is_one_line(run: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = udsph("serve", run, "--index", run_index(run)[1], "--port", port)
    assert done.exit_code == 2 and f"port {port}" in done.stderr and done.stderr.count("\n") == 1


def test_an_index_of_another_model_is_refused(run: Path, tmp_path: Path) -> None:
    hasher = Hasher.load(run)
    next(iter(hasher.tensors().values())).add_(1)
    hasher.save(tmp_path / "other")
    done = udsph("serve", tmp_path / "other", "--index", run_index(run)[1])
    assert done.exit_code == 2 and "another model" in done.stderr


def test_a_mistake_is_in_the_log_of_the_command(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line: whoever runs the server finds the place, whoever asked does not."""
    from udsph.cli.app import _messages
    from udsph.serve.guard import log

    assert log.name.startswith("udsph")
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with _messages(False):
        log.error('  File "x.py", line 7')
    assert said.getvalue() == 'udsph:   File "x.py", line 7\n'


def test_pictures_come_from_where_the_index_says_or_from_nowhere(run: Path, tmp_path: Path) -> None:
    from udsph.cli.serve import opened
    from udsph.serve.follow import Follower
    from udsph.serve.limits import Limits
    from udsph.serve.state import State

    hasher, index = Hasher.load(run), run_index(run)[1]
    for images, there in ((None, True), ("none", False)):
        source, pictures = opened(hasher, index, None, images, Limits())
        state = State(hasher, Follower(source), pictures)
        assert (state.pictures is not None) == there
        item = state.sample(1)[0]
        assert item.labels and item.name.startswith("scenes ") and item.caption
