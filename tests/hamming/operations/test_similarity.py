"""Similarities of sets of bits, against RDKit and against all pairs by the formula."""

import pickle
import threading

import numpy as np
import pytest

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming.operations.sets import similarities_of
from udsph.hamming.operations.similarity import check_metric

WEIGHTS = {"tanimoto": {}, "dice": {}, "containment": {}, "tversky": {"alpha": 0.3, "beta": 1.7}}


def sparse(n, bits, rng, share=0.05):
    """Fingerprints: sets of quite different sizes, some alike, one empty, one full."""
    chance = rng.gamma(2, share / 2, (n, 1)).clip(0, 1)
    values = rng.random((n, bits)) < chance
    alike = rng.integers(0, n, n // 3)
    values[: n // 3] = values[alike] & (rng.random((n // 3, bits)) < 0.9)
    values[n // 2] = False
    values[n // 2 + 1 :][:1] = True
    return hamming.pack(values)


def truth(queries, codes, weights, threshold=0.0, allowed=None):
    """Per query: similarities as float32 and positions, sorted by the definition."""
    for row in similarities_of(queries, codes, weights):
        near = np.flatnonzero(row >= threshold if allowed is None else (row >= threshold) & allowed)
        value = row[near].astype(np.float32)
        order = np.lexsort((near, -value))
        yield value[order], near[order]


def check(index, queries, codes, k, threshold, metric, allowed=None, ids=None, threads=None):
    options = {"metric": metric, **WEIGHTS[metric], "where": allowed, "threads": threads}
    weights = check_metric(metric, options.get("alpha"), options.get("beta"))
    best, every = (
        index.search(queries, k, threshold=threshold, **options),
        index.range_search(queries, threshold, **options),
    )
    assert best.similarities.dtype == every.similarities.dtype == np.float32
    assert best.ids.dtype == every.ids.dtype == every.offsets.dtype == np.int64
    for q, (value, place) in enumerate(truth(queries, codes, weights, threshold, allowed)):
        named = place if ids is None else ids[place]
        begin, end = every.offsets[q : q + 2]
        np.testing.assert_array_equal(every.similarities[begin:end], value)
        np.testing.assert_array_equal(every.ids[begin:end], named)
        padding = max(0, k - len(value))
        np.testing.assert_array_equal(best.similarities[q], np.r_[value[:k], np.full(padding, -1, np.float32)])
        np.testing.assert_array_equal(best.ids[q], np.r_[named[:k], np.full(padding, -1)])


@pytest.mark.parametrize("metric", WEIGHTS)
@pytest.mark.parametrize("bits", [13, 166, 1024, 2048])
def test_searches_give_what_the_formula_gives(engine, bits, metric):
    rng = np.random.default_rng(bits)
    codes = sparse(1300, bits, rng)
    queries = np.concatenate([codes[::90], codes[650:652], sparse(4, bits, rng, 0.2)])
    index = hamming.SimilarityIndex(bits)
    index.add(codes)
    for k, threshold in ((1, 0.0), (10, 0.0), (1500, 0.0), (10, 0.7), (2, 1.0)):
        check(index, queries, codes, k, threshold, metric)


@pytest.mark.parametrize("threads", [1, 2, 3, 10**30])
@pytest.mark.parametrize("nq", [1, 40, 700])
def test_threads_and_batches_change_nothing(threads, nq):
    rng = np.random.default_rng(nq)
    codes = sparse(40_000, 200, rng)[::2] if nq == 40 else sparse(3000, 200, rng)
    index = hamming.SimilarityIndex(200)
    index.add(codes)
    check(index, codes[:nq], codes, 7, 0.5, "tanimoto", threads=threads)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_sets_of_every_density(engine, share):
    rng = np.random.default_rng(1)
    codes = hamming.pack(rng.random((700, 1200)) < share)
    index = hamming.SimilarityIndex(1200)
    index.add(codes)
    check(index, codes[:9], codes, 5, 0.0, "tanimoto")


def test_pieces_ids_and_filters(engine):
    rng = np.random.default_rng(2)
    codes, ids = sparse(1500, 166, rng), rng.permutation(9000)[:1500]
    index = hamming.SimilarityIndex(166)
    begin = 0
    for end in (700, 701, 760, 760, 1100, 1500):
        index.add(codes[begin:end], ids=ids[begin:end])
        begin = end
    assert len(index) == 1500 and index.nbytes > codes.nbytes
    allowed = rng.random(1500) < 0.2
    for where in (None, allowed):
        check(index, codes[:20], codes, 9, 0.4, "tanimoto", where, ids)
    by_mask = index.search(codes[:5], 4, where=allowed)
    for where in (ids[allowed], hamming.Bitmap.from_mask(allowed)):
        np.testing.assert_array_equal(index.search(codes[:5], 4, where=where).ids, by_mask.ids)
    np.testing.assert_array_equal(index.reconstruct(ids[[3, 1400, 730]]), codes[[3, 1400, 730]])
    other = pickle.loads(pickle.dumps(index))
    np.testing.assert_array_equal(other.search(codes[:5], 4).ids, index.search(codes[:5], 4).ids)
    with pytest.raises(ValueError, match="already"):
        index.add(codes[:1], ids=ids[:1])


def test_ids_may_be_texts(engine):
    codes = sparse(50, 166, np.random.default_rng(5))
    index, plain = hamming.SimilarityIndex(166), hamming.SimilarityIndex(166)
    texts = np.array([f"molecule {i}" for i in range(50)], object)
    for begin in (0, 45):
        index.add(codes[begin : begin + 45], ids=texts[begin : begin + 45].tolist())
    plain.add(codes)
    for where in (None, texts[[3, 40, 49]]):
        positions = None if where is None else [3, 40, 49]
        found, wanted = index.search(codes[:3], 8, where=where), plain.search(codes[:3], 8, where=positions)
        assert found.ids.tolist() == [[None if id < 0 else texts[id] for id in row] for row in wanted.ids]
    np.testing.assert_array_equal(index.reconstruct(["molecule 7"]), codes[7:8])
    assert pickle.loads(pickle.dumps(index)).range_search(codes[:1], 1.0).ids[0] == "molecule 0"


@pytest.mark.parametrize("texts", [False, True])
def test_codes_come_and_go_and_are_kept_as_in_any_index(engine, texts, tmp_path):
    """Held after every change against an index that was made of what is left."""
    rng = np.random.default_rng(9)
    codes, numbers = sparse(1400, 166, rng), rng.permutation(9000)[:1400]
    ids = np.array([f"m{i}" for i in numbers], object) if texts else numbers
    index, left = hamming.SimilarityIndex(166), np.zeros(0, int)

    def holds(index):
        fresh = hamming.SimilarityIndex(166)
        fresh.add(codes[left], ids[left])
        assert len(index) == len(left) and index.ids.tolist() == ids[left].tolist()
        allowed = np.arange(len(left)) % 3 == 1
        for where in (None, allowed, ids[left][allowed], ids[left][:2]):
            for ours, wanted in (
                (index.search(codes[:9], 12, where=where), fresh.search(codes[:9], 12, where=where)),
                (index.range_search(codes[:9], 0.4, where=where), fresh.range_search(codes[:9], 0.4, where=where)),
            ):
                assert all((mine == theirs).all() for mine, theirs in zip(ours, wanted, strict=True))
        np.testing.assert_array_equal(index.reconstruct(ids[left][::7]), codes[left][::7])

    def change(new, gone):
        nonlocal left
        index.add(codes[new], ids[new])
        index.remove(ids[gone])
        left = np.setdiff1d(np.append(left, new), gone)
        holds(index)

    change(np.arange(0, 900), np.arange(0, 40))
    change(np.arange(900, 950), np.arange(100, 200, 3))
    index.remove([ids[0]], unknown="ignore")
    with pytest.raises(ValueError, match="is not in the index"):
        index.remove(ids[[0, 300]])
    holds(index)
    index.save(tmp_path / "sets.index")
    for again in (
        hamming.SimilarityIndex.load(tmp_path / "sets.index"),
        hamming.SimilarityIndex.from_bytes(index.to_bytes()),
        pickle.loads(pickle.dumps(index)),
        index.copy(),
    ):
        holds(again)
        again.clear()
    flat = hamming.load(tmp_path / "sets.index")
    np.testing.assert_array_equal(flat.reconstruct(ids[left]), codes[left])
    change(np.arange(950, 1400), np.arange(250, 1100))  # so few are left that positions close up
    other = hamming.SimilarityIndex(166)
    other.merge(index)
    other.merge(flat, duplicates="keep")
    known = [*ids[left], *[id for id in flat.ids if id not in set(ids[left])]]
    assert other.ids.tolist() == known and ids[left[3]] in other


def test_one_id_may_have_several_codes(engine):
    index = hamming.SimilarityIndex(8, multi=True)
    index.add([0b1111, 0b0011, 0b0001], ids=[7, 5, 7])
    assert index.search([0b0001], 3).ids.tolist() == [[7, 5, 7]] and index.count([7]).tolist() == [2]
    index.remove([7])
    assert index.ids.tolist() == [5]


def test_an_index_without_codes_finds_nothing(engine):
    index = hamming.SimilarityIndex(64)
    similarities, ids = index.search(np.zeros((2, 8), np.uint8), 3)
    assert (similarities == -1).all() and (ids == -1).all()
    assert index.range_search(np.zeros((2, 8), np.uint8), 0.0).offsets.tolist() == [0, 0, 0]


def test_rdkit_gives_the_same_similarities():
    data = pytest.importorskip("rdkit.DataStructs")
    rng = np.random.default_rng(3)
    codes = sparse(400, 256, rng, 0.2)
    vectors = [data.CreateFromBitString("".join(map(str, row))) for row in hamming.unpack(codes, 256)]
    index = hamming.SimilarityIndex(256)
    index.add(codes)
    theirs = {
        "tanimoto": lambda a: data.BulkTanimotoSimilarity(a, vectors),
        "dice": lambda a: data.BulkDiceSimilarity(a, vectors),
        "containment": lambda a: data.BulkTverskySimilarity(a, vectors, 1.0, 0.0),
        "tversky": lambda a: data.BulkTverskySimilarity(a, vectors, 0.25, 0.5),
    }
    for metric, similarity in theirs.items():
        weights = {"alpha": 0.25, "beta": 0.5} if metric == "tversky" else {}
        for q in (0, 7, 200, 201):  # 200 is empty, 201 is full
            wanted = np.array(similarity(vectors[q]), np.float32)
            order = np.argsort(-wanted, kind="stable")
            found = index.search(codes[q : q + 1], 400, metric=metric, **weights)
            np.testing.assert_array_equal(found.similarities[0], wanted[order])
            np.testing.assert_array_equal(found.ids[0], order)


def test_one_call_without_an_index():
    rng = np.random.default_rng(4)
    codes = sparse(500, 166, rng)
    index = hamming.SimilarityIndex(166)
    index.add(codes)
    found = hamming.search(codes[:5], codes, 4, bits=166, metric="dice")
    for ours, theirs in zip(found, index.search(codes[:5], 4, metric="dice"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_search_sees_the_codes_that_were_there_at_its_start(engine):
    rng = np.random.default_rng(7)
    query = rng.random(166) < 0.3
    # Every addition has a better match than those before.
    codes = hamming.pack(np.where(np.arange(166) < 4 * np.arange(1, 41)[:, None], query, ~query))
    index, seen, done = hamming.SimilarityIndex(166), [], threading.Event()

    def search():
        while not done.is_set():
            before = len(index)
            best = int(index.search(hamming.pack(query[None]), 1, threads=1).ids[0, 0])
            seen.append(before - 1 <= best < max(1, len(index)))

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for row in codes:
        index.add(row[None])
    done.set()
    for thread in threads:
        thread.join()
    assert seen and all(seen)
    assert index.search(hamming.pack(query[None]), 1).ids.tolist() == [[39]]


def test_one_query_by_itself_has_one_dimension_less(engine):
    codes = sparse(60, 166, np.random.default_rng(6))
    index = hamming.SimilarityIndex(166)
    index.add(codes)
    for search in (index.search, lambda query, k: hamming.search(query, codes, k, bits=166, metric="tanimoto")):
        for one, many in zip(search(codes[3], 4), search(codes[3:4], 4), strict=True):
            np.testing.assert_array_equal(one, many[0])
    for one, many in zip(index.range_search(codes[3], 0.3), index.range_search(codes[3:4], 0.3), strict=True):
        np.testing.assert_array_equal(one, many)
    near = hamming.search(codes[3], codes, 4)
    assert near.ids.tolist() == hamming.search(codes[3:4], codes, 4).ids[0].tolist()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metric": "cosine"}, InputError, "metric must be one of 'tanimoto'"),
        ({"metric": "tversky", "alpha": 1}, InputError, "needs alpha= and beta="),
        ({"metric": "tversky", "alpha": 1, "beta": -1}, InputError, "beta must be a number of 0 or more"),
        ({"alpha": 1}, InputError, "alpha and beta are of metric='tversky'"),
        ({"threshold": 1.2}, InputError, "threshold must be from 0 to 1"),
        ({"threshold": float("nan")}, InputError, "threshold must be from 0 to 1"),
        ({"threshold": "0.7"}, TypeError, "threshold must be a number"),
        ({"where": np.ones(3, bool)}, InputError, r"where must have shape \(2,\)"),
        ({"where": [1, 1]}, InputError, "names the id 1 twice"),
    ],
)
def test_wrong_options_are_named(options, error, message):
    index = hamming.SimilarityIndex(64)
    index.add(np.zeros((2, 8), np.uint8))
    with pytest.raises(error, match=message):
        index.search(np.zeros((1, 8), np.uint8), 1, **options)


def test_a_filter_is_a_whole_mask_or_ids():
    index = hamming.SimilarityIndex(64)
    index.add(np.arange(40, dtype=np.uint8).reshape(5, 8))
    query = np.arange(8, dtype=np.uint8)
    assert set(index.search(query, 2, where=[False, True, False, True, False]).ids) == {1, 3}
    with pytest.raises(ValueError, match="where has masked entries"):
        index.search(query, 5, where=np.ma.array([True] * 5, mask=[0, 0, 0, 1, 1]))
    with pytest.raises(TypeError, match="where holds booleans and other values"):
        index.search(query, 5, where=[False, 1, True, True, True])
    with pytest.raises(InputError, match="one where for all queries"):
        index.search(np.stack([query, query]), 5, where=[[True] * 5, [False] * 5])
