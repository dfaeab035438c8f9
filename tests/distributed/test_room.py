"""The room is entered without Ray, and says what is missing where it is not installed."""

from __future__ import annotations

import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from udsph.distributed import ClusterError, cluster, connect
from udsph.errors import MissingExtra


def test_the_room_and_its_index_are_imported_without_ray():
    script = "import sys, udsph.distributed as d; d.ShardedIndex; print('ray' in sys.modules, 'torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"udsph.distributed needs the extra 'distributed'"):
        connect("local")


class NoRay:
    """In place of ray, in a process that is in no cluster."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("auto", ConnectionError("none"), r"address='auto': no Ray cluster runs on this machine: start one with"),
        ("local", RuntimeError("Version mismatch:\n Ray 1.9"), r"address='local': Version mismatch: Ray 1.9"),
        (
            "local",
            PermissionError(13, "Permission denied", "/home/x"),
            r"'local': Ray, which keeps its token in .*/.ray, .*/home/x",
        ),
        ("127.0.0.1:1", None, r"address='127.0.0.1:1': no Ray cluster answers there .*refused"),
        ("somewhere", None, r"address='somewhere': expected auto, local or HOST:PORT"),
        ("ray://a:10001", None, r"Ray Client is not supported"),
    ],
)
def test_no_cluster_at_an_address_is_one_error(monkeypatch, address, error, message):
    monkeypatch.setattr(cluster, "ray", lambda: NoRay(error))
    with pytest.raises(ClusterError, match=message):
        connect(address)


def test_where_a_cluster_does_not_talk_the_token_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "ray", lambda: NoRay(ConnectionError("Failed to connect")))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        for mode, said in ((None, True), ("token", False)):
            monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
            if mode is not None:
                monkeypatch.setenv("RAY_AUTH_MODE", mode)
            with pytest.raises(ClusterError, match=rf"address='{address}': no Ray cluster answers there") as error:
                connect(address)
            assert ("set RAY_AUTH_MODE=token and have its ~/.ray/auth_token here" in str(error.value)) == said


def test_a_cluster_that_ended_without_a_word_is_not_waited_for(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    gone = NoRay(AssertionError("it was tried"))
    services = SimpleNamespace(canonicalize_bootstrap_address=lambda address: f"127.0.0.1:{port}")
    gone._private = SimpleNamespace(services=services)
    monkeypatch.setattr(cluster, "ray", lambda: gone)
    with pytest.raises(ClusterError, match=rf"address='auto': no Ray cluster answers at 127.0.0.1:{port}"):
        connect("auto")
