"""A sharded index over time: what a batch over shards costs beside one process, and how it falls with shards.

Needs ray; run it in the namespaces of ``tests/distributed/alone.sh``, or where a local cluster is no matter.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from udsph.hamming import FlatIndex

from .common import random_codes, size

CODES, QUERIES, K = size(4_000_000), size(1000), 10


class Sharded:
    """Codes of 64 bits in shards on this machine."""

    params = ((1, 2, 4),)
    param_names = ("shards",)
    timeout = 300
    number, repeat, warmup_time = 1, 5, 0.0

    def setup(self, shards: int) -> None:
        try:
            import ray  # noqa: F401
        except ImportError:
            raise NotImplementedError("ray is not installed") from None
        from udsph.distributed import ShardedIndex

        self.flat = FlatIndex(64)
        self.flat.add(random_codes(CODES, 64, 0))
        self.queries = random_codes(QUERIES, 64, 1)
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "codes.udsph"
        self.flat.save(path)
        self.index = ShardedIndex.open(path, shards=shards, threads=1, verify=False, address="local")
        self.index.search(self.queries, K)

    def teardown(self, shards: int) -> None:
        import ray

        self.index.close()
        ray.shutdown()
        self.folder.cleanup()

    def time_batch(self, shards: int) -> None:
        self.index.search(self.queries, K)

    def time_one(self, shards: int) -> None:
        self.index.search(self.queries[0], K)

    def track_against_one_process(self, shards: int) -> float:
        """Time of a batch over that of one process with one thread; the best of three each."""
        ours, theirs = (
            min(_seconds(lambda index=index: index.search(self.queries, K, threads=1)) for _ in range(3))
            for index in (self.index, self.flat)
        )
        return ours / theirs


def _seconds(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
