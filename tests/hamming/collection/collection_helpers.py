"""What the tests of collections share: codes, a truth to compare with, other processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from udsph import hamming


def codes_of(numbers, bits=64):
    """A code for each number, the same in every process."""
    numbers = np.asarray(numbers, np.uint64)
    words = -(-bits // 64)
    mixed = (numbers[:, None] * np.uint64(words) + np.arange(words, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    rows = (mixed ^ (mixed >> np.uint64(32))).astype("<u8").view(np.uint8).reshape(len(numbers), -1)
    rows = rows[:, : (bits + 7) // 8].copy()
    if bits % 8:
        rows[:, -1] &= (1 << bits % 8) - 1
    return rows


def same(truth, other, n_queries=20):
    """Both hold the same codes under the same ids, in the same order, and find the same."""
    assert (len(truth), truth.bits, truth.bitorder) == (len(other), other.bits, other.bitorder)
    np.testing.assert_array_equal(truth.ids, other.ids)
    if not truth.multi:
        np.testing.assert_array_equal(truth.reconstruct(truth.ids), other.reconstruct(truth.ids))
    queries = codes_of(np.arange(n_queries), truth.bits)
    for ours, theirs in zip(truth.search(queries, 30), other.search(queries, 30), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(
        truth.range_search(queries, truth.bits // 4), other.range_search(queries, truth.bits // 4), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def program(*arguments):
    """Start ``collection_programs.py`` with this package."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(Path(__file__).with_name("collection_programs.py")), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def new(path, bits=64, **settings):
    """A new collection; nothing is brought to the disk."""
    return hamming.Collection.create(path, bits, durability="none", **settings)
