"""udsph.hamming: what surrounds the kernels. One query at a time, ids of every kind, few allowed codes, changes."""

from __future__ import annotations

import numpy as np

from udsph import hamming

from .common import random_codes, size, skip_unsupported_level


class OneQuery:
    """The whole Python call of one query among a thousand codes."""

    params = (("plain", "own ids", "mask", "removed"),)
    param_names = ("index",)

    def setup(self, index):
        skip_unsupported_level()
        codes = random_codes(1000, 64, 0)
        self.index = hamming.FlatIndex(64)
        self.index.add(codes, np.random.default_rng(0).permutation(10_000)[:1000] if index == "own ids" else None)
        if index == "removed":
            self.index.remove([3, 700])
        self.query = codes[5]
        self.options = {"where": np.arange(1000) % 2 == 0} if index == "mask" else {}

    def time_search(self, index):
        self.index.search(self.query, 10, **self.options)

    def time_range_search(self, index):
        self.index.range_search(self.query, 8, **self.options)


class Ids:
    """Lookups in many codes by ids of each kind."""

    timeout = 300
    params = (("positions", "integers", "strings"),)
    param_names = ("ids",)

    def setup(self, ids):
        skip_unsupported_level()
        n = size(1_000_000)
        self.codes = random_codes(n, 64, 0)
        self.names = {
            "positions": lambda: range(n),
            "integers": lambda: np.random.default_rng(0).permutation(4 * n)[:n].tolist(),
            "strings": lambda: [f"doc-{i}" for i in range(n)],
        }[ids]()
        self.given = None if ids == "positions" else self.names
        self.index = hamming.FlatIndex(64)
        self.index.add(self.codes, self.given)
        self.one = [self.names[n // 3]]
        self.three = [self.names[5], self.names[n // 2], self.names[n - 2]]
        self.many = list(self.names[: n // 10])

    def time_reconstruct_one(self, ids):
        self.index.reconstruct(self.one)

    def time_reconstruct_many(self, ids):
        self.index.reconstruct(self.many)

    def time_where_three(self, ids):
        self.index.search(self.codes[0], 10, where=self.three)

    def time_contains(self, ids):
        self.one[0] in self.index  # noqa: B015

    def time_search(self, ids):
        self.index.search(self.codes[:1000], 10)

    def time_add(self, ids):
        hamming.FlatIndex(64).add(self.codes, self.given)


class Tail:
    """One query among codes in tables, with and without codes that came later."""

    timeout = 300
    params = ((0, 1000, 100_000),)
    param_names = ("later",)

    def setup(self, later):
        skip_unsupported_level()
        rng = np.random.default_rng(0)
        n = size(1_000_000)
        codes = random_codes(n // 50 + 1, 64, 0)[rng.integers(0, n // 50 + 1, n)]
        codes[:, 0] ^= (1 << rng.integers(0, 8, n)).astype(np.uint8)
        self.index = hamming.Index(64, kind="multi")
        self.index.add(codes[: n // 512 * 512])
        self.index.optimize()
        self.index.add(codes[: size(later) if later else 0])
        self.query = codes[7]

    def time_search(self, later):
        self.index.search(self.query, 10)
