"""Every operation once more in plain NumPy: the truth that the other backends are held against.

Arguments are already checked: codes are C-contiguous uint8 rows of one width, ``allowed`` is a boolean mask or None.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from udsph.hamming.filters import BLOCK
from udsph.hamming.results import NO_DISTANCE, NO_ID

_PAIRS_PER_STEP = 1 << 22  # distances held at a time

POPCOUNT = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)

Mask = NDArray[np.bool_]


def distances(queries: NDArray[np.uint8], codes: NDArray[np.uint8], threads: int = 1) -> NDArray[np.int32]:
    """Hamming distances, (nq, n) int32."""
    out = np.zeros((len(queries), len(codes)), np.int32)
    for row, query in zip(out, queries, strict=True):
        for byte in range(codes.shape[1]):
            row += POPCOUNT[codes[:, byte] ^ query[byte]]
    return out


def search(
    queries: NDArray[np.uint8], codes: NDArray[np.uint8], k: int, allowed: Mask | None = None, threads: int = 1
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distances and positions of the k nearest, sorted by (distance, position) and padded, each (nq, k)."""
    candidates = np.arange(len(codes)) if allowed is None else np.flatnonzero(allowed)
    codes = codes[candidates]
    nearest = np.full((len(queries), k), NO_DISTANCE, np.int32)
    positions = np.full((len(queries), k), NO_ID, np.int64)
    found = min(k, len(codes))
    step = max(1, _PAIRS_PER_STEP // max(1, len(codes)))
    for begin in range(0, len(queries), step):
        matrix = distances(queries[begin : begin + step], codes)
        order = np.argsort(matrix, axis=1, kind="stable")[:, :found]
        nearest[begin : begin + step, :found] = np.take_along_axis(matrix, order, axis=1)
        positions[begin : begin + step, :found] = candidates[order]
    return nearest, positions


def range_search(
    queries: NDArray[np.uint8], codes: NDArray[np.uint8], radius: int, allowed: Mask | None = None, threads: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Offsets (nq + 1), distances and positions of all codes within the radius, sorted by (distance, position)."""
    offsets = np.zeros(len(queries) + 1, np.int64)
    near = [np.empty(0, np.int32)]
    positions = [np.empty(0, np.int64)]
    for q in range(len(queries)):
        row = distances(queries[q : q + 1], codes)[0]
        inside = row <= radius
        if allowed is not None:
            inside &= allowed
        found = np.flatnonzero(inside)
        found = found[np.argsort(row[found], kind="stable")]
        offsets[q + 1] = offsets[q] + len(found)
        near.append(row[found])
        positions.append(found)
    return offsets, np.concatenate(near), np.concatenate(positions)


def slice_codes(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint64]:
    """Blocks of 512 codes in slices, (blocks, bits * 8) uint64.

    Word w of slice b of a block holds bit b of its codes 64 w to 64 w + 63, the first in the lowest bit.
    """
    blocks = -(-len(codes) // BLOCK)
    unpacked = np.zeros((blocks * BLOCK, bits), np.uint8)
    unpacked[: len(codes)] = np.unpackbits(codes, axis=1, count=bits, bitorder="little")
    slices = unpacked.reshape(blocks, BLOCK, bits).transpose(0, 2, 1)
    packed = np.ascontiguousarray(np.packbits(slices, axis=2, bitorder="little"))  # packbits keeps the transposed order
    return packed.view("<u8").reshape(blocks, bits * BLOCK // 64)


def unslice_codes(words: NDArray[np.uint64], bits: int, n: int) -> NDArray[np.uint8]:
    """The reverse of ``slice_codes``: the n packed rows."""
    blocks = len(words)
    slices = np.unpackbits(words.view(np.uint8).reshape(blocks, bits, BLOCK // 8), axis=2, bitorder="little")
    return np.packbits(slices.transpose(0, 2, 1).reshape(blocks * BLOCK, bits)[:n], axis=1, bitorder="little")
