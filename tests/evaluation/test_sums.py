"""Sums by asymptotics against the sums themselves."""

import math

import numpy as np
import pytest

from udsph.evaluation.sums import discount_between, harmonic_between

RANGES = [(0, 0), (0, 1), (0, 64), (3, 60), (63, 1), (63, 2), (64, 1), (64, 1000), (500, 3), (0, 100_000), (99_999, 1)]


@pytest.mark.parametrize(("start", "count"), RANGES)
def test_partial_sums_keep_their_relative_accuracy(start, count):
    a, m = np.array([float(start)]), np.array([float(count)])
    harmonic = math.fsum(1 / t for t in range(start + 1, start + count + 1))
    discount = math.fsum(1 / math.log2(t + 1) for t in range(start + 1, start + count + 1))
    assert harmonic_between(a, m)[0] == pytest.approx(harmonic, rel=2e-14)
    assert discount_between(a, m)[0] == pytest.approx(discount, rel=2e-14)


def test_single_terms_are_those_of_longer_sums():
    start = np.array([0.0, 5.0, 63.0, 64.0, 1e5])
    alone = discount_between(start, np.ones(5))
    assert alone == pytest.approx(1 / np.log2(start + 2), rel=1e-15)
    beside = discount_between(np.append(start, 0.0), np.append(np.ones(5), 1000.0))
    assert beside[:-1] == pytest.approx(alone, rel=1e-13)
    assert (discount_between(start, np.zeros(5)) == 0).all()


def test_ranks_of_any_database():
    """A whole sum is the sum of its parts at ranks that no table reaches."""
    edges = np.array([0.0, 1e3, 1e6, 1e9, 1e12])
    for function in (harmonic_between, discount_between):
        parts = function(edges[:-1], np.diff(edges))
        assert function(edges[:1], edges[-1:])[0] == pytest.approx(parts.sum(), rel=1e-14)
