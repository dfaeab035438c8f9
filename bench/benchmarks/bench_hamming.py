"""udsph.hamming: every width, k, number of queries and codes; filters, ranges, memory, and peers at the corners.

Not every combination is run: one parameter varies at a time around 64 bits, k=10, 1000 queries and a million codes,
which keeps the suite under an hour. The levels come from asv's matrix (UDSPH_SIMD).
"""

from __future__ import annotations

import time

import numpy as np

from udsph import hamming

from . import peers
from .common import PEER_SECONDS, SECONDS, best_seconds, random_codes, size, skip_unsupported_level
from .sources import make_source

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)


class _Search:
    """An index of random codes and queries, made once per combination of parameters."""

    timeout = 300
    unit = "Gpairs/s"
    warmup_time = 0
    rounds = 1
    repeat = (2, 5, 4.0)  # at least, at most, and no more after these seconds

    def prepare(self, bits: int, n: int, nq: int) -> None:
        skip_unsupported_level()
        self.index = hamming.FlatIndex(bits)
        self.index.add(random_codes(size(n), bits, 0))
        self.queries = random_codes(nq, bits, 1)

    def rate(self, call) -> float:
        return len(self.index) * len(self.queries) / best_seconds(call, SECONDS) / 1e9


class Width(_Search):
    params = (WIDTHS,)
    param_names = ("bits",)

    def setup(self, bits):
        self.prepare(bits, 1_000_000, 1000)

    def time_search(self, bits):
        self.index.search(self.queries, 10)

    def track_search(self, bits):
        return self.rate(lambda: self.index.search(self.queries, 10))


class Neighbours(_Search):
    params = ((1, 10, 100, 1000),)
    param_names = ("k",)

    def setup(self, k):
        self.prepare(64, 1_000_000, 1000)

    def time_search(self, k):
        self.index.search(self.queries, k)

    def track_search(self, k):
        return self.rate(lambda: self.index.search(self.queries, k))


class Tables:
    """Index after optimize, a batch and one query, on codes that lie in clusters or as a model gives them."""

    timeout = 300
    warmup_time = 0
    rounds = 1
    repeat = (2, 5, 4.0)
    params = (("clustered", "learned", "collapsed"), (1, 10))
    param_names = ("kind", "k")

    def setup(self, kind, k):
        skip_unsupported_level()
        source = make_source(kind, 64)
        self.index = hamming.Index(64, kind="multi")
        self.index.add(source(np.random.default_rng(0), size(1_000_000)))
        self.queries = source(np.random.default_rng(1), 256)
        self.index.optimize()

    def time_search(self, kind, k):
        self.index.search(self.queries, k)

    def time_one_query(self, kind, k):
        self.index.search(self.queries[:1], k)

    def time_range_search(self, kind, k):
        self.index.range_search(self.queries, 4)

    def time_explain(self, kind, k):
        self.index.explain(self.queries, k=k)

    def time_optimize(self, kind, k):
        self.index.optimize()


class Queries(_Search):
    params = ((1, 10, 100, 1000, 10_000),)
    param_names = ("nq",)

    def setup(self, nq):
        self.prepare(64, 1_000_000, nq)

    def time_search(self, nq):
        self.index.search(self.queries, 10)

    def track_search(self, nq):
        return self.rate(lambda: self.index.search(self.queries, 10))


class Codes(_Search):
    params = ((100_000, 1_000_000, 10_000_000),)
    param_names = ("n",)

    def setup(self, n):
        self.prepare(64, n, 1000)

    def time_search(self, n):
        self.index.search(self.queries, 10)

    def track_search(self, n):
        return self.rate(lambda: self.index.search(self.queries, 10))

    def peakmem_search(self, n):
        self.index.search(self.queries, 10)


class Filter(_Search):
    params = ((1.0, 0.5, 0.001),)
    param_names = ("kept",)

    def setup(self, kept):
        self.prepare(64, 1_000_000, 1000)
        self.where = hamming.Bitmap.from_mask(np.random.default_rng(2).random(len(self.index)) < kept)

    def time_search(self, kept):
        self.index.search(self.queries, 10, where=self.where)

    def track_search(self, kept):
        return self.rate(lambda: self.index.search(self.queries, 10, where=self.where))


class Range(_Search):
    params = ((5, 11, 16),)
    param_names = ("radius",)

    def setup(self, radius):
        self.prepare(64, 1_000_000, 1000)

    def time_search(self, radius):
        self.index.range_search(self.queries, radius)

    def track_search(self, radius):
        return self.rate(lambda: self.index.range_search(self.queries, radius))


class Matrix(_Search):
    params = (WIDTHS,)
    param_names = ("bits",)

    def setup(self, bits):
        self.prepare(bits, 1, 100)
        self.codes = random_codes(size(100_000), bits, 0)

    def time_distances(self, bits):
        hamming.distances(self.queries, self.codes)

    def track_distances(self, bits):
        call = lambda: hamming.distances(self.queries, self.codes)  # noqa: E731
        return len(self.codes) * len(self.queries) / best_seconds(call, SECONDS) / 1e9


class Add(_Search):
    params = (WIDTHS,)
    param_names = ("bits",)
    unit = "GB/s"

    def setup(self, bits):
        skip_unsupported_level()
        self.codes = random_codes(size(1_000_000), bits, 0)

    def time_add(self, bits):
        hamming.FlatIndex(bits).add(self.codes)

    def track_add(self, bits):
        return self.codes.nbytes / best_seconds(lambda: hamming.FlatIndex(bits).add(self.codes), SECONDS) / 1e9


class Peers(_Search):
    """How many times as fast as a peer, per pair, in this process; a peer gets the queries that fit in five seconds."""

    params = (("faiss", "usearch", "numpy"), (64, 1024), (1, 1000))
    param_names = (
        "peer",
        "bits",
        "nq",
    )
    unit = "times"

    def setup(self, peer, bits, nq):
        self.prepare(bits, 1_000_000, nq)
        self.codes = self.index.reconstruct(np.arange(len(self.index)))
        try:
            self.peer = getattr(peers, peer)(self.codes, bits)
        except ImportError as error:
            raise NotImplementedError(f"{peer} is not installed") from error

    def track_ratio(self, peer, bits, nq):
        ours = self.rate(lambda: self.index.search(self.queries, 10, threads=1))
        done, start = 0, time.perf_counter()
        while done < nq and (done == 0 or time.perf_counter() - start < PEER_SECONDS):
            self.peer(self.queries[done : done + 20], 10)
            done = min(done + 20, nq)
        theirs = done * len(self.codes) / (time.perf_counter() - start) / 1e9
        return ours / theirs
