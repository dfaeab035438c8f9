"""What stands in for Ray where a test is of arithmetic: tasks run at once, in this process, on copies."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from udsph.distributed.cluster import Node


class exceptions:
    class RayTaskError(Exception):
        cause: Any = None


class Task:
    def __init__(self, work: Callable[..., Any]) -> None:
        self.work = work

    def remote(self, *arguments: Any) -> Any:
        return copied(self.work(*copied(arguments)))


def copied(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


class Ray:
    """The calls of ray that evaluation makes."""

    exceptions = exceptions

    @staticmethod
    def put(value: Any) -> Any:
        return copied(value)

    @staticmethod
    def get(values: list[Any]) -> list[Any]:
        return values

    @staticmethod
    def remote(**_: Any) -> Callable[[Callable[..., Any]], Task]:
        return Task


def use(monkeypatch: Any) -> None:
    """Let the room work here."""
    from udsph.distributed import cluster

    monkeypatch.setattr(cluster, "ray", Ray)
    monkeypatch.setattr(cluster, "connect", lambda address=None: None)
    monkeypatch.setattr(cluster, "nodes", lambda: [Node("here", 2)])
