"""What the tests of shards search: one index, and the same codes in files and in collections."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from udsph import hamming
from udsph.distributed import source
from udsph.distributed.calls import Here
from udsph.distributed.index import ShardedIndex
from udsph.hamming import FlatIndex

IDS = ("positions", "integers", "strings")


def codes_of(n: int, bits: int, seed: int = 0) -> np.ndarray:
    """Random codes among which many are near others or the same, so that there are ties across every border."""
    rng = np.random.default_rng(seed)
    heads = np.packbits(rng.random((max(1, n // 40), bits)) < 0.5, axis=1, bitorder="little")
    rows = heads[rng.integers(0, len(heads), n)]
    for _ in range(2):
        bit = rng.integers(0, bits, n)
        flip = rng.random(n) < 0.5
        rows[np.flatnonzero(flip), bit[flip] // 8] ^= (1 << bit[flip] % 8).astype(np.uint8)
    return rows


def ids_of(n: int, kind: str, seed: int = 0) -> Any:
    """Ids of a kind, in no order; None of positions."""
    if kind == "positions":
        return None
    numbers = np.random.default_rng(seed).permutation(3 * n)[:n]
    return numbers if kind == "integers" else [f"item {number}" for number in numbers]


def files_of(folder: Path, codes: np.ndarray, ids: Any, bits: int, cuts: list[int], **options: Any) -> list[Path]:
    """Index files that hold runs of the codes."""
    paths = []
    for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(codes)], strict=True)):
        index = FlatIndex(bits, **options)
        index.add(codes[begin:end], None if ids is None else ids[begin:end])
        paths.append(folder / f"{number:02}.udsph")
        index.save(paths[-1])
    return paths


def index_of(codes: np.ndarray, ids: Any, bits: int, **options: Any) -> FlatIndex:
    """The one index that all is compared with."""
    index = FlatIndex(bits, **options)
    index.add(codes, ids)
    return index


def collection_of(path: Path, codes: np.ndarray, ids: Any, bits: int, removed: Any = None) -> hamming.Collection:
    """The codes in a collection, in several commits; some removed again."""
    with hamming.Collection.create(path, bits) as collection:
        for part in np.array_split(np.arange(len(codes)), 3):
            collection.add(codes[part], None if ids is None else [ids[i] for i in part.tolist()])
            collection.commit()
        if removed is not None:
            collection.remove(removed)
    return hamming.Collection.open(path)


def opened(place: Any, shards: int, partial: str = "error", verify: bool = True) -> ShardedIndex:
    """Shards in this process."""
    find = functools.partial(source.find, place)
    return ShardedIndex._made(find, lambda specs: Here(specs, 1), None, shards, partial, verify)


def same(ours: Any, theirs: Any) -> None:
    """Two results have the same arrays, of the same types."""
    assert type(ours) is type(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_array_equal(one, other)


def all_alike(index: Any, truth: FlatIndex, seed: int = 0) -> None:
    """Everything that an index can be asked is answered as by one index, also what is wrong with the asking."""
    rng = np.random.default_rng(seed)
    n, bits = len(truth), truth.bits
    assert (len(index), index.bits, index.bitorder, index.multi) == (n, bits, truth.bitorder, truth.multi)
    ids = truth.ids
    np.testing.assert_array_equal(index.ids, ids)
    queries = np.concatenate([codes_of(5, bits, 9), truth.reconstruct(ids[rng.integers(0, n, 6)])]).copy(order="C")
    mask = rng.random(n) < 0.3
    many, few = rng.permutation(ids)[: n // 3], rng.permutation(ids)[:3]
    wheres = (None, mask, hamming.Bitmap.from_mask(mask), many, few.tolist(), ids[:0])
    for k in (1, 1000, n + 3):
        same(index.search(queries[:3], k), truth.search(queries[:3], k))
    for where in wheres:
        same(index.search(queries, 10, where=where), truth.search(queries, 10, where=where))
        same(index.search(queries[0], 7, where=where), truth.search(queries[0], 7, where=where))
        same(index.range_search(queries, bits // 6, where=where), truth.range_search(queries, bits // 6, where=where))
    same(index.search(queries[:0], 3), truth.search(queries[:0], 3))
    same(index.range_search(queries[:0], 3), truth.range_search(queries[:0], 3))
    same(index.range_search(queries[0], bits // 3), truth.range_search(queries[0], bits // 3))
    radii = rng.integers(0, bits // 3, len(queries))
    same(index.range_search(queries, radii), truth.range_search(queries, radii))
    own = [mask, None, few] * len(queries)
    same(index.search(queries, 4, where=own[: len(queries)]), truth.search(queries, 4, where=own[: len(queries)]))
    some = rng.permutation(ids)[:30]
    np.testing.assert_array_equal(index.reconstruct(some), truth.reconstruct(some))
    np.testing.assert_array_equal(index.count(some), truth.count(some))
    other = "item" if truth.ids.dtype == object else 10**9
    for id in (*some[:3].tolist(), other, "x", -1, True, 2.5):
        assert (id in index) == (id in truth)


def told(ask: Any) -> tuple[type, str]:
    """The error of a call."""
    try:
        ask()
    except Exception as error:
        return type(error), str(error)
    return type(None), ""
