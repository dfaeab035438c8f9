"""An index in shards answers, and refuses, exactly as one index: here the shards are in this process."""

from __future__ import annotations

import asyncio
import pickle
import threading

import numpy as np
import pytest

from udsph import hamming
from udsph.distributed import ClusterError, source
from udsph.distributed.shard import Keeper, NotOpen
from udsph.distributed.source import cut
from udsph.errors import InputError
from udsph.hamming import Bitmap
from udsph.hamming import index as hamming_index

from .sources import IDS, all_alike, codes_of, collection_of, files_of, ids_of, index_of, opened, same, told

SHARDS = (1, 2, 3, 7, 16)


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("bits", [64, 13])
def test_index_files_answer_as_the_index_into_which_they_were_merged(tmp_path, kind, bits):
    codes, ids = codes_of(5000, bits), ids_of(5000, kind)
    truth = index_of(codes, ids, bits)
    files = files_of(tmp_path, codes, ids, bits, [700, 701, 3000])
    merged = hamming.FlatIndex(bits)
    for path in files:
        merged.merge(hamming.load(path))
    np.testing.assert_array_equal(merged.ids, truth.ids)
    for shards in SHARDS:
        all_alike(opened(files, shards), truth)
    all_alike(opened(tmp_path, 2), truth)
    all_alike(opened(files[0], 3), index_of(codes[:700], None if ids is None else ids[:700], bits))


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("removed", [False, True])
def test_a_collection_answers_as_it_does_by_itself(tmp_path, kind, removed):
    codes, ids = codes_of(5000, 64), ids_of(5000, kind)
    gone = np.random.default_rng(3).permutation(5000)[:1500]
    gone = gone if ids is None else [ids[i] for i in gone.tolist()]
    truth = collection_of(tmp_path / "c", codes, ids, 64, gone if removed else None)
    for shards in SHARDS:
        all_alike(opened(tmp_path / "c", shards), truth)
    with hamming.Collection.open(tmp_path / "c", "a") as writer:
        writer.compact()
    all_alike(opened(truth, 3), hamming.Collection.open(tmp_path / "c"))


def test_big_bit_order_and_ids_of_several_codes_are_kept(tmp_path):
    codes, ids = codes_of(3000, 24), np.arange(3000) // 3
    options = {"bitorder": "big", "multi": True}
    truth = index_of(codes, ids, 24, **options)
    index = opened(files_of(tmp_path, codes, ids, 24, [1000, 2000], **options), 3)
    assert index.bitorder == "big" and index.multi
    queries = codes[::500]
    same(index.search(queries, 20), truth.search(queries, 20))
    same(index.search(queries, 20, where=[4, 700, 2]), truth.search(queries, 20, where=[4, 700, 2]))
    np.testing.assert_array_equal(index.reconstruct([700, 3]), truth.reconstruct([700, 3]))
    np.testing.assert_array_equal(index.count([700, 3, 9999]), [3, 3, 0])


def test_an_empty_index_is_searched(tmp_path):
    index = opened(files_of(tmp_path, codes_of(0, 64), None, 64, []), 4)
    truth = index_of(codes_of(0, 64), None, 64)
    same(index.search(codes_of(3, 64), 4), truth.search(codes_of(3, 64), 4))
    same(index.range_search(codes_of(3, 64), 4), truth.range_search(codes_of(3, 64), 4))
    assert len(index) == 0 and index.ids.tolist() == []


@pytest.mark.parametrize("kind", IDS)
def test_what_is_wrong_is_said_in_the_same_words(tmp_path, kind):
    codes, ids = codes_of(2000, 64), ids_of(2000, kind)
    truth, index = index_of(codes, ids, 64), opened(files_of(tmp_path, codes, ids, 64, [512]), 3)
    known = truth.ids[5]
    asks = [
        lambda i: i.search(codes[:2, :4], 3),
        lambda i: i.search(codes[:2], 0),
        lambda i: i.search(codes[:2], 2.0),
        lambda i: i.search(codes[:2], 3, where=np.ones(1999, bool)),
        lambda i: i.search(codes[:2], 3, where=np.ones((2, 1999), bool)),
        lambda i: i.search(codes[:2], 3, where=Bitmap.from_mask(np.ones(5, bool))),
        lambda i: i.search(codes[:2], 3, where=[known, known]),
        lambda i: i.search(codes[:2], 3, where=[known, 10**12]),
        lambda i: i.search(codes[:2], 3, where=[known, "nobody"]),
        lambda i: i.search(codes[:2], 3, where=np.arange(100) + 10**12),
        lambda i: i.search(codes[:2], 3, where=["a", "b"]),
        lambda i: i.search(codes[:2], 3, where=np.ones(3)),
        lambda i: i.search(codes[:2], 3, unknown="no"),
        lambda i: i.search(codes[:2], 3, threads=0),
        lambda i: i.search(codes[:2], 3, where=[known, 10**12], unknown="ignore"),
        lambda i: i.range_search(codes[:2], -1),
        lambda i: i.range_search(codes[:2], [1, 2, 3]),
        lambda i: i.reconstruct([10**12]),
        lambda i: i.reconstruct(["nobody"]),
        lambda i: i.count([-1]),
    ]
    said = [told(lambda ask=ask: ask(truth)) for ask in asks]
    assert [told(lambda ask=ask: ask(index)) for ask in asks] == said
    assert sum(kind is not type(None) for kind, _ in said) >= 16


def test_pairs_over_shards_are_those_of_one_index(tmp_path):
    codes, ids = codes_of(3000, 64), ids_of(3000, "strings")
    truth = collection_of(tmp_path / "c", codes, ids, 64, [ids[i] for i in range(0, 3000, 7)])
    wanted = [np.concatenate(arrays) for arrays in zip(*hamming.pairs(truth, 3), strict=True)]
    for shards in (1, 3):
        found = list(opened(tmp_path / "c", shards).pairs(3))
        for ours, theirs in zip((np.concatenate(arrays) for arrays in zip(*found, strict=True)), wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len(wanted[0]) > 1000


def test_tables_over_shards_change_no_answer(tmp_path, monkeypatch):
    build = hamming_index.build  # whether tables are worth it is measured, and no matter here
    monkeypatch.setattr(hamming_index, "build", lambda *given, **options: build(*given, **options | {"always": True}))
    codes = codes_of(40_000, 64)
    truth = collection_of(tmp_path / "c", codes, None, 64, np.arange(0, 40_000, 9))
    index = opened(tmp_path / "c", 2)
    index.optimize()
    assert any("Multi" in type(s).__name__ for k in index._snapshot.calls._keepers for s in _segments(k))
    queries = codes_of(20, 64, 4)
    same(index.search(queries, 10), truth.search(queries, 10))
    same(index.search(queries[0], 10), truth.search(queries[0], 10))
    same(index.range_search(queries, 6), truth.range_search(queries, 6))


def _segments(keeper):
    return [segment for shard in keeper._shards.values() for part in shard.parts for segment in part.segments]


def test_a_process_keeps_the_versions_that_were_asked_last(tmp_path):
    place = files_of(tmp_path, codes_of(2000, 64), None, 64, [])[0]
    (spec,), keeper = source.find(place).specs(1, True), Keeper(1)
    for version in "abc":
        assert keeper.call(version, spec, "facts").codes == 2000
    with pytest.raises(NotOpen):
        keeper.call("a", None, "facts")
    assert keeper.call("a", spec, "facts").codes == 2000, "a search that began before two others were opened"
    assert keeper.call("a", None, "facts").codes == keeper.call("c", None, "facts").codes == 2000
    with pytest.raises(NotOpen):
        keeper.call("b", None, "facts")


def test_whatever_is_asked_of_a_closed_index_is_one_error(tmp_path):
    index = opened(files_of(tmp_path, codes_of(2000, 64), None, 64, [])[0], 2)
    queries = codes_of(1, 64)
    asyncio.run(index.search_async(queries, 3))
    index.close()
    index.close()
    for number, ask in enumerate((
        lambda: index.search(queries, 3), lambda: index.range_search(queries, 3), lambda: index.pairs(3),
        lambda: index.reconstruct([0]), lambda: 0 in index, lambda: index.ids, lambda: index.nbytes, lambda: len(index),
        lambda: asyncio.run(index.search_async(queries, 3)), index.refresh, index.optimize, lambda: pickle.dumps(index),
    )):  # fmt: skip
        assert told(ask) == (InputError, "the sharded index is closed"), number


def test_threads_and_asyncio_see_one_state_while_refresh_switches(tmp_path):
    codes = codes_of(3000, 64)
    collection = hamming.Collection.create(tmp_path / "c", 64, keep=20)
    collection.add(codes)
    collection.commit()
    index, queries = opened(tmp_path / "c", 3), codes[:20]
    answers, seen, stop = [index.search(queries, 30)], [], threading.Event()

    def ask():
        while not stop.is_set():
            seen.append(index.search(queries, 30))

    async def ask_together():
        while not stop.is_set():
            seen.extend(await asyncio.gather(*(index.search_async(queries, 30) for _ in range(3))))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    askers.append(threading.Thread(target=lambda: asyncio.run(ask_together())))
    for asker in askers:
        asker.start()
    try:
        for ids in np.array_split(np.arange(0, 3000, 2), 8):
            collection.remove(ids)
            collection.add(codes[ids])
            collection.commit()
            assert index.refresh()
            answers.append(index.search(queries, 30))
    finally:
        stop.set()
        for asker in askers:
            asker.join()
        collection.close()
    states = {b"".join(array.tobytes() for array in answer) for answer in answers}
    assert len(states) == 9
    assert {b"".join(array.tobytes() for array in answer) for answer in seen} <= states


def test_a_sharded_index_is_for_reading(tmp_path):
    index = opened(files_of(tmp_path, codes_of(600, 64), None, 64, []), 1)
    for change in (
        lambda: index.add(codes_of(1, 64)),
        lambda: index.remove([1]),
        lambda: index.clear(),
        lambda: index.merge(index),
        lambda: index.save(tmp_path / "x"),
        lambda: index.to_bytes(),
        lambda: index.copy(),
    ):
        with pytest.raises(ValueError, match="a sharded index is for reading"):
            change()
    index.close()
    with pytest.raises(ValueError, match="the sharded index is closed"):
        index.search(codes_of(1, 64), 1)
    assert repr(index) == "ShardedIndex(closed)"


def test_nodes_with_another_release_are_refused(tmp_path, monkeypatch):
    files = files_of(tmp_path, codes_of(600, 64), None, 64, [])
    monkeypatch.setattr("udsph.distributed.shard.__version__", "0.0.1")
    with pytest.raises(ClusterError, match=r"nodes of the cluster have udsph 0.0.1, here is .*; install the same"):
        opened(files, 1)


def test_parts_are_of_about_one_size_and_end_with_whole_blocks():
    assert cut([10_000], 3) == [[(0, 0, 3584)], [(0, 3584, 6656)], [(0, 6656, 10_000)]]
    assert cut([100, 100], 2) == [[(0, 0, 100)], [(1, 0, 100)]]
    assert cut([0], 5) == [[]]
    assert cut([700, 1], 16) == [[(0, 0, 512)], [(0, 512, 700), (1, 0, 1)]]
    rng = np.random.default_rng(0)
    for _ in range(200):
        lengths = rng.integers(0, 3000, rng.integers(1, 6)).tolist()
        parts = cut(lengths, int(rng.integers(1, 20)))
        runs = [run for part in parts for run in part]
        assert [file for file, _, _ in runs] == sorted(file for file, _, _ in runs)
        for file, length in enumerate(lengths):
            mine = [(begin, end) for f, begin, end in runs if f == file]
            assert [b for b, _ in mine] == [0, *(e for _, e in mine[:-1])][: len(mine)]
            assert (mine[-1][1] if mine else 0) == length
            assert all(begin % 512 == 0 for begin, _ in mine)
