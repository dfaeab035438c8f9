"""udsph.hamming beside searching: pairs within a radius, set similarities, rescoring."""

from __future__ import annotations

import numpy as np

from udsph import hamming

from .common import random_codes, size, skip_unsupported_level
from .sources import fingerprints, make_source, near_duplicates


class _Operation:
    timeout = 300
    warmup_time = 0
    rounds = 1
    repeat = (1, 3, 10.0)


class Pairs(_Operation):
    """Pairs within a radius of a million codes of 64 bits: texts of which a fifth are near-duplicates, and clusters."""

    params = (("near-duplicates", "clustered"), (3, 8))
    param_names = ("kind", "radius")

    def setup(self, kind, radius):
        skip_unsupported_level()
        source = near_duplicates if kind == "near-duplicates" else make_source(kind, 64)
        self.codes = source(np.random.default_rng(0), size(1_000_000))

    def time_pairs(self, kind, radius):
        for _ in hamming.pairs(self.codes, radius):
            pass

    def time_groups(self, kind, radius):
        hamming.groups(self.codes, radius)

    def track_pairs(self, kind, radius):
        return sum(len(block.left) for block in hamming.pairs(self.codes, radius))

    track_pairs.unit = "pairs"


class Similarity(_Operation):
    """Tanimoto among fingerprints of 2048 bits like Morgan's: 256 queries at once, or one."""

    repeat = (2, 5, 4.0)
    params = ((100_000, 1_000_000), (1, 256))
    param_names = ("n", "nq")

    def setup(self, n, nq):
        skip_unsupported_level()
        self.index = hamming.SimilarityIndex(2048)
        self.index.add(fingerprints(np.random.default_rng(0), size(n)))
        self.queries = fingerprints(np.random.default_rng(1), nq)

    def time_search(self, n, nq):
        self.index.search(self.queries, 10)

    def time_range_search(self, n, nq):
        self.index.range_search(self.queries, 0.7)


class Rescoring(_Operation):
    """200 candidates of 100 queries among embeddings of 1024 dimensions, by the bits of an index or by stored rows."""

    repeat = (2, 5, 4.0)
    params = (("index", "int8", "float16"),)
    param_names = ("store",)

    def setup(self, store):
        skip_unsupported_level()
        rng, n = np.random.default_rng(0), size(200_000)
        self.queries = rng.normal(size=(100, 1024)).astype(np.float32)
        self.ids = rng.integers(0, n, (100, 200))
        if store == "index":
            self.store = hamming.FlatIndex(1024)
            self.store.add(random_codes(n, 1024, 0))
        else:
            self.store = rng.integers(-128, 128, (n, 1024), dtype=np.int8).astype(store)

    def time_rescore(self, store):
        hamming.rescore(self.queries, self.store, self.ids, 100)
