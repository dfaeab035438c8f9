"""A server in a thread of this process, on a free port of the loopback address, and a client as plain as HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from udsph.data import Dataset
from udsph.encoding import Hasher
from udsph.hamming import Collection
from udsph.serve.app import application
from udsph.serve.follow import Follower, Place
from udsph.serve.limits import Limits
from udsph.serve.pictures import Folder
from udsph.serve.server import listen, server
from udsph.serve.state import State

TIMEOUT = 30


@dataclass
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a refusal."""
        said: str = self.json["error"]
        assert set(self.json) == {"error"} and len(said) > 10 and "Traceback" not in said
        return said


@dataclass
class Client:
    """Asks one server."""

    port: int

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return self.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def raw(self, data: bytes, *, timeout: float = TIMEOUT) -> bytes:
        """Everything that comes back for bytes that need be no HTTP."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            found = b""
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(1 << 16):
                    found += part
            return found


@contextlib.contextmanager
def serving(state: State, **settings: Any) -> Iterator[Client]:
    """A client of a server that runs until the end of the block."""
    bound, ready = listen("127.0.0.1", 0), threading.Event()
    running = server(application(state, **settings), state.limits, ready.set)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        assert ready.wait(TIMEOUT)
        yield Client(bound.getsockname()[1])
    finally:
        running.should_exit = True
        thread.join(TIMEOUT)
        bound.close()
        assert not thread.is_alive()


def write_photos(scenes: Dataset, folder: Path, count: int) -> None:
    """Pictures of scenes, some in a folder within the folder, and a table of their captions and labels."""
    assert scenes.captions is not None
    (folder / "sub").mkdir(parents=True)
    rows = ["image,caption,labels"]
    for k in range(count):
        Image.fromarray(np.asarray(scenes.image.values[[k]])[0]).save(folder / name_of(k))
        labels = ";".join(np.array(scenes.classes)[scenes.labels[k] == 1])
        rows.append(f'{name_of(k)},"{scenes.captions[k]}",{labels}')
    (folder / "items.csv").write_text("\n".join(rows), encoding="utf-8")


def name_of(number: int) -> str:
    """Of a picture's file: with what paths and HTML take for their own."""
    return f"{'sub/' if number % 3 == 0 else ''}{number} <b>&ü #?%2e.png"


def state_of(hasher: Hasher, folder: Path, count: int, limits: Limits | None = None) -> State:
    """What is served of ``write_photos``, from a collection in the same folder."""
    path = folder / "codes"
    if not path.exists():
        with Collection.create(path, hasher.bits, durability="none") as collection:
            names = [name_of(k) for k in range(count)]
            collection.add(hasher.encode_image([folder / name for name in names]), ids=names)
    limits = limits or Limits(workers=2)
    source = Place(path, folder / "items.csv", modality="image")
    return State(hasher, Follower(source), Folder(folder, limits.pixels), limits)
