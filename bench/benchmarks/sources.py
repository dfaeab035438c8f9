"""Codes of several kinds, for what depends on how they lie. Nothing here is named like a benchmark."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from udsph import hamming


def make_source(kind: str, bits: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    """A function of (generator, n) that gives n codes of a kind, packed; the same source for codes and queries.

    uniform: independent fair bits. clustered: 100,000 centres, 0 to 15 bits flipped. learned: signs of biased random
    projections of a Gaussian mixture, as a trained model gives them. collapsed: 5,000 centres, 0 to 3 bits flipped, so
    that many codes are equal.
    """
    fixed = np.random.default_rng(12345)
    if kind == "uniform":
        return lambda rng, n: rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)
    if kind in ("clustered", "collapsed"):
        centres = fixed.integers(0, 256, (100_000 if kind == "clustered" else 5_000, bits // 8), dtype=np.uint8)
        most = 15 if kind == "clustered" else 3

        def flipped(rng, n):
            codes, flips = centres[rng.integers(0, len(centres), n)], rng.integers(0, most + 1, n)
            for i in range(most):
                rows = np.flatnonzero(flips > i)
                places = rng.integers(0, bits, len(rows))
                codes[rows, places // 8] ^= (1 << places % 8).astype(np.uint8)
            return codes

        return flipped
    scale = 1 / (1 + np.arange(24)) ** 0.7
    means = fixed.normal(size=(20_000, 24)) * scale
    planes = fixed.normal(size=(24, bits))
    bias = fixed.normal(size=bits) * 0.5 * np.sqrt(np.square(scale).sum())

    def learned(rng, n):
        points = means[rng.integers(0, len(means), n)] + 0.15 * scale * rng.normal(size=(n, 24))
        return hamming.pack(points @ planes + bias)

    return learned


def near_duplicates(rng: np.random.Generator, n: int) -> np.ndarray:
    """Codes of 64 bits as SimHash gives them for texts: uniform, but a fifth differ in 0 to 4 bits from another one."""
    codes, places = rng.integers(0, 256, (n, 8), dtype=np.uint8), rng.permutation(n)
    copies, originals = places[: n // 5], places[n // 5 : 2 * (n // 5)]
    codes[copies] = codes[originals]
    flips = rng.integers(0, 5, len(copies))
    for i in range(4):
        rows = copies[flips > i]
        bits = rng.integers(0, 64, len(rows))
        codes[rows, bits // 8] ^= (1 << bits % 8).astype(np.uint8)
    return codes


def fingerprints(rng: np.random.Generator, n: int, bits: int = 2048) -> np.ndarray:
    """Codes like Morgan fingerprints: some 50 bits of very unequal frequency, half of them those of a family."""
    fixed = np.random.default_rng(12345)
    share = 1 / (8 + np.arange(bits)) ** 0.8
    chances = np.cumsum(fixed.permutation(share / share.sum()))
    scaffolds = [np.searchsorted(chances, fixed.random(25)) for _ in range(2000)]
    codes = np.zeros((n, bits // 8), np.uint8)
    for begin in range(0, n, 65536):
        rows = min(65536, n - begin)
        values = np.zeros((rows, bits), np.uint8)
        common = np.stack([scaffolds[i] for i in rng.integers(0, len(scaffolds), rows)])
        np.put_along_axis(values, common, (rng.random(common.shape) < 0.95).astype(np.uint8), axis=1)
        own = np.searchsorted(chances, rng.random((rows, 70)))
        count = np.clip(rng.normal(28, 11, rows), 3, 70)
        line = np.repeat(np.arange(rows)[:, None], 70, axis=1)[np.arange(70) < count[:, None]]
        values[line, own[np.arange(70) < count[:, None]]] = 1
        codes[begin : begin + rows] = np.packbits(values, axis=1, bitorder="little")
    return codes
