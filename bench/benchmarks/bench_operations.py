"""udsph.hamming beside searching: pairs within a radius, set similarities, rescoring."""

from __future__ import annotations

import numpy as np

from udsph import hamming

from .common import size, skip_unsupported_level
from .sources import make_source, near_duplicates


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
