"""``explain`` says what a search does, and ``optimize`` what it will take, how far it is, and why codes are scanned."""

import os
import pickle
import signal
import threading

import numpy as np
import pytest

from udsph import hamming, memory
from udsph.errors import InputError
from udsph.hamming import backend, multi

native = pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")


def clustered(n, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (n // 40 + 1, 8), dtype=np.uint8)[rng.integers(0, n // 40 + 1, n)]
    codes[:, 0] ^= (1 << rng.integers(0, 8, n)).astype(np.uint8)
    return codes


def make(n=20_000, kind="multi"):
    index = hamming.Index(64, kind=kind)
    index.add(clustered(n))
    return index


def check(told, queries):
    assert told["queries"] == queries
    assert told["measured_ms"] == sum(part["measured_ms"] for part in told["parts"]) > 0
    assert told["estimated_ms"] == sum(part["estimated_ms"] for part in told["parts"]) > 0
    assert "ms measured" in str(told)
    for part in told["parts"]:
        assert part["why"] in str(told)


def test_a_scan_is_explained(engine):
    index = hamming.FlatIndex(64)
    codes = clustered(3000)
    index.add(codes)
    for told in (index.explain(codes[:20], k=3), index.explain(codes[0], radius=4)):
        check(told, told["queries"])
        assert [part["how"] for part in told["parts"]] == ["scan"]
        assert told["parts"][0]["codes"] == told["codes"] == 3000 and told["allowed"] is None
    assert str(told).startswith("all within 4 of 1 query among 3,000 codes of 64 bits, 1 thread: ")
    assert "because a FlatIndex scans" in str(told)
    assert index.explain(codes[:2], k=1, where=np.arange(3000) < 100)["allowed"] == 100
    assert index.explain(codes[:2], k=1, where=hamming.Bitmap(np.full(375, 255, np.uint8), 3000))["allowed"] == 3000
    empty = hamming.FlatIndex(64).explain(codes[:2], k=1)
    assert empty["codes"] == 0 and str(empty)


def test_few_codes_of_a_filter_are_explained(engine):
    index = make(6000)
    told = index.explain(index.reconstruct([5]), k=3, where=[5, 9, 4000], threads=2)
    check(told, 1)
    assert [part["how"] for part in told["parts"]] == ["few"] and told["allowed"] == 3
    assert "the filter lets 3 codes through" in str(told)


@native
def test_tables_and_what_came_after_them_are_explained():
    index = make()
    queries = index.reconstruct(np.arange(30))
    assert "because optimize was not called" in str(index.explain(queries, k=1))
    index.optimize()
    index.add(clustered(300, 1))
    told = index.explain(queries, k=1)
    check(told, 30)
    assert [part["how"] for part in told["parts"]] == ["tables", "scan"]
    tables, scan = told["parts"]
    assert tables["lookups"] > 0 and tables["scan_ms"] > 0 and 0 <= tables["handed_over"] <= 30
    assert (tables["codes"], scan["codes"]) == (19_968, 332)
    assert tables["why"] == "kind='multi'" and "came after optimize" in scan["why"]
    assert f"{tables['chunks']} tables over 19,968 codes" in str(told)
    check(index.explain(queries, radius=2, where=np.arange(20_300) % 2 == 0), 30)
    assert "optimize was not called" in str(pickle.loads(pickle.dumps(index)).explain(queries, k=1))


@native
@pytest.mark.parametrize(
    ("kind", "n", "bits", "why"),
    [
        ("flat", 2000, 64, "kind='flat'"),
        ("auto", 2000, 64, "there are fewer than 16,384 codes"),
        ("multi", 200, 64, "there are fewer than 512 codes"),
        ("multi", 600, 1032, "codes have more than 1024 bits"),
        ("auto", 20_000, 256, "a scan is faster for nearly all"),
    ],
)
def test_why_codes_are_scanned_is_said(kind, n, bits, why, monkeypatch):
    monkeypatch.setattr(multi, "_measure", lambda segment, tables, queries: tables.set_costs(20, 1, 50, 1, 0.1))
    index = hamming.Index(bits, kind=kind)
    index.add(np.random.default_rng(0).integers(0, 256, (n, bits // 8), dtype=np.uint8))
    told = []
    index.optimize(progress=lambda share, what: told.append((share, what)))
    assert why in str(index.explain(index.reconstruct([0]), k=1))
    assert told[-1][0] == 1 and why in told[-1][1] and "codes are scanned" in told[-1][1]


def test_without_native_code_that_is_the_reason():
    backend.use("numpy")
    try:
        index = make(600)
        index.optimize()
        assert "tables need native code, and numpy serves here" in str(index.explain(index.reconstruct([0]), k=1))
    finally:
        backend.use(None)


@pytest.mark.parametrize("wanted", [{}, {"k": 1, "radius": 2}])
def test_either_k_or_radius_is_explained(wanted):
    with pytest.raises(InputError, match="either k= or radius="):
        make(600).explain(np.zeros(8, np.uint8), **wanted)


def test_one_filter_is_explained():
    index = make(600)
    with pytest.raises(InputError, match="one filter for all queries"):
        index.explain(np.zeros((2, 8), np.uint8), k=1, where=[None, [3]])


@native
def test_progress_says_the_memory_first_and_comes_to_the_end(capsys):
    index, told = make(1_100_000), []
    index.optimize(progress=lambda share, what: told.append((share, what)), threads=2)
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert "tables over 1,099,776 codes take up to" in told[0][1] and "while they are built" in told[0][1]
    assert told[-1][1] == "1,099,776 codes are in tables"
    assert capsys.readouterr() == ("", "")
    make(600).optimize(progress=True)
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("  0% ") and "100% 512 codes are in tables" in printed.err
    with pytest.raises(TypeError, match="progress must be a callable or True, got str"):
        index.optimize(progress="yes")


def same(index, queries, before):
    for ours, truth in zip(index.search(queries, 5), before, strict=True):
        np.testing.assert_array_equal(ours, truth)


@native
@pytest.mark.parametrize("moment", [0, 1])
def test_ctrl_c_while_tables_are_built_changes_nothing(moment):
    index = make(1_100_000)
    queries = index.reconstruct(np.arange(10))
    before, calls = index.search(queries, 5), []

    def interrupt(share, what):
        calls.append(what)
        if len(calls) > moment:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        index.optimize(progress=interrupt)
    assert " 0 in tables" in repr(index)
    same(index, queries, before)
    index.optimize()
    same(index, queries, before)


@native
def test_too_little_memory_is_said_before_anything_is_begun(monkeypatch):
    index = make(3000)
    queries = index.reconstruct(np.arange(10))
    before, told = index.search(queries, 5), []
    monkeypatch.setattr(memory, "available", lambda: 10_000)
    with pytest.raises(
        MemoryError, match=r"tables over 2,560 codes take up to .* kB while they are built, but 10.0 kB are"
    ):
        index.optimize(progress=lambda *step: told.append(step))
    assert not told and " 0 in tables" in repr(index)
    same(index, queries, before)
    monkeypatch.setattr(memory, "available", lambda: None)
    index.optimize()
    same(index, queries, before)


@native
def test_an_index_is_searched_and_changed_while_its_tables_are_built():
    index, reached, go_on = make(600_000), threading.Event(), threading.Event()

    def wait(share, what):
        if "building" in what:
            reached.set()
            assert go_on.wait(60)

    worker = threading.Thread(target=index.optimize, kwargs={"progress": wait})
    worker.start()
    assert reached.wait(60)
    new = ~clustered(3, 7)
    index.add(new)
    index.remove([5])
    assert index.search(new[0], 1).ids.tolist() == [600_000] and 5 not in index
    go_on.set()
    worker.join()
    assert " 0 in tables" not in repr(index)
    assert index.search(new[2], 1).ids.tolist() == [600_002] and 5 not in index
