"""Shards in processes of a real cluster: the same bytes, also when processes and nodes are lost meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from udsph import hamming
from udsph.distributed import ShardedIndex, ShardError
from udsph.hamming import Collection

from .conftest import STORE
from .sources import all_alike, codes_of, collection_of, files_of, ids_of, index_of, same

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def codes():
    return codes_of(6000, 64)


@pytest.fixture(scope="module")
def queries():
    return codes_of(40, 64, 5)


@pytest.fixture(scope="module")
def files(codes, tmp_path_factory):
    return files_of(tmp_path_factory.mktemp("files"), codes, ids_of(6000, "strings"), 64, [2000, 4000])


@pytest.fixture(scope="module")
def truth(codes):
    return index_of(codes, ids_of(6000, "strings"), 64)


@pytest.fixture(scope="module")
def index(cluster, files):
    """Three shards, one to a node."""
    with ShardedIndex.open(files) as opened:
        yield opened


def processes(index) -> list[int]:
    """Process ids of the first replica of each shard."""
    return [facts.process for facts in index._snapshot.calls.open()]


def ended(process: int) -> None:
    """Kill a process, and wait until it is gone."""
    os.kill(process, signal.SIGKILL)
    while True:
        try:
            with open(f"/proc/{process}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except OSError:
            return
        time.sleep(0.01)


def test_everything_is_answered_as_by_one_index(index, truth):
    assert index.shards == [f"shard {n} of 3 (0{n - 1}.udsph)" for n in (1, 2, 3)]
    all_alike(index, truth)


def test_answers_of_many_shards_are_merged_in_a_tree(cluster, tmp_path, codes, queries):
    truth = collection_of(tmp_path / "c", codes, None, 64, np.arange(0, 6000, 5))
    with ShardedIndex.open(tmp_path / "c", shards=10) as index:
        assert len(index.shards) == 10
        for k in (1, 10, 1000):
            same(index.search(queries, k), truth.search(queries, k))
        same(index.range_search(queries, 12), truth.range_search(queries, 12))
        many = np.tile(queries, (200, 1))  # several batches under way
        same(index.search(many, 3), truth.search(many, 3))


def test_a_process_that_is_killed_is_started_again_and_its_call_repeated(index, truth, queries):
    stop = threading.Event()

    def kill():
        for shard in (0, 2, 1):
            os.kill(processes(index)[shard], signal.SIGKILL)
            time.sleep(0.2)
        stop.set()

    killer = threading.Thread(target=kill)
    killer.start()
    wanted, rounds = truth.search(queries, 10), 0
    while not stop.is_set() or rounds < 10:
        same(index.search(queries, 10), wanted)
        rounds += 1
    killer.join()


def test_searches_of_asyncio_run_together(index, truth, queries):
    async def many():
        searches = [index.search_async(queries[i : i + 5], 10) for i in range(0, 40, 5)]
        return await asyncio.gather(*searches, index.range_search_async(queries, 9))

    *found, within = asyncio.run(many())
    for i, result in enumerate(found):
        same(result, truth.search(queries[5 * i : 5 * i + 5], 10))
    same(within, truth.range_search(queries, 9))


def test_another_process_of_the_cluster_searches_the_same_shards(index, truth, queries):
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # which other processes cannot import

    @ray.remote(num_cpus=0)
    def elsewhere(there):
        before = processes(there)
        return before, there.search(queries, 10)

    known, found = ray.get(elsewhere.remote(index))
    same(found, truth.search(queries, 10))
    assert known == processes(index), "it closed nothing"


def test_the_loss_of_a_node_changes_no_answer(cluster, index, truth, queries):
    node = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    wanted = truth.search(queries, 10)
    with ShardedIndex.open(truth_files(index), shards=4) as wide:
        same(wide.search(queries, 10), wanted)
        cluster.remove_node(node, allow_graceful=False)
        same(wide.search(queries, 10), wanted)


def truth_files(index):
    return list(index._snapshot.source.places)


def test_a_slow_process_is_overtaken_by_its_replica(cluster, files, truth, queries):
    with ShardedIndex.open(files[:1], replicas=2) as index:
        part = index_of(codes_of(6000, 64)[:2000], ids_of(6000, "strings")[:2000], 64)
        wanted = part.search(queries, 10)
        for _ in range(2):
            same(index.search(queries, 10), wanted)
        process = processes(index)[0]
        os.kill(process, signal.SIGSTOP)
        try:
            for _ in range(2):
                same(index.search(queries, 10), wanted)
        finally:
            os.kill(process, signal.SIGCONT)


def test_a_shard_that_does_not_answer_in_time_is_named(index, truth, queries):
    process = processes(index)[1]
    index._pool.timeout = 1.0
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(ShardError, match=r"shard 2 of 3 \(01.udsph\) did not answer within 1 s"):
            index.search(queries, 10)
    finally:
        os.kill(process, signal.SIGCONT)
        index._pool.timeout = None
    same(index.search(queries, 10), truth.search(queries, 10))


def test_a_shard_whose_file_is_damaged_or_gone_is_one_error_and_reported_if_that_is_asked(
    cluster, tmp_path, codes, queries
):
    files = files_of(tmp_path, codes, None, 64, [3000])
    truth = index_of(codes[:3000], None, 64)
    with ShardedIndex.open(files, partial="report") as index:
        assert index.search(queries, 5).ids.shape == (40, 5)
        ended(processes(index)[1])
        kept = files[1].read_bytes()
        files[1].write_bytes(kept[:9000] + b"\0\1\2" + kept[9003:])
        found = index.search(queries, 5)
        np.testing.assert_array_equal(found.ids, truth.search(queries, 5).ids)
        assert len(found.missing) == 1 and "damaged" in found.missing[0]
        within = index.range_search(queries, 12)
        np.testing.assert_array_equal(within.ids, truth.range_search(queries, 12).ids)
        assert within.missing == found.missing
        index._snapshot._report = False  # as with partial="error"
        with pytest.raises(ShardError, match=r"shard 2 of 2 \(01.udsph\): .*01.udsph.*damaged"):
            index.search(queries, 5)
        files[1].unlink()
        with pytest.raises(ShardError, match=r"shard 2 of 2 .*01.udsph: No such file"):
            index.search(queries, 5)
        files[1].write_bytes(kept)
        whole = index_of(codes, None, 64)
        same(index.search(queries, 5), whole.search(queries, 5))
        os.truncate(files[1], 5000)
        with pytest.raises(ShardError, match="truncated since it was opened"):
            time.sleep(0.2)
            index.search(queries, 5)
    with pytest.raises(ValueError, match="truncated"):
        ShardedIndex.open(files)


def test_refresh_switches_all_shards_to_one_generation(cluster, tmp_path, codes, queries):
    first = collection_of(tmp_path / "c", codes[:4000], None, 64)
    with ShardedIndex.open(tmp_path / "c", shards=2) as index:
        assert index.refresh() is False
        with Collection.open(tmp_path / "c", "a") as writer:
            writer.add(codes[4000:])
            writer.remove(np.arange(100))
        same(index.search(queries, 10), first.search(queries, 10))
        assert index.refresh() is True
        truth = Collection.open(tmp_path / "c")
        assert (len(index), index.generation) == (5900, truth.generation)
        same(index.search(queries, 10), truth.search(queries, 10))
        ended(processes(index)[0])
        same(index.search(queries, 10), truth.search(queries, 10))


def shard_processes() -> set[int]:
    """Processes of shards on this machine, which has no other cluster in its process table."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"_Actor" in (place / "cmdline").read_bytes():
                found.add(int(place.name))
    return found


def none_but(known: set[int]) -> bool:
    """Whether no other shard's process is left, for which they are given some seconds."""
    for _ in range(500):
        if shard_processes() <= known:
            return True
        time.sleep(0.02)
    return False


def test_close_leaves_no_process(cluster, files):
    before = shard_processes()
    index = ShardedIndex.open(files)
    assert set(processes(index)) <= shard_processes() - before
    index.close()
    assert none_but(before)
    with pytest.raises(ValueError, match="closed"):
        index.search(codes_of(1, 64), 1)


def test_a_refresh_elsewhere_changes_nothing_here(cluster, tmp_path, codes, queries):
    import ray

    with Collection.create(tmp_path / "c", 64, keep=3) as made:
        made.add(codes[:2000])

    def grown(first, last):
        with Collection.open(tmp_path / "c", "a") as writer:
            writer.add(codes[first:last])
        return Collection.open(tmp_path / "c")

    @ray.remote(num_cpus=0)
    class Elsewhere:
        def __init__(self, there):
            self.there = there

        def refreshed(self):
            return self.there.refresh()

        def search(self):
            return self.there.search(queries, 10)

    with ShardedIndex.open(tmp_path / "c", shards=2) as index:
        before, other = index.search(queries, 10), Elsewhere.remote(index)
        second = grown(2000, 4000).search(queries, 10)
        assert ray.get(other.refreshed.remote())
        same(index.search(queries, 10), before)
        third = grown(4000, 6000).search(queries, 10)
        assert index.refresh()
        same(index.search(queries, 10), third)
        same(ray.get(other.search.remote()), second)
        same(index.search(queries, 10), third)
        ray.kill(other)


def test_close_ends_searches_that_run(cluster, files, queries):
    before = shard_processes()
    index = ShardedIndex.open(files)
    for process in processes(index):
        os.kill(process, signal.SIGSTOP)  # so that all are under way
    said = []

    def ask(call):
        try:
            said.append(call())
        except Exception as error:
            said.append((type(error).__name__, str(error)))

    async def together():
        found = await asyncio.gather(*(index.search_async(queries, 10) for _ in range(40)), return_exceptions=True)
        return {(type(error).__name__, str(error)) for error in found}

    askers = [
        threading.Thread(target=ask, args=[call])
        for call in (lambda: index.search(queries, 10), lambda: asyncio.run(together()))
    ]
    for asker in askers:
        asker.start()
    time.sleep(0.5)
    index.close()
    for asker in askers:
        asker.join(60)
        assert not asker.is_alive()
    closed = ("InputError", "the sharded index is closed")
    assert closed in said and {closed} in said
    assert none_but(before)


def test_what_does_not_go_together_is_one_error_and_leaves_no_process(cluster, tmp_path):
    before = shard_processes()
    files = files_of(tmp_path, codes_of(1200, 64), np.arange(1200), 64, [600])
    hamming.FlatIndex(32).save(tmp_path / "narrow.udsph")
    with pytest.raises(ValueError, match=r"has bits 64, .*narrow.udsph has 32; shards must be alike"):
        ShardedIndex.open([*files, tmp_path / "narrow.udsph"])
    twice = hamming.FlatIndex(64)
    twice.add(codes_of(2, 64), [5000, 700])
    twice.save(tmp_path / "twice.udsph")
    with pytest.raises(ValueError, match=r"the id 700 is in .*01.udsph and in .*twice.udsph"):
        ShardedIndex.open([*files, tmp_path / "twice.udsph"])
    content = bytearray(files[0].read_bytes())
    content[5000] ^= 255
    files[0].write_bytes(content)
    with pytest.raises(ShardError, match=r"shard 1 of 2 \(00.udsph\): .*00.udsph.*damaged"):
        ShardedIndex.open(files)
    assert none_but(before)


def test_what_is_larger_than_the_object_store_is_asked_in_pieces(cluster, tmp_path, codes):
    collection_of(tmp_path / "c", codes, None, 64)
    truth = index_of(codes, None, 64)
    many = np.tile(codes_of(40, 64, 5), (30, 1))
    assert 12 * len(many) * len(codes) > STORE
    with ShardedIndex.open(tmp_path / "c", shards=2) as index:
        same(index.search(many, len(codes)), truth.search(many, len(codes)))


def test_another_release_of_ray_on_the_nodes_is_one_error(cluster):
    script = "import sys, ray, udsph.distributed as d; ray.__version__ = '1.9.0'; d.connect(sys.argv[1])"
    found = subprocess.run([sys.executable, "-c", script, cluster.address], capture_output=True, text=True)
    last = found.stderr.strip().splitlines()[-1]
    assert found.returncode == 1
    assert last.startswith(f"udsph.distributed.errors.ClusterError: address='{cluster.address}': Version mismatch")
    assert "1.9.0" in last
