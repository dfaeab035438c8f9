"""Tables give the bytes of a scan, whatever data, chunks and costs; ``Index`` gives those of ``FlatIndex``."""

import copy
import pickle

import numpy as np
import pytest

from udsph import hamming, memory
from udsph.errors import InputError
from udsph.hamming import backend, multi
from udsph.hamming import index as index_module
from udsph.hamming.filters import words_of_mask

native = pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")
SCAN_NEVER, SCAN_EARLY, SCAN_SOMETIMES = (1e-3, 1e-4, 0, 1e12, 1e12), (1e3, 1e3, 1, 1e-6, 1e-6), (20, 1, 50, 5, 1)


def flip(codes, rng, count):
    bits = 8 * codes.shape[1]
    for _ in range(count):
        place = rng.integers(0, bits, len(codes))
        codes[np.arange(len(codes)), place // 8] ^= (1 << place % 8).astype(np.uint8)
    return codes


def make(kind, n, bits, rng):
    """Codes of one of three kinds: independent bits, clusters, few distinct ones."""
    uniform = rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)
    if kind == "uniform":
        return uniform
    centres = uniform[: max(1, n // (50 if kind == "clustered" else 400))]
    codes = centres[rng.integers(0, len(centres), n)]
    return flip(codes, rng, 4) if kind == "clustered" else codes


def same(found, truth):
    for ours, other in zip(found, truth, strict=True):
        np.testing.assert_array_equal(ours, other)


@native
@pytest.mark.parametrize("costs", [SCAN_NEVER, SCAN_EARLY, SCAN_SOMETIMES], ids=["tables", "scan", "both"])
@pytest.mark.parametrize("kind", ["uniform", "clustered", "collapsed"])
@pytest.mark.parametrize(
    ("bits", "chunks"), [(8, 1), (16, 3), (64, 0), (64, 5), (72, 4), (128, 0), (256, 12), (320, 20)]
)
def test_tables_give_the_bytes_of_a_scan(bits, chunks, kind, costs):
    rng = np.random.default_rng([bits, chunks, len(kind)])
    n = int(rng.integers(700, 1400))
    codes = make(kind, n, bits, rng)
    queries = np.concatenate([codes[:60], flip(codes[60:70].copy(), rng, 1), make("uniform", 3, bits, rng)])
    segment = backend.empty_segment(bits).extended(codes)
    tables = backend.module().Tables(segment, chunks, 2)
    tables.set_costs(*costs)
    met = np.zeros(4, np.uint64)
    mask = words_of_mask(rng.random(n) < 0.4)
    # Far neighbours of many bits take billions of lookups where nothing may be handed over to a scan.
    near = (1,) if costs is SCAN_NEVER and bits > 16 else (1, 10, n + 5)
    wanted = queries[:70] if costs is SCAN_NEVER else queries
    for allowed in (None, mask):
        for radius in (0, 1, 3):
            same(
                tables.range_search(segment, wanted, radius, allowed, 2, met),
                segment.range_search(wanted, radius, allowed, 1),
            )
        if costs is SCAN_NEVER and (kind == "uniform" or allowed is not None) and bits > 16:
            continue
        for k in near:
            same(tables.search(segment, wanted, k, allowed, 2, met), segment.search(wanted, k, allowed, 1))
    if costs is SCAN_NEVER and bits > 16:
        assert met[3] == 0 and met[2] > 0
    if costs is SCAN_EARLY:
        assert met[3] > 0


@native
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("nq", [1, 5, 70])
@pytest.mark.parametrize("costs", [SCAN_NEVER, SCAN_SOMETIMES, SCAN_EARLY], ids=["tables", "both", "scan"])
def test_whichever_way_is_tried_the_answer_is_that_of_a_scan(costs, nq, threads):
    """A scan that is cheap by the costs is tried, one that is beyond all measure never is."""
    rng = np.random.default_rng(nq)
    codes = make("clustered", 2000, 64, rng)
    segment, queries = backend.empty_segment(64).extended(codes), flip(codes[:nq].copy(), rng, 2)
    tables = backend.module().Tables(segment, 4, 1)
    tables.set_costs(*costs)
    truths, shares = (segment.search(queries, 5, None, 1), segment.range_search(queries, 3, None, 1)), []
    for _ in range(40):
        for call, wanted, truth in zip((tables.search, tables.range_search), (5, 3), truths, strict=True):
            met = np.zeros(4, np.uint64)
            same(call(segment, queries, wanted, None, threads, met), truth)
            shares.append(met[3] / nq)
    if costs is not SCAN_SOMETIMES:
        assert set(shares) == {0} if costs is SCAN_NEVER else 1 in shares


@native
def test_equal_codes_are_kept_once_where_many_are():
    rng = np.random.default_rng(0)
    for n, distinct in ((3000, 40), (300_000, 3)):
        codes = rng.integers(0, 256, (distinct, 8), dtype=np.uint8)[rng.integers(0, distinct, n)]
        segment = backend.empty_segment(64).extended(codes)
        tables = backend.module().Tables(segment, 0, 1)
        assert tables.items == len(np.unique(codes, axis=0))
        same(
            tables.search(segment, codes[:3], 7, None, 1, np.zeros(4, np.uint64)), segment.search(codes[:3], 7, None, 1)
        )


@native
@pytest.mark.parametrize(("chunks", "n"), [(65, 100), (0, 0)])
def test_impossible_tables_are_refused(chunks, n):
    segment = backend.empty_segment(64).extended(np.zeros((n, 8), np.uint8))
    with pytest.raises(ValueError, match=r"chunks must|tables need"):
        backend.module().Tables(segment, chunks, 1)


@pytest.fixture
def both():
    """An index of each kind with the same clustered codes, their own ids and some removed."""
    rng = np.random.default_rng(1)
    codes, ids = make("clustered", 7_000, 64, rng), rng.permutation(40_000)[:7_000]
    indexes = hamming.Index(64, kind="multi"), hamming.FlatIndex(64)
    for index in indexes:
        index.add(codes, ids=ids)
        index.remove(ids[100:900])
    return *indexes, codes, ids


def agree(index, flat, queries, ids):
    assert len(index) == len(flat)
    mask = np.arange(len(flat)) % 3 == 0
    for where in (None, mask, ids[1000:1100]):
        for k in (1, 12):
            same(index.search(queries, k, where=where), flat.search(queries, k, where=where))
            for query in queries[::9]:
                same(index.search(query, k, where=where), flat.search(query, k, where=where))
        same(index.range_search(queries, 4, where=where), flat.range_search(queries, 4, where=where))
    np.testing.assert_array_equal(index.reconstruct(ids[1000:1050]), flat.reconstruct(ids[1000:1050]))


@pytest.fixture(params=backend.available())
def engine(request):
    backend.use(request.param)
    yield request.param
    backend.use(None)


def test_an_index_gives_the_bytes_of_a_flat_one_before_and_after(engine, both):
    index, flat, codes, ids = both
    queries = flip(codes[:25].copy(), np.random.default_rng(2), 1)
    agree(index, flat, queries, ids)
    index.optimize(threads=2)
    agree(index, flat, queries, ids)
    for each in (index, flat):
        each.add(codes[:700], ids=np.arange(50_000, 50_700))
        each.remove(ids[5000:6000])
    agree(index, flat, queries, ids)
    index.optimize()
    agree(index, flat, queries, ids)
    for each in (index, flat):  # few enough are left that positions close up
        each.remove(np.setdiff1d(ids[2000:], ids[5000:6000]))
    agree(index, flat, queries, ids)
    index.optimize()
    agree(index, flat, queries, ids)
    if engine == "native":
        assert "in tables" in repr(index) and " 0 in tables" not in repr(index)


def test_copies_pickles_and_files_of_an_optimized_index(engine, both, tmp_path):
    index, flat, codes, ids = both
    index.optimize()
    queries = codes[:20]
    index.save(tmp_path / "a")
    for other in (copy.copy(index), pickle.loads(pickle.dumps(index)), hamming.Index.from_bytes(index.to_bytes())):
        assert type(other) is hamming.Index
        agree(other, flat, queries, ids)
        other.optimize()
        agree(other, flat, queries, ids)
    assert pickle.loads(pickle.dumps(index)).kind == "multi"
    agree(hamming.load(tmp_path / "a"), flat, queries, ids)
    loaded = hamming.Index.load(tmp_path / "a")
    assert type(loaded) is hamming.Index
    loaded.optimize()
    agree(loaded, flat, queries, ids)


@native
def test_tables_are_built_where_they_help_only(monkeypatch):
    rng = np.random.default_rng(3)
    clustered, far, flat = hamming.Index(64), hamming.Index(256), hamming.Index(64, kind="flat")
    # Costs as on a usual machine: what is built must not depend on how busy this one is.
    measured = []

    def measure(segment, tables, queries):
        measured.append(segment.bits)
        tables.set_costs(20, 1, 50, 1, 0.1)

    monkeypatch.setattr(multi, "_measure", measure)
    clustered.add(flip(make("collapsed", 60_000, 64, rng), rng, 1))
    far.add(make("uniform", 20_000, 256, rng))
    flat.add(make("collapsed", 20_000, 64, rng))
    for index in (clustered, far, flat):
        index.optimize()
    assert " 0 in tables" not in repr(clustered)
    assert " 0 in tables" in repr(far) and " 0 in tables" in repr(flat)
    assert measured == [64]  # for the others nothing is built to find that out


def test_measured_costs_are_positive():
    if "native" not in backend.available():
        pytest.skip("native code is not built here")
    taken = []

    class Tables:
        chunks = 3

        def set_costs(self, *costs):
            taken.append(costs)

        def range_search(self, segment, queries, radius, allowed, threads, met):
            met[:] = 1
            return np.array([0, 1]), None, None

    segment = backend.empty_segment(64).extended(make("uniform", 1024, 64, np.random.default_rng(0)))
    multi._measure(segment, Tables(), multi._sample(segment))
    assert all(cost > 0 for cost in taken[-1])


@native
@pytest.mark.parametrize("distance", [0, 3, 4, 9])
def test_lookups_are_foretold_as_they_are_made(distance):
    segment = backend.empty_segment(64).extended(make("uniform", 1024, 64, np.random.default_rng(0)))
    tables, met = backend.module().Tables(segment, 4, 1), np.zeros(4, np.uint64)
    tables.set_costs(*SCAN_NEVER)
    tables.range_search(segment, segment.read(np.arange(1)), distance, None, 1, met)
    assert multi._lookups(distance, 64, 4) == met[0]


def test_an_unknown_kind_is_named():
    with pytest.raises(InputError, match="kind must be 'auto', 'flat' or 'multi', got 'tree'"):
        hamming.Index(64, kind="tree")


def test_costs_come_from_trials_that_they_explain():
    """Times made of known costs give those back; none of a share is below a twentieth of a trial."""
    counts = np.array([[1000.0, 500.0, 64.0], [10.0, 20.0, 900.0], [300.0, 100.0, 4000.0]])
    spent = counts @ [30e-9, 1e-9, 50e-9]
    np.testing.assert_allclose(multi._shares(np.column_stack([counts, spent]), 1e-9), [30e-9, 50e-9], rtol=1e-6)
    assert min(multi._shares(np.column_stack([counts, [1e-9, 1e-3, 1e-3]]), 1e-9)) > 0


@native
@pytest.mark.parametrize(("n", "bits", "chunks"), [(70_000, 64, 0), (3000, 64, 5), (2000, 320, 0), (1500, 100, 0)])
def test_the_size_of_tables_is_known_beforehand(n, bits, chunks):
    codes = np.random.default_rng(n).integers(0, 256, (n, -(-bits // 8)), dtype=np.uint8)
    codes[:, -1] &= (1 << (bits % 8 or 8)) - 1
    tables_type = backend.module().Tables
    count, size, peak = tables_type.size_of(n, bits, chunks, 2)
    tables = tables_type(backend.empty_segment(bits).extended(codes), chunks, 2)
    assert (tables.chunks, tables.nbytes) == (count, size)
    assert peak >= size


@native
def test_building_tells_how_far_it_is_and_ends_with_what_the_listener_raises():
    codes = np.random.default_rng(0).integers(0, 256, (1_200_000, 8), dtype=np.uint8)
    segment, shares = backend.empty_segment(64).extended(codes), []
    backend.module().Tables(segment, 0, 2, shares.append)
    assert shares and shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    with pytest.raises(ZeroDivisionError):
        backend.module().Tables(segment, 0, 2, lambda share: 1 / 0)


def sizes_of_tables(index):
    return [len(part) for part in index._snapshot.segments if isinstance(part, multi.Multi)]


@native
def test_tables_of_new_codes_stand_beside_the_large_ones():
    rng = np.random.default_rng(4)
    codes, ids = make("clustered", 60_000, 64, rng), rng.permutation(100_000)[:60_000]
    index, flat = hamming.Index(64, kind="multi"), hamming.FlatIndex(64)
    queries = flip(codes[::2500].copy(), rng, 1)

    def change(first, last):
        for each in (index, flat):
            each.add(codes[first:last], ids[first:last])
            if first:
                each.remove(ids[first - 2 : first + 2])
        known = ids[10_000:] if first < 60_000 else ids[40_100:]
        agree(index, flat, queries, known)
        index.optimize(new_only=True)
        agree(index, flat, queries, known)
        return sizes_of_tables(index)

    assert change(0, 40_000) == [39_936]
    large = index._snapshot.segments[0]
    assert change(40_000, 42_000) == [39_936, 2048]
    assert change(42_000, 44_000) == [39_936, 3584]  # small ones are joined
    assert index._snapshot.segments[0] is large
    assert change(44_000, 44_010) == [39_936, 3584]  # no whole block
    assert change(44_010, 60_000) == [59_904]  # so many that all are made anew
    for each in (index, flat):  # positions close up, and tables go
        each.remove(ids[100:20_000])
        each.remove(ids[20_000:39_990])
    assert change(60_000, 60_000) == [len(index) // 512 * 512]
    told = []
    index.optimize(new_only=True, progress=lambda *step: told.append(step))
    assert told == [(1.0, "nothing is built: no whole block of codes is new")]
    index.optimize()
    agree(index, flat, queries, ids[40_100:])


@native
def test_additions_to_an_index_with_tables_get_small_ones_of_their_own(monkeypatch):
    monkeypatch.setattr(index_module, "_UNSCANNED", 1024)
    monkeypatch.setattr(index_module, "_SMALL", 3000)
    rng = np.random.default_rng(4)
    codes, ids = make("clustered", 16_000, 64, rng), rng.permutation(100_000)[:16_000]
    index, flat = hamming.Index(64, kind="multi"), hamming.FlatIndex(64)
    queries, end = flip(codes[::900].copy(), rng, 1), 0

    def add(count):
        nonlocal end
        for each in (index, flat):
            each.add(codes[end : end + count], ids[end : end + count])
        end += count
        agree(index, flat, queries, ids[:end])
        return sizes_of_tables(index)

    assert add(7680) == []  # optimize was not called
    index.optimize()
    assert add(1000) == [7680]  # few
    assert add(1000) == [7680, 1536]
    assert add(1024) == [7680, 2560]  # small sets are joined
    other = hamming.FlatIndex(64)
    other.add(codes[end : end + 1100], ids[end : end + 1100])
    for each in (index, flat):
        each.merge(other)
    end += 1100
    assert sizes_of_tables(index) == [7680, 4096]
    with monkeypatch.context() as patch:
        patch.setattr(memory, "available", lambda: 0)
        assert add(1000) == [7680, 4096]  # there is no memory for more
    assert add(10) == [7680, 4096, 1024]  # and large ones stay


@native
def test_costs_are_measured_once_for_tables_of_the_same_kind(monkeypatch):
    calls, measure = [], multi._measure
    monkeypatch.setattr(multi, "_measure", lambda *arguments: calls.append(1) or measure(*arguments))
    index = hamming.Index(64, kind="multi")
    for part in np.split(make("clustered", 12_000, 64, np.random.default_rng(0)), [10_000, 11_000]):
        index.add(part)
        index.optimize(new_only=True)
    assert len(calls) == 1 and len(sizes_of_tables(index)) == 2
    told = index.explain(index.reconstruct([1, 11_500]), k=3)
    assert [part["how"] for part in told["parts"]] == ["tables", "tables", "scan"]


@native
@pytest.mark.parametrize("costs", [None, SCAN_EARLY], ids=["tables", "scan"])
def test_queries_find_what_is_just_nearer_in_later_parts(monkeypatch, costs):
    """Two sets of tables and a tail, among so many codes of few bits that the parts differ by one in most distances."""
    monkeypatch.setattr(index_module, "_SEVERAL", 0)
    rng = np.random.default_rng(6)
    codes, queries = make("uniform", 1600, 16, rng), make("uniform", 60, 16, rng)
    index, flat = hamming.Index(16, kind="multi"), hamming.FlatIndex(16)
    for first, last in ((0, 512), (512, 1024), (1024, 1600)):
        index.add(codes[first:last])
        flat.add(codes[first:last])
        if last < 1600:
            index.optimize(new_only=True)
    assert sizes_of_tables(index) == [512, 512]
    for part in index._snapshot.segments[:2] if costs else ():
        part.tables.set_costs(*costs)
    mask, asked = rng.random(1600) < 0.3, np.concatenate([queries, codes[::20]])
    for k in (1, 2, 5, 30, 700):
        for where in (None, mask):
            for several in (asked, asked[:5]):
                same(index.search(several, k, where=where), flat.search(several, k, where=where))
            for query in asked:
                same(index.search(query, k, where=where), flat.search(query, k, where=where))
