"""Rescoring against dot products in NumPy, whatever the store; and what sentence-transformers does with the results."""

import numpy as np
import pytest

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.sentence_transformers import build_index, semantic_search

KINDS = {
    "int8": lambda rng, shape: rng.integers(-128, 128, shape).astype(np.int8),
    "uint8": lambda rng, shape: rng.integers(0, 256, shape).astype(np.uint8),
    "float16": lambda rng, shape: rng.normal(size=shape).astype(np.float16),
    "float32": lambda rng, shape: rng.normal(size=shape).astype(np.float32),
}


def example(dimensions, n=300, nq=9, candidates=40):
    rng = np.random.default_rng(dimensions)
    queries = rng.normal(size=(nq, dimensions)).astype(np.float32)
    ids = np.stack([rng.permutation(n)[:candidates] for _ in range(nq)])
    ids[3, 5] = ids[4, 0] = -1
    ids[5] = -1
    return rng, queries, ids


def check(found, queries, numbers, ids, k):
    """Scores are those of double precision, and the order is that of the scores."""
    scores = np.einsum("qd,qcd->qc", queries.astype(np.float64), numbers[ids].astype(np.float64))
    scores[ids < 0] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    assert found.scores.dtype == np.float32
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, order, axis=1), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.ids, np.take_along_axis(ids, order, axis=1))


@pytest.mark.parametrize("dimensions", [5, 64, 100, 1024])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_scored_as_numpy_does(engine, dimensions, kind):
    rng, queries, ids = example(dimensions)
    numbers = KINDS[kind](rng, (300, dimensions))
    check(hamming.rescore(queries, numbers, ids, 7), queries, numbers, ids, 7)
    check(hamming.rescore(queries, np.asfortranarray(numbers), ids), queries, numbers, ids, 40)


@pytest.mark.parametrize("dimensions", [5, 64, 100, 1024])
def test_bits_count_as_0_and_1_wherever_they_are(engine, dimensions):
    rng, queries, ids = example(dimensions)
    bits = rng.integers(0, 2, (300, dimensions)).astype(np.uint8)
    little, big = (np.packbits(bits, axis=1, bitorder=order) for order in ("little", "big"))
    index, mirrored, named = (
        hamming.FlatIndex(dimensions),
        hamming.Index(dimensions, bitorder="big"),
        hamming.FlatIndex(dimensions),
    )
    names = rng.permutation(5000)[:300]
    index.add(little)
    mirrored.add(big)
    named.add(little, ids=names)
    stores = {
        "index": (index, {}),
        "mirrored index": (mirrored, {}),
        "packed": (little, {}),
        "packed, big": (big, {"bitorder": "big"}),
        "minus 128": ((little.astype(int) - 128).astype(np.int8), {}),
    }
    for store, options in stores.values():
        check(hamming.rescore(queries, store, ids, 7, **options), queries, bits, ids, 7)
    wanted = hamming.rescore(queries, index, ids, 7)
    found = hamming.rescore(queries, named, np.where(ids < 0, -1, names[ids]), 7)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    np.testing.assert_array_equal(found.ids, np.where(wanted.ids < 0, -1, names[wanted.ids]))


def test_candidates_are_called_by_texts_where_codes_are(engine):
    rng, queries, ids = example(64)
    codes = rng.integers(0, 256, (300, 8), dtype=np.uint8)
    plain, named = hamming.FlatIndex(64), hamming.FlatIndex(64)
    plain.add(codes)
    named.add(codes, ids=[f"code {i}" for i in range(300)])
    texts = np.array([[None if id < 0 else f"code {id}" for id in row] for row in ids], object)
    wanted, found = hamming.rescore(queries, plain, ids, 45), hamming.rescore(queries, named, texts, 45)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert found.ids.tolist() == [[None if id < 0 else f"code {id}" for id in row] for row in wanted.ids]
    assert hamming.rescore(queries[:1], named, [["code 7"]]).ids.tolist() == [["code 7"]]
    several = hamming.Index(64, multi=True)
    several.add(codes, ids=np.arange(300) // 2)
    with pytest.raises(ValueError, match="several codes of one id"):
        hamming.rescore(queries, several, ids // 2)


@pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")
def test_scores_have_the_same_bytes_at_every_level_and_number_of_threads():
    rng, queries, _ = example(777, nq=64)
    ids = rng.integers(0, 300, (64, 500))
    before = backend.simd_level()
    for store in (
        rng.integers(0, 256, (300, 98), dtype=np.uint8) & 1,
        *(make(rng, (300, 777)) for make in KINDS.values()),
    ):
        found = set()
        for level in backend.simd_levels():
            backend.module().set_level(level)
            found |= {hamming.rescore(queries, store, ids, threads=threads).scores.tobytes() for threads in (1, 3)}
        backend.module().set_level(before)
        assert len(found) == 1


def test_every_half_is_read_as_it_is(engine):
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[~np.isnan(halves)][:, None]
    found = hamming.rescore(np.ones((1, 1)), halves, np.arange(len(halves))[None])
    np.testing.assert_array_equal(found.scores[0], halves[found.ids[0], 0].astype(np.float32))
    assert np.isinf(found.scores).sum() == 2 and (np.diff(found.scores[0][1:-1]) <= 0).all()


def test_scaled_numbers_stand_for_what_they_were(engine):
    rng, queries, ids = example(64)
    vectors = rng.normal(size=(300, 64))
    low, scale = vectors.min(axis=0), (vectors.max(axis=0) - vectors.min(axis=0)) / 255
    stored = (np.round((vectors - low) / scale) - 128).astype(np.int8)
    back = (stored.astype(float) + 128) * scale + low
    found = hamming.rescore(queries, stored, ids, 40, scale=scale, offset=128 * scale + low)
    scores = np.einsum("qd,qcd->qc", queries, back[ids])
    for q in (0, 1, 2, 3):
        own = {id: score for id, score in zip(ids[q], scores[q], strict=True) if id >= 0}
        np.testing.assert_allclose(found.scores[q][: len(own)], [own[id] for id in found.ids[q] if id >= 0], rtol=1e-5)


def test_a_memory_map_is_read_in_place(tmp_path):
    rng, queries, ids = example(100)
    numbers = KINDS["float16"](rng, (300, 100))
    np.save(tmp_path / "rows.npy", numbers)
    store = np.load(tmp_path / "rows.npy", mmap_mode="r")
    check(hamming.rescore(queries, store, ids, 7), queries, numbers, ids, 7)


def test_one_query_by_itself_has_one_dimension_less():
    rng, queries, ids = example(64)
    numbers = KINDS["int8"](rng, (300, 64))
    for one, many in zip(
        hamming.rescore(queries[0], numbers, ids[0], 5), hamming.rescore(queries, numbers, ids, 5), strict=True
    ):
        np.testing.assert_array_equal(one, many[0])


def test_more_are_wanted_than_there_are_candidates():
    _, queries, ids = example(64)
    found = hamming.rescore(queries, np.zeros((300, 8), np.uint8), ids[:, :3], 5)
    assert (found.ids[:, 3:] == -1).all() and np.isneginf(found.scores[:, 3:]).all()
    assert hamming.rescore(queries, np.zeros((300, 8), np.uint8), ids[:, :0], 2).ids.tolist() == [[-1, -1]] * 9


PACKED, NUMBERS = np.zeros((3, 8), np.uint8), np.zeros((3, 64), np.int8)


@pytest.mark.parametrize(
    ("queries", "store", "ids", "options", "error", "message"),
    [
        (np.zeros((2, 64), np.uint8), PACKED, [[0], [0]], {}, TypeError, "queries must be floats"),
        (np.full((2, 64), np.nan), PACKED, [[0], [0]], {}, ValueError, "NaN in row 0"),
        (np.full((2, 64), np.inf), PACKED, [[0], [0]], {}, ValueError, "infinite number in row 0"),
        (np.zeros(64), PACKED, [[0], [0]], {}, ValueError, r"queries must have shape \(nq, dimensions\)"),
        (np.zeros((2, 64)), PACKED, [[0]], {}, ValueError, r"ids must have shape \(2, candidates\)"),
        (np.zeros((2, 64)), PACKED, [[0], [3]], {}, ValueError, "-1 to 2, got 0 to 3"),
        (np.zeros((2, 64)), PACKED, [["a"], ["b"]], {}, TypeError, "ids must be integers"),
        (np.zeros((2, 65)), PACKED, [[0], [0]], {}, ValueError, "65 numbers or 9 packed bytes"),
        (np.zeros((2, 64)), NUMBERS.astype(float), [[0], [0]], {}, TypeError, "store must hold int8, .* got dtype fl"),
        (np.zeros((2, 64)), hamming.FlatIndex(32), [[0], [0]], {}, ValueError, "the 32 dimensions of the index"),
        (np.zeros((2, 64)), hamming.FlatIndex(64), [[0], [0]], {}, ValueError, "id 0 is not in the index"),
        (np.zeros((2, 64)), PACKED, [[0], [0]], {"scale": 2}, ValueError, "scale and offset are of"),
        (np.zeros((2, 64)), NUMBERS, [[0], [0]], {"scale": [2]}, ValueError, r"scale must have shape \(64,\)"),
        (np.zeros((2, 64)), NUMBERS, [[0], [0]], {"offset": "a"}, TypeError, "offset must be numbers"),
        (np.zeros((2, 64)), PACKED, [[0], [0]], {"k": 0}, ValueError, "k must be at least 1"),
    ],
)
def test_wrong_arguments_are_named(queries, store, ids, options, error, message):
    with pytest.raises(error, match=message):
        hamming.rescore(queries, store, np.array(ids), **options)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_row_without_a_score_is_named_where_it_is_a_candidate(engine, dtype, wrong, tmp_path):
    store = np.ones((40, 100), dtype)
    store[33, [5, 70]] = wrong, -wrong
    np.save(tmp_path / "rows.npy", store)
    queries, mapped = np.ones((2, 100)), np.load(tmp_path / "rows.npy", mmap_mode="r")
    for rows in (store, mapped, store[:, ::1].astype(store.dtype.newbyteorder(">"))):
        assert hamming.rescore(queries, rows, np.array([[1, 2], [3, -1]])).scores[0, 0] == 100
        with pytest.raises(InputError, match="in row 33, a candidate of query 1"):
            hamming.rescore(queries, rows, np.array([[1, 2], [33, 4]]))


def embeddings(n=500, nq=8, dimensions=128):
    rng = np.random.default_rng(0)
    corpus = rng.normal(size=(n, dimensions)).astype(np.float32)
    return corpus, corpus[:nq] + rng.normal(size=(nq, dimensions)).astype(np.float32)


def by_faiss(queries, packed, top_k, multiplier):
    """What semantic_search_faiss of sentence-transformers does with exact=True: search, reconstruct, dot product."""
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexBinaryFlat(8 * packed.shape[1])
    index.add(packed)
    near, ids = index.search(np.packbits(queries > 0, axis=1), top_k * multiplier)
    bits = np.unpackbits(np.array([[index.reconstruct(int(id)) for id in row] for row in ids]), axis=-1)
    return near, np.einsum("ij,ikj->ik", queries, bits.astype(int))


@pytest.mark.parametrize("precision", ["ubinary", "binary"])
def test_semantic_search_finds_what_faiss_and_a_dot_product_find(precision):
    corpus, queries = embeddings()
    packed = np.packbits(corpus > 0, axis=1)
    given = packed if precision == "ubinary" else (packed.astype(int) - 128).astype(np.int8)
    near, scores = by_faiss(queries, packed, 10, 4)
    results, seconds, index = semantic_search(queries, given, None, precision, 10, True, 4, output_index=True)
    assert seconds > 0 and len(index) == 500
    for q, row in enumerate(results):
        np.testing.assert_allclose([hit["score"] for hit in row], np.sort(scores[q])[::-1][:10], rtol=1e-5)
        bits = np.unpackbits(packed[[hit["corpus_id"] for hit in row]], axis=1)
        np.testing.assert_allclose([hit["score"] for hit in row], bits @ queries[q], rtol=1e-5)
        assert all(type(hit["corpus_id"]) is int and type(hit["score"]) is float for hit in row)
    again, _ = semantic_search(queries, corpus_index=index, top_k=10, rescore_multiplier=4)
    assert again == results
    plain, _ = semantic_search(queries, corpus_index=index, top_k=10, rescore=False)
    assert [[hit["score"] for hit in row] for row in plain] == near[:, :10].tolist()
    quantized = np.packbits(queries > 0, axis=1)
    assert semantic_search(quantized, corpus_index=index)[0] == plain


def test_semantic_search_by_stored_numbers_ids_and_filters():
    corpus, queries = embeddings()
    index = build_index(np.packbits(corpus > 0, axis=1))
    stored = np.clip(np.round(corpus * 30), -128, 127).astype(np.int8)
    results, _ = semantic_search(queries, corpus_index=index, top_k=3, rescore_multiplier=20, rescore_embeddings=stored)
    for q, row in enumerate(results):
        for hit in row:
            assert hit["score"] == pytest.approx(float(queries[q] @ stored[hit["corpus_id"]].astype(float)), rel=1e-5)
    for ids in (np.arange(500) + 1000, [f"text {i}" for i in range(500)]):
        named = build_index(np.packbits(corpus > 0, axis=1), ids=ids)
        few, _ = semantic_search(queries[0], corpus_index=named, top_k=5, where=[ids[3], ids[7]])
        assert [{hit["corpus_id"] for hit in row} for row in few] == [{ids[3], ids[7]}]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((), {}, ValueError, "one of the two"),
        ((np.zeros((3, 16), np.uint8), hamming.FlatIndex(128, bitorder="big")), {}, ValueError, "one of the two"),
        ((np.zeros((3, 16), np.uint8),), {"corpus_precision": "int8"}, ValueError, "must be 'binary' or 'ubinary'"),
        ((np.zeros((3, 16), np.int8),), {}, ValueError, "which is 'binary'"),
        ((np.zeros((3, 16), np.float32),), {}, TypeError, 'of precision "ubinary"'),
        ((np.zeros((3, 8), np.uint8),), {}, ValueError, "the 64 dimensions of the corpus"),
        ((None, hamming.FlatIndex(128)), {}, ValueError, 'bitorder="big"'),
    ],
)
def test_what_semantic_search_cannot_do_is_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        semantic_search(np.zeros((2, 128), np.float32), *arguments, **options)


def test_masked_stores_and_scales_that_are_not_finite_are_refused():
    rng = np.random.default_rng(0)
    query, store, ids = rng.normal(size=(1, 8)), rng.normal(size=(5, 8)).astype(np.float32), np.array([[0, 1]])
    with pytest.raises(ValueError, match="store has masked entries"):
        hamming.rescore(query, np.ma.array(store, mask=store > 0), ids, 1)
    for name in ("scale", "offset"):
        with pytest.raises(InputError, match=f"{name} must be finite, got nan"):
            hamming.rescore(query, store, ids, 1, **{name: np.nan})
