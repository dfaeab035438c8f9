"""The Ray cluster: found, joined or started. This is where ray is imported, when it is asked for."""

from __future__ import annotations

import importlib
import logging
import os
import socket
from typing import Any, NamedTuple

from udsph.distributed.errors import ClusterError
from udsph.errors import MissingExtra

_SECONDS = 5.0  # until an address that nobody answers at is given up
LOCAL_STORE = 300 << 20  # bytes of the object store of a cluster that is started here


class Node(NamedTuple):
    """A machine of the cluster."""

    id: str
    cpus: int


def ray() -> Any:
    """The package ray.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise MissingExtra("udsph.distributed", "distributed") from None


def connect(address: str | None = None, **options: Any) -> None:
    """Join a Ray cluster, or start one on this machine; nothing happens where this process is in one.

    Parameters
    ----------
    address : str, optional
        "auto": the cluster that runs on this machine. "local": a cluster of this machine alone, which ends with the
        process. HOST:PORT: the head node of a cluster that this machine belongs to. By default ``RAY_ADDRESS`` where it
        is set, else a cluster that runs here, else "local".
    **options
        Of ``ray.init``, such as ``num_cpus`` or ``object_store_memory`` of a cluster that is started.

    Raises
    ------
    ClusterError
        There is no cluster at the address, or it runs another release of Ray or Python.
    MissingExtra
        Ray is not installed.
    """
    engine = ray()
    if engine.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if address is None:
        try:
            return _join(engine, "auto", options)
        except ClusterError:
            address = "local"
    _join(engine, address, options)


def _join(engine: Any, address: str, options: dict[str, Any]) -> None:
    if "://" in address:
        raise ClusterError(
            f"address={address!r}: Ray Client is not supported: run the program on a machine of the cluster, for "
            "example with 'ray job submit'"
        )
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "address": address}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's is 15, which waits for all that others do
        settings |= {"include_dashboard": False, "object_store_memory": LOCAL_STORE}
    elif address != "auto":
        _answers(address, address)
    elif known := _last(engine):
        _answers(known, address)
    try:
        engine.init(**{**settings, **options})
    except ConnectionError as error:
        if address == "auto":
            message = "no Ray cluster runs on this machine: start one with 'ray start --head', or say address='local'"
            raise ClusterError(f"address='auto': {message}") from None
        message = f"address={address!r}: no Ray cluster answers there ({_short(error)})"
        if os.environ.get("RAY_AUTH_MODE") is None:  # Ray looks for a token by itself at "auto" alone
            message += "; of one that asks for a token, set RAY_AUTH_MODE=token and have its ~/.ray/auth_token here"
        raise ClusterError(message) from None
    except RuntimeError as error:
        raise ClusterError(f"address={address!r}: {_short(error)}") from None
    except OSError as error:  # a home folder that cannot be written
        message = f"address={address!r}: Ray, which keeps its token in {os.path.expanduser('~/.ray')}, cannot start"
        raise ClusterError(f"{message} ({_short(error)})") from None


def _last(engine: Any) -> str | None:
    """Where Ray knows of a cluster on this machine, which may have ended without a word; None where it does not say."""
    try:
        return engine._private.services.canonicalize_bootstrap_address("auto")
    except (AttributeError, ConnectionError):
        return None


def _answers(place: str, address: str) -> None:
    """Raise if nobody listens: Ray would try for minutes."""
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdigit():
        raise ClusterError(f"address={address!r}: expected auto, local or HOST:PORT, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS).close()
    except OSError as error:
        there = "there" if place == address else f"at {place}, where one was"
        message = f"address={address!r}: no Ray cluster answers {there} ({_short(error)})"
        raise ClusterError(message + ("; start one with 'ray start --head'" if address == "auto" else "")) from None


def nodes() -> list[Node]:
    """Machines of the cluster that are up, in an order of their own that stays."""
    found = [node for node in ray().nodes() if node["Alive"]]
    return sorted(Node(node["NodeID"], int(node["Resources"].get("CPU", 0))) for node in found)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
