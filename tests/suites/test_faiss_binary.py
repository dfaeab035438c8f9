"""What FAISS's own tests ask of its binary indexes, asked of ``FlatIndex``, with FAISS beside it to give the answers.

The cases are random ones of our own; the operations are those of its tests of flat indexes, id maps, selectors, shards,
replicas, inverted lists, serialisation and the functions on codes. An adapter speaks FAISS's language: a radius is
exclusive, a position moves up when a code before it is removed, a range result has ``lims``.

FAISS leaves open which of several items at the last distance it returns, and the order among equal ones. So the
distances must agree exactly, and the ids as sets wherever all items of a distance are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from udsph import hamming
from udsph.hamming import backend

faiss = pytest.importorskip("faiss", reason="faiss-cpu, of the extra bench, is not installed")

WIDTHS = (8, 16, 24, 32, 40, 64, 72, 128, 200, 256, 512, 1000, 2048)
MISSING = 2**31 - 1


@pytest.fixture(autouse=True, params=backend.available())
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test on the native, the Numba and the NumPy backend."""
    backend.use(request.param)
    faiss.omp_set_num_threads(1)
    yield request.param
    backend.use(None)


class Ours:
    """``FlatIndex`` with the interface of ``IndexBinaryFlat``, or of ``IndexBinaryIDMap2`` where ids are given."""

    def __init__(self, d: int, mapped: bool = False, index: hamming.FlatIndex | None = None) -> None:
        self.index = hamming.FlatIndex(d) if index is None else index
        self.mapped = mapped
        self.order = np.empty(0, np.int64)  # by position: the id that the index knows
        self.next_id = 0  # which is not given again, whatever is removed

    @property
    def ntotal(self) -> int:
        return len(self.index)

    def add(self, x: np.ndarray) -> None:
        self.add_with_ids(x, np.arange(self.next_id, self.next_id + len(x)), given=False)
        self.next_id += len(x)

    def add_with_ids(self, x: np.ndarray, ids: np.ndarray, *, given: bool = True) -> None:
        self.index.add(x, ids if given else None)
        self.order = np.concatenate([self.order, ids])

    def search(self, q: np.ndarray, k: int, where: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        found = self.index.search(q, k, where=None if where is None else self._known(where))
        return found.distances, self._named(found.ids)

    def range_search(
        self, q: np.ndarray, radius: int, where: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if radius <= 0:  # nothing is nearer than 0
            return np.zeros(len(q) + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64)
        found = self.index.range_search(q, radius - 1, where=None if where is None else self._known(where))
        return found.offsets, found.distances, self._named(found.ids)

    def reconstruct(self, key: int) -> np.ndarray:
        return self.index.reconstruct(self._known(np.array([key])))[0]

    def reconstruct_n(self, first: int, n: int) -> np.ndarray:
        return self.index.reconstruct(self.order[first : first + n])

    def remove_ids(self, ids: np.ndarray) -> int:
        """FAISS passes over ids that it does not have."""
        known = np.intersect1d(ids, self.order if self.mapped else np.arange(self.ntotal))
        gone = self._known(known)
        self.index.remove(gone)
        self.order = self.order[~np.isin(self.order, gone)]
        return len(gone)

    def _known(self, names: np.ndarray) -> np.ndarray:
        return names if self.mapped else self.order[names]

    def _named(self, ids: np.ndarray) -> np.ndarray:
        """FAISS calls a code by its position of now."""
        if self.mapped or not len(self.order):
            return ids
        return np.where(ids < 0, -1, np.searchsorted(self.order, ids))


def codes(rng: np.random.Generator, n: int, d: int, kinds: int = 0) -> np.ndarray:
    """Random codes; of few kinds, so that many are equal, where ``kinds`` is given."""
    made = rng.integers(0, 256, (kinds or n, d // 8), dtype=np.uint8)
    return made[rng.integers(0, kinds, n)] if kinds else made


def theirs(d: int, x: np.ndarray) -> Any:
    index = faiss.IndexBinaryFlat(d)
    index.add(x)
    return index


def ours(d: int, x: np.ndarray) -> Ours:
    index = Ours(d)
    index.add(x)
    return index


def assert_same_top(mine: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], reference: Any) -> None:
    """Equal distances; equal sets of ids below the last distance; at it, ids that have it, each once."""
    np.testing.assert_array_equal(mine[0], other[0])
    assert mine[1].dtype == np.int64 and mine[0].dtype == np.int32
    for distances, mine_ids, their_ids, of_all in zip(mine[0], mine[1], other[1], reference, strict=True):
        kept = mine_ids >= 0
        np.testing.assert_array_equal(kept, their_ids >= 0)
        assert (distances[~kept] == MISSING).all()
        assert len(set(mine_ids[kept])) == kept.sum(), "each once"
        assert [of_all[name] for name in mine_ids[kept].tolist()] == distances[kept].tolist()
        below = kept & (distances < distances[-1])
        assert set(mine_ids[below]) == set(their_ids[below])


def assert_same_range(mine: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> None:
    """Equal numbers of results, and equal pairs of distance and id for each query."""
    np.testing.assert_array_equal(mine[0], other[0].astype(np.int64))
    for begin, end in zip(mine[0][:-1], mine[0][1:], strict=True):
        pairs = [sorted(zip(d[begin:end].tolist(), i[begin:end].tolist(), strict=True)) for _, d, i in (mine, other)]
        assert pairs[0] == pairs[1]


def table(index: Any, q: np.ndarray) -> list[dict[int, int]]:
    """For each query the distance of every item, as FAISS has it."""
    distances, ids = index.search(q, max(1, index.ntotal))
    return [dict(zip(i.tolist(), d.tolist(), strict=True)) for d, i in zip(distances, ids, strict=True)]


@pytest.mark.parametrize("d", WIDTHS)
def test_flat_search(d):
    rng = np.random.default_rng(d)
    for n, kinds in ((700, 0), (700, 30), (1, 0), (513, 1)):
        x, q = codes(rng, n, d, kinds), codes(rng, 9, d)
        mine, other = ours(d, x), theirs(d, x)
        for k in (1, 3, 10, n, n + 7):
            for other.use_heap in (True, False):
                assert_same_top(mine.search(q, k), other.search(q, k), table(other, q))


@pytest.mark.parametrize("d", WIDTHS)
def test_range_search(d):
    rng = np.random.default_rng(d)
    for n, kinds in ((600, 0), (600, 20)):
        x, q = codes(rng, n, d, kinds), codes(rng, 7, d)
        q[0] = x[0]
        mine, other = ours(d, x), theirs(d, x)
        for radius in (0, 1, d // 4, d // 2 - 1, d // 2, d // 2 + 3, d, d + 1):
            assert_same_range(mine.range_search(q, radius), other.range_search(q, radius))


def test_an_empty_index_and_no_queries():
    rng = np.random.default_rng(0)
    x, q = codes(rng, 20, 32), codes(rng, 5, 32)
    for mine, other in ((Ours(32), faiss.IndexBinaryFlat(32)), (ours(32, x[:0]), theirs(32, x[:0]))):
        assert_same_top(mine.search(q, 10), other.search(q, 10), [{}] * 5)
        assert_same_range(mine.range_search(q, 33), other.range_search(q, 33))
        assert mine.ntotal == other.ntotal == 0
        assert mine.reconstruct_n(0, 0).shape == (0, 4)
    mine, other = ours(32, x), theirs(32, x)
    assert mine.search(q[:0], 3)[0].shape == other.search(q[:0], 3)[0].shape == (0, 3)
    assert_same_range(mine.range_search(q[:0], 9), other.range_search(q[:0], 9))


def test_assign_and_search_in_one_call():
    rng = np.random.default_rng(1)
    x, q = codes(rng, 300, 64), codes(rng, 8, 64)
    reference = theirs(64, x)
    for variant in ("hc", "mc"):
        found = hamming.search(q, x, 6)
        assert_same_top((found.distances, found.ids), faiss.knn_hamming(q, x, 6, variant=variant), table(reference, q))
    assigned = reference.assign(q, 1)
    distances, ids = ours(64, x).search(q, 1)
    every = hamming.distances(q, x)
    unique = (every == distances).sum(axis=1) == 1
    assert unique.any()
    np.testing.assert_array_equal(ids[unique], np.reshape(assigned, (-1, 1))[unique])


@pytest.mark.parametrize("mapped", [False, True])
def test_reconstruct(mapped):
    rng = np.random.default_rng(2)
    x, ids = codes(rng, 400, 72), rng.choice(10**12, 400, replace=False)
    mine, other = Ours(72, mapped), theirs(72, x)
    mine.add_with_ids(x, ids) if mapped else mine.add(x)
    if mapped:
        by_id = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(72))
        by_id.add_with_ids(x, ids)
    for place in (0, 1, 12, 399):
        key = int(ids[place]) if mapped else place
        np.testing.assert_array_equal(mine.reconstruct(key), (by_id if mapped else other).reconstruct(key))
    np.testing.assert_array_equal(mine.reconstruct_n(0, 4), other.reconstruct_n(0, 4))
    np.testing.assert_array_equal(mine.reconstruct_n(100, 300), other.reconstruct_n(100, 300))
    with pytest.raises(ValueError, match="is not in the index"):
        mine.index.reconstruct([10**12 + 1])


@pytest.mark.parametrize("largest", [500, 2**31, 2**63 - 1])
def test_an_id_map(largest):
    rng = np.random.default_rng(3)
    d = 40
    x, q, ids = codes(rng, 300, d, 60), codes(rng, 6, d), rng.choice(largest, 300, replace=largest > 10**10)
    mine, other = Ours(d, mapped=True), faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(d))
    for part in (slice(0, 100), slice(100, 101), slice(101, 300)):
        mine.add_with_ids(x[part], ids[part])
        other.add_with_ids(x[part], ids[part])
    for k in (1, 7, 300, 310):
        assert_same_top(mine.search(q, k), other.search(q, k), table(other, q))
    assert_same_range(mine.range_search(q, 15), other.range_search(q, 15))
    gone = np.concatenate([ids[::3], [largest - 1]])
    assert mine.remove_ids(gone) == other.remove_ids(gone)
    assert mine.ntotal == other.ntotal
    assert_same_top(mine.search(q, 20), other.search(q, 20), table(other, q))
    assert_same_range(mine.range_search(q, 17), other.range_search(q, 17))


def selectors(n: int, rng: np.random.Generator) -> Iterator[tuple[Any, np.ndarray]]:
    """Selectors of positions, and the positions that they select."""
    some = np.unique(rng.integers(0, n, n // 3))
    bits = np.zeros(n, bool)
    bits[some] = True
    bitmap = np.packbits(bits, bitorder="little")
    yield faiss.IDSelectorBatch(some), some
    yield faiss.IDSelectorArray(some), some
    yield faiss.IDSelectorBitmap(n, faiss.swig_ptr(bitmap)), some
    yield faiss.IDSelectorRange(n // 4, n // 2), np.arange(n // 4, n // 2)
    yield faiss.IDSelectorAll(), np.arange(n)
    inner = faiss.IDSelectorBatch(some)
    yield faiss.IDSelectorNot(inner), np.flatnonzero(~bits)
    yield faiss.IDSelectorBatch(some[:0]), some[:0]
    yield faiss.IDSelectorBatch(some[:2]), some[:2]


@pytest.mark.parametrize("d", [16, 64, 256])
def test_selectors(d):
    """As ids, as a mask and as a bitmap."""
    rng = np.random.default_rng(4)
    n = 700
    x, q = codes(rng, n, d, 200), codes(rng, 5, d)
    mine, other = ours(d, x), theirs(d, x)
    for selector, allowed in selectors(n, rng):
        parameters = faiss.SearchParameters(sel=selector)
        mask = np.isin(np.arange(n), allowed)
        for k in (1, 10, n):
            expected = other.search(q, k, params=parameters)
            assert_same_top(mine.search(q, k, allowed), expected, table(other, q))
            for where in (mask, hamming.Bitmap.from_mask(mask)):
                found = mine.index.search(q, k, where=where)
                assert_same_top((found.distances, found.ids), expected, table(other, q))
        radius = d // 2
        expected = other.range_search(q, radius, params=parameters)
        assert_same_range(mine.range_search(q, radius, allowed), expected)


def test_selectors_of_an_id_map():
    rng = np.random.default_rng(5)
    x, q, ids = codes(rng, 200, 64), codes(rng, 4, 64), rng.choice(10**9, 200, replace=False)
    mine, other = Ours(64, mapped=True), faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(64))
    mine.add_with_ids(x, ids)
    other.add_with_ids(x, ids)
    parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(ids[::4]))
    assert_same_top(mine.search(q, 60, ids[::4]), other.search(q, 60, params=parameters), table(other, q))
    assert_same_range(mine.range_search(q, 33, ids[::4]), other.range_search(q, 33, params=parameters))


def test_adding_one_index_to_another():
    """FAISS has no merge of flat binary indexes; people add what the other reconstructs."""
    rng = np.random.default_rng(6)
    x, q = codes(rng, 900, 48, 300), codes(rng, 6, 48)
    mine, other = ours(48, x[:333]), theirs(48, x[:333])
    mine.add(ours(48, x[333:]).reconstruct_n(0, 567))
    other.add(theirs(48, x[333:]).reconstruct_n(0, 567))
    np.testing.assert_array_equal(mine.reconstruct_n(0, 900), other.reconstruct_n(0, 900))
    assert_same_top(mine.search(q, 25), other.search(q, 25), table(other, q))


def test_shards_and_replicas_answer_as_one_index():
    rng = np.random.default_rng(7)
    d, n = 32, 400
    x, q = codes(rng, n, d), codes(rng, 20, d)
    mine = ours(d, x)
    shards, replicas = faiss.IndexBinaryShards(d), faiss.IndexBinaryReplicas(False)
    kept = [theirs(d, x[k * n // 5 : (k + 1) * n // 5]) for k in range(5)] + [theirs(d, x) for _ in range(2)]
    for part in kept[:5]:
        shards.add_shard(part)
    for copy in kept[5:]:
        replicas.addIndex(copy)
    for other in (shards, replicas):
        assert_same_top(mine.search(q, 10), other.search(q, 10), table(kept[-1], q))


def test_an_inverted_file_that_looks_everywhere_and_a_float_index_agree():
    rng = np.random.default_rng(8)
    d = 64
    x, q = codes(rng, 500, d), codes(rng, 10, d)
    quantiser = faiss.IndexBinaryFlat(d)
    inverted = faiss.IndexBinaryIVF(quantiser, d, 4)
    inverted.nprobe, inverted.cp.min_points_per_centroid = 4, 1
    inverted.train(x)
    inverted.add(x)
    floats = faiss.IndexFlatL2(d)
    from_float = faiss.IndexBinaryFromFloat(floats)
    from_float.add(x)
    mine, reference = ours(d, x), table(theirs(d, x), q)
    for other in (inverted, from_float):
        assert_same_top(mine.search(q, 12), other.search(q, 12), reference)
    assert_same_range(mine.range_search(q, 25), inverted.range_search(q, 25))


@pytest.mark.parametrize("mapped", [False, True])
def test_written_and_read_back(mapped, tmp_path: Path):
    """Once more after it was read, by a file and by bytes, as FAISS's tests do."""
    rng = np.random.default_rng(9)
    x, q, ids = codes(rng, 600, 24, 100), codes(rng, 6, 24), rng.choice(10**15, 600, replace=False)
    mine = Ours(24, mapped)
    other = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(24)) if mapped else faiss.IndexBinaryFlat(24)
    for index in (mine, other):
        index.add_with_ids(x, ids) if mapped else index.add(x)
    for turn in range(2):
        other = faiss.deserialize_index_binary(faiss.serialize_index_binary(other))
        mine.index.save(tmp_path / f"{turn}.udsph")
        for read in (hamming.load(tmp_path / f"{turn}.udsph"), hamming.FlatIndex.from_bytes(mine.index.to_bytes())):
            again = Ours(24, mapped, read)
            again.order = mine.order
            assert_same_top(again.search(q, 9), other.search(q, 9), table(other, q))
            assert_same_range(again.range_search(q, 8), other.range_search(q, 8))
            np.testing.assert_array_equal(again.reconstruct_n(0, 600), x)
        mine = again


@pytest.mark.parametrize("width", [1, 2, 3, 8, 16, 32, 64])
def test_the_functions_on_codes(width):
    """All distances, numbers of pairs within a threshold, and those pairs: here a threshold is inclusive in both."""
    rng = np.random.default_rng(10 + width)
    a, b = codes(rng, 13, 8 * width, 6), codes(rng, 31, 8 * width, 9)
    reference = table(theirs(8 * width, b), a)
    every = hamming.distances(a, b)
    assert every.tolist() == [[row[k] for k in range(31)] for row in reference]
    if width not in (8, 16, 32, 64):  # FAISS has these functions for whole words only
        return
    threshold = 4 * width
    count = np.zeros(1, np.uint64)
    arrays = faiss.swig_ptr(a), faiss.swig_ptr(b)
    faiss.hamming_count_thres(*arrays, 13, 31, threshold, width, faiss.swig_ptr(count))
    assert (every <= threshold).sum() == count[0]
    pairs, distances = np.empty((count[0], 2), np.int64), np.empty(count[0], np.int32)
    faiss.match_hamming_thres(*arrays, 13, 31, threshold, width, faiss.swig_ptr(pairs), faiss.swig_ptr(distances))
    found = ours(8 * width, b).index.range_search(a, threshold)
    rows = np.repeat(np.arange(13), np.diff(found.offsets))
    mine = sorted(zip(rows.tolist(), found.ids.tolist(), found.distances.tolist(), strict=True))
    assert mine == sorted(zip(*pairs.T.tolist(), distances.tolist(), strict=True))
    faiss.crosshamming_count_thres(faiss.swig_ptr(b), 31, threshold, width, faiss.swig_ptr(count))
    assert (np.triu(hamming.distances(b, b) <= threshold, 1)).sum() == count[0]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mapped", [False, True])
def test_any_order_of_operations(mapped, seed):
    """Add, remove, search, range, reconstruct, write and read: after each step both know the same."""
    rng = np.random.default_rng(100 + seed)
    d = int(rng.choice([8, 16, 48, 64, 136]))
    mine = Ours(d, mapped)
    other = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(d)) if mapped else faiss.IndexBinaryFlat(d)
    unused = rng.permutation(20_000)
    for _ in range(25):
        step = rng.choice(["add", "add", "remove", "write"])
        if step == "add":
            n = int(rng.choice([0, 1, 30, 511, 512, 513]))
            x, (ids, unused) = codes(rng, n, d, 50), (unused[:n], unused[n:])
            for index in (mine, other):
                index.add_with_ids(x, ids) if mapped else index.add(x)
        elif step == "remove" and mine.ntotal:
            names = mine.order if mapped else np.arange(mine.ntotal)
            gone = rng.choice(names, int(rng.integers(1, len(names) + 1)), replace=False)
            gone = np.concatenate([gone, [30_000]])
            assert mine.remove_ids(gone) == other.remove_ids(gone)
        else:
            mine.index = hamming.FlatIndex.from_bytes(mine.index.to_bytes())
            other = faiss.deserialize_index_binary(faiss.serialize_index_binary(other))
        assert mine.ntotal == other.ntotal
        q, k = codes(rng, 3, d), int(rng.choice([1, 5, 700]))
        assert_same_top(mine.search(q, k), other.search(q, k), table(other, q))
        radius = int(rng.integers(0, d + 2))
        assert_same_range(mine.range_search(q, radius), other.range_search(q, radius))
        if mine.ntotal:
            place = int(rng.integers(mine.ntotal))
            key = int(mine.order[place]) if mapped else place
            np.testing.assert_array_equal(mine.reconstruct(key), other.reconstruct(key))
