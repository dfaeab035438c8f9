"""A Ray cluster of three nodes on this machine, for the tests that are marked ``cluster``."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from udsph.distributed import connect

STORE = 80 << 20  # bytes of a node's object store


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """The cluster; it starts in seconds, and every test of the session uses it."""
    ray = pytest.importorskip("ray", reason="ray is not installed: the extra 'distributed' brings it")
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        pytest.skip("a cluster needs a network of its own: run tests/distributed/alone.sh python -m pytest -m cluster")
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_worker_niceness", "0")  # else processes of the cluster wait for all others
    # Else threads of Ray Data format tracebacks of what they cannot reach, and pytest may be rewriting a module then:
    # in Python 3.11 two of these at once end in "AST constructor recursion depth mismatch".
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False},
    )
    try:
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=STORE)
        connect(made.address)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
