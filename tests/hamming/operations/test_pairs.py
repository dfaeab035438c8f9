"""Pairs within a radius, and what they connect, against all distances."""

import itertools

import numpy as np
import pytest

from udsph import hamming
from udsph.hamming import backend
from udsph.hamming.operations import join_plans, joins

native = pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")


def make(n, bits, rng, flips=4):
    """Codes around some centres, a few of them equal."""
    values = rng.random((max(1, n // 20), bits)) < 0.5
    values = values[rng.integers(0, len(values), n)]
    flipped = rng.integers(0, bits, (n, flips))
    values[np.arange(n)[:, None], flipped] ^= rng.random((n, flips)) < 0.7
    return hamming.pack(values)


def gathered(blocks):
    blocks = list(blocks)
    assert all(len(block.left) for block in blocks)
    assert all(block[0].dtype == block[1].dtype == np.int64 and block[2].dtype == np.int32 for block in blocks)
    return [np.concatenate([np.empty(0, np.int64), *(block[i] for block in blocks)]) for i in range(3)]


def truth(codes, radius, other=None):
    """Positions and distances by the matrix of all distances."""
    matrix = hamming.distances(codes, codes if other is None else other)
    near = matrix <= radius
    left, right = np.nonzero(np.triu(near, 1) if other is None else near)
    return left, right, matrix[left, right]


def same(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def always_joined(monkeypatch):
    """Every plan is a join, however few codes there are."""
    monkeypatch.setattr(join_plans, "_STARTED", 0.0)
    monkeypatch.setattr(join_plans, "_PLACED", 0.0)
    monkeypatch.setattr(join_plans, "_SCANNED", 1e9)


@pytest.mark.parametrize(("bits", "radius"), [(8, 1), (13, 2), (64, 0), (64, 3), (100, 5), (256, 2), (600, 4)])
@pytest.mark.parametrize("n", [0, 1, 2, 700])
def test_pairs_are_those_of_all_distances(engine, bits, radius, n):
    rng = np.random.default_rng([bits, n])
    codes, other = make(n, bits, rng), make(n // 2 + 3, bits, rng)
    other[: n // 3] = codes[: n // 3]
    same(gathered(hamming.pairs(codes, radius, bits=bits)), truth(codes, radius))
    same(gathered(hamming.pairs(codes, radius, other=other, bits=bits)), truth(codes, radius, other))


@native
@pytest.mark.parametrize("level", backend.simd_levels())
@pytest.mark.parametrize("threads", [1, 3, 10**30])
@pytest.mark.parametrize(("bits", "radius"), [(13, 2), (64, 0), (64, 3), (64, 5), (100, 3), (256, 2), (600, 4)])
def test_joins_give_the_pairs_of_all_distances(always_joined, level, threads, bits, radius):
    rng = np.random.default_rng([bits, radius])
    codes, other = make(1500, bits, rng), make(900, bits, rng)
    other[:300] = codes[:300]
    before = backend.simd_level()
    backend.module().set_level(level)
    try:
        assert join_plans.make_plan(codes, codes, radius, bits, 1.0) is not None
        same(gathered(hamming.pairs(codes, radius, bits=bits, threads=threads)), truth(codes, radius))
        found = hamming.pairs(codes, radius, other=other, bits=bits, threads=threads)
        same(gathered(found), truth(codes, radius, other))
    finally:
        backend.module().set_level(before)


@native
@pytest.mark.parametrize("chunks", range(4, 9))
def test_a_join_reports_a_pair_once_whatever_the_cut(chunks):
    codes = make(800, 64, np.random.default_rng(chunks), flips=6)
    for masks in join_plans._cuts(64, chunks, 1):
        assert np.bitwise_or.reduce(masks, axis=0) == 2**64 - 1 and int(masks.sum()) == 2**64 - 1  # disjoint
        same(
            gathered(joins._joined(join_plans.words_of(codes), 0, 800, join_plans.Plan(masks, False), 3, 2)),
            truth(codes, 3),
        )


@native
@pytest.mark.parametrize("level", backend.simd_levels())
@pytest.mark.parametrize(
    ("bits", "radius", "chunks"),
    [(8, 3, 2), (13, 1, 1), (64, 9, 4), (64, 3, 4), (100, 12, 7), (256, 31, 16), (130, 5, 9)],
)
def test_joins_of_close_buckets_give_the_pairs_of_all_distances(level, bits, radius, chunks):
    rng = np.random.default_rng([bits, radius])
    codes, other = make(900, bits, rng, flips=8), make(500, bits, rng)
    other[:300] = codes[:300]
    masks = next(join_plans._cuts(bits, chunks, -(-bits // 64)))
    plan, words = join_plans.Plan(masks, True), join_plans.words_of
    backend.module().set_level(level)
    try:
        same(gathered(joins._joined(words(codes), 0, 900, plan, radius, 2)), truth(codes, radius))
        left, right, distances = gathered(
            joins._joined(words(np.concatenate([codes, other])), 900, 900, plan, radius, 2)
        )
        same((left, right - 900, distances), truth(codes, radius, other))
    finally:
        backend.module().set_level("")


@native
def test_threads_of_a_join_give_the_pairs_of_a_scan(monkeypatch):
    rng = np.random.default_rng(11)
    codes = make(70_000, 64, rng, flips=6)  # so many that threads are started
    codes[:30_000] = rng.integers(0, 256, (30_000, 8), dtype=np.uint8)
    codes[40_000:41_000] = codes[:1000]
    found = []
    three, five = (next(join_plans._cuts(64, chunks, 1)) for chunks in (3, 5))
    for plan in (None, join_plans.Plan(five, False), join_plans.Plan(three, True)):
        monkeypatch.setattr(joins, "make_plan", lambda *arguments, plan=plan: plan)
        found.append(gathered(hamming.pairs(codes, 3, threads=3)))
        assert len(found[0][0]) > 1000
        same(found[-1], found[0])


@native
def test_close_buckets_are_joined_where_that_is_cheapest():
    rng = np.random.default_rng(10)
    codes = rng.integers(0, 256, (3000, 32), dtype=np.uint8)
    assert join_plans.make_plan(codes, codes, 31, 256, 1e13).probed
    assert not join_plans.make_plan(codes, codes, 3, 256, 1e13).probed
    assert join_plans.make_plan(codes, codes, 100, 256, 1e13) is None
    assert join_plans.make_plan(codes, codes, 31, 256, 1e3) is None


@pytest.mark.parametrize("way", ["probe", "join", "scan"])
def test_blocks_are_bounded_and_in_one_order(way, engine, monkeypatch):
    if way != "scan" and not engine.startswith("native"):
        pytest.skip("joins are native")
    plans = {"scan": None, "join": join_plans.Plan(next(join_plans._cuts(64, 6, 1)), False)}
    plans["probe"] = join_plans.Plan(next(join_plans._cuts(64, 4, 1)), True)
    monkeypatch.setattr(joins, "make_plan", lambda *arguments: plans[way])
    codes = make(600, 64, np.random.default_rng(5), flips=3)
    codes[100:220] = codes[7]  # more pairs of one code than a block has room for
    whole = truth(codes, 4)
    for capacity, threads in ((50, 1), (50, 2), (1000, 2)):
        monkeypatch.setattr(joins, "_CAPACITY", capacity)
        monkeypatch.setattr(joins, "_JOINED", 0)
        blocks = list(hamming.pairs(codes, 4, threads=threads))
        same(gathered(blocks), whole)
        assert max(len(block.left) for block in blocks) <= capacity < len(whole[0])


@native
def test_buckets_that_threads_share_give_the_same_pairs(always_joined):
    rng = np.random.default_rng(6)
    codes = np.zeros((9000, 8), np.uint8)  # more than fit in a bucket of one thread
    codes[:, 0] = rng.integers(0, 256, 9000)
    codes[:, 5] = rng.integers(0, 256, 9000)
    index = hamming.FlatIndex(64)
    index.add(codes)
    offsets, distances, right = index.range_search(codes, 1)
    left = np.repeat(np.arange(9000), np.diff(offsets))
    order = np.lexsort((right, left))
    order = order[left[order] < right[order]]
    same(gathered(hamming.pairs(codes, 1, threads=2)), (left[order], right[order], distances[order]))


def test_an_index_names_pairs_by_its_ids(engine):
    rng = np.random.default_rng(7)
    codes, ids = make(400, 64, rng), rng.permutation(5000)[:400]
    index, plain = hamming.FlatIndex(64, bitorder="big"), hamming.Index(64)
    index.add(np.packbits(np.unpackbits(codes, axis=1, bitorder="little"), axis=1), ids=ids)
    index.remove(ids[50:90])
    plain.add(codes)
    kept = np.r_[0:50, 90:400]
    left, right, distances = truth(codes[kept], 3)
    same(gathered(hamming.pairs(index, 3)), (ids[kept][left], ids[kept][right], distances))
    left, right, distances = truth(codes[kept], 3, codes)
    same(gathered(hamming.pairs(index, 3, other=plain)), (ids[kept][left], right, distances))
    mirrored = np.packbits(np.unpackbits(codes, axis=1, bitorder="little"), axis=1)
    same(gathered(hamming.pairs(index, 3, other=mirrored)), (ids[kept][left], right, distances))
    np.testing.assert_array_equal(hamming.groups(index, 3), hamming.groups(codes[kept], 3))
    texts = hamming.FlatIndex(64)
    texts.add(codes, ids=[f"photo {i}" for i in range(400)])
    block = next(hamming.pairs(texts, 3))
    assert block.left.tolist() == [f"photo {i}" for i in next(hamming.pairs(plain, 3)).left]


def components(n, left, right):
    """Connected components by scipy's definition of them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    labels = connected_components(coo_array((np.ones(len(left)), (left, right)), shape=(n, n)), directed=False)[1]
    return np.unique(labels, return_index=True, return_inverse=True)[1:], labels


@pytest.mark.parametrize("radius", [0, 2, 4, 9])
def test_groups_are_connected_components(engine, radius):
    codes = make(500, 64, np.random.default_rng(8))
    left, right, _ = truth(codes, radius)
    (first, place), _ = components(500, left, right)
    found = hamming.groups(codes, radius)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.argsort(np.argsort(first))[place])


@pytest.mark.parametrize(
    "make_components", [joins._Components, *([backend.module().Components] if backend.name() == "native" else [])]
)
def test_links_in_any_order_and_number_connect(make_components):
    rng = np.random.default_rng(9)
    left, right = rng.integers(0, 300, (2, 240))
    together = make_components(300)
    for begin in range(0, 240, 37):
        together.link(left[begin : begin + 37], right[begin : begin + 37])
    _, labels = components(300, left, right)
    found = together.labels()
    for i, j in itertools.combinations(range(300), 2):
        assert (found[i] == found[j]) == (labels[i] == labels[j])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.zeros((2, 8), np.uint8), -1), {}, ValueError, "radius must be at least 0"),
        ((np.zeros((2, 8), np.float32), 1), {}, TypeError, "codes must be"),
        ((np.zeros((2, 8), np.uint8), 1), {"other": np.zeros((2, 4), np.uint8)}, ValueError, "other"),
        ((np.zeros((2, 8), np.uint8), 1), {"other": hamming.FlatIndex(32)}, ValueError, "other must be of 64 bits"),
        ((hamming.FlatIndex(64), 1), {"bits": 32}, ValueError, "codes must be of 32 bits, the index is of 64"),
        ((np.zeros((2, 8), np.uint8), 1), {"threads": 0}, ValueError, "threads must be at least 1"),
    ],
)
def test_wrong_arguments_are_named_at_the_call(arguments, options, error, message):
    with pytest.raises(error, match=message):
        hamming.pairs(*arguments, **options)
