"""Any mix of calls from any threads: every answer is that of one state, between the start and the end of the call.

``UDSPH_STRESS_SECONDS`` makes the mix run longer than the second that the suite gives it; the sanitizers run it too.
"""

import copy
import io
import itertools
import multiprocessing
import os
import pickle
import sys
import threading
import time

import numpy as np
import pytest

from udsph import hamming
from udsph.hamming import backend

SECONDS = float(os.environ.get("UDSPH_STRESS_SECONDS", "1"))
BITS, BATCH, KEPT, K = 64, 7, 140, 20


@pytest.fixture(params=backend.available())
def engine(request):
    backend.use(request.param)
    yield request.param
    backend.use(None)


def codes_of(ids):
    """A code that follows from the id, so that every answer can be checked."""
    mixed = np.asarray(ids, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed ^ (mixed >> np.uint64(29))).view(np.uint8).reshape(-1, 8)


def distances_of(query, ids):
    return hamming.distances(query, codes_of(ids))[0] if len(ids) else np.empty(0, np.int32)


class Mix:
    """An index, the workers that use it, and what is known of each batch of ids: when it came and went."""

    def __init__(self, index, strings=False):
        self.index = index
        self.strings = strings
        self.clock = itertools.count()
        self.batches = itertools.count()
        self.added = {}  # batch -> (tick before, tick after)
        self.removed = {}
        self.choosing = threading.Lock()
        self.failures = []
        self.done = {}
        self.stop = threading.Event()
        self.query = codes_of([5]) ^ np.uint8(3)
        self.kept = np.arange(KEPT)  # ids that stay for ever
        for _ in range(KEPT // BATCH):
            self.add()

    @staticmethod
    def ids(batch):
        return np.arange(batch * BATCH, (batch + 1) * BATCH)

    def called(self, ids):
        """Ids as the index has them."""
        return [f"é{id}" for id in ids] if self.strings else ids

    def numbers(self, ids):
        """And back."""
        return np.array([int(id[1:]) for id in ids], int) if self.strings else ids

    def add(self):
        batch = next(self.batches)
        before = next(self.clock)
        self.added[batch] = (before, None)
        self.index.add(codes_of(self.ids(batch)), ids=self.called(self.ids(batch)))
        self.added[batch] = (before, next(self.clock))

    def remove(self):
        with self.choosing:  # two workers remove different batches
            present = [b for b, (_, after) in list(self.added.items()) if after is not None and b not in self.removed]
            present = [b for b in present if b >= KEPT // BATCH]
            if len(present) < 3:
                return
            batch = present[len(present) // 2]
            before = next(self.clock)
            self.removed[batch] = (before, None)
        self.index.remove(self.called(self.ids(batch)))
        self.removed[batch] = (before, next(self.clock))

    def check_state(self, ids, begin, end):
        """The ids are those of a state between two ticks."""
        batches, counts = np.unique(np.asarray(ids) // BATCH, return_counts=True)
        assert (counts == BATCH).all(), "a batch in part"
        seen = set(batches.tolist())
        for batch, (before, after) in list(self.added.items()):
            went_before, went_after = self.removed.get(batch, (None, None))
            if batch in seen:
                assert before < end, "an id from the future"
                assert went_after is None or went_after > begin, "an id that was removed before"
            elif after is not None and after < begin:
                assert went_before is not None and went_before < end, "an id is lost"

    def range_search(self):
        begin = next(self.clock)
        found = self.index.range_search(self.query, BITS)
        end = next(self.clock)
        ids = self.numbers(found.ids)
        self.check_state(ids, begin, end)
        np.testing.assert_array_equal(found.distances, distances_of(self.query, ids))
        assert (np.diff(found.distances) >= 0).all()

    def search(self):
        found = self.index.search(self.query, K)
        np.testing.assert_array_equal(found.distances[0], distances_of(self.query, self.numbers(found.ids[0])))

    def filtered(self):
        """The answer within ids that stay for ever is always the same."""
        expected = np.argsort(distances_of(self.query, self.kept), kind="stable")[:K]
        found = self.index.search(self.query, K, where=self.called(self.kept))
        np.testing.assert_array_equal(self.numbers(found.ids[0]), expected)

    def each(self):
        """Queries with filters and radii of their own see one state too."""
        begin = next(self.clock)
        queries = np.concatenate([self.query, self.query])
        found = self.index.range_search(queries, [BITS, 3], where=[None, self.called(self.kept[:5])])
        end = next(self.clock)
        self.check_state(self.numbers(found.ids[: found.offsets[1]]), begin, end)

    def masked(self):
        """By insertion order, the ids that stay come first; the index may have changed since its length was taken."""
        mask = np.zeros(len(self.index), bool)
        mask[:KEPT] = True
        try:
            found = self.index.range_search(self.query, BITS, where=mask)
        except ValueError as error:
            assert "where must have" in str(error)
        else:
            np.testing.assert_array_equal(np.sort(self.numbers(found.ids)), self.kept)

    def optimize(self):
        self.index.optimize(threads=1, new_only=next(self.clock) % 2 == 0)

    def ids_of_one_state(self):
        begin = next(self.clock)
        ids = self.index.ids
        self.check_state(self.numbers(ids), begin, next(self.clock))
        assert self.called([3])[0] in self.index

    def rest(self):
        time.sleep(0.005)  # else there is soon so much that a check takes long

    def sizes(self):
        assert len(self.index) >= KEPT
        assert self.index.nbytes >= KEPT * BITS // 8

    def reconstruct(self):
        np.testing.assert_array_equal(self.index.reconstruct(self.called(self.kept)), codes_of(self.kept))

    def stored(self):
        """A copy by file, by pickle and in memory is a state too, and the copy changes on its own."""
        for make in (self.through_file, self.through_pickle, copy.copy, copy.deepcopy):
            begin = next(self.clock)
            other = make(self.index)
            end = next(self.clock)
            self.check_state(other.range_search(self.query, BITS).ids, begin, end)
            other.add(codes_of([1 << 40]), ids=[1 << 40])
            other.remove(self.kept)
            assert 1 << 40 in other.range_search(self.query, BITS).ids
        self.reconstruct()

    @staticmethod
    def through_file(index):
        file = io.BytesIO()
        index.save(file)
        file.seek(0)
        return hamming.load(file)

    @staticmethod
    def through_pickle(index):
        buffers = []
        data = pickle.dumps(index, protocol=5, buffer_callback=buffers.append)
        return pickle.loads(data, buffers=buffers)

    def work(self, *steps):
        try:
            while not self.stop.is_set():
                for step in steps:
                    step()
                    self.done[step.__name__] = self.done.get(step.__name__, 0) + 1
        except BaseException as error:
            self.failures.append(error)
            self.stop.set()


@pytest.mark.parametrize("kind", ["flat", "multi"])
def test_eight_threads_in_any_mix(engine, kind):
    mix = Mix(hamming.FlatIndex(BITS) if kind == "flat" else hamming.Index(BITS, kind="multi"))
    plans = [
        (mix.add, mix.remove, mix.add),
        (mix.add, mix.range_search, mix.remove),
        (mix.filtered, mix.optimize) if kind == "multi" else (mix.filtered,),
        (mix.filtered, mix.search),
        (mix.range_search,),
        (mix.masked, mix.sizes),
        (mix.stored, mix.sizes),
        (mix.reconstruct, mix.search, mix.filtered),
    ]
    workers = [threading.Thread(target=mix.work, args=plan) for plan in plans]
    for worker in workers:
        worker.start()
    mix.stop.wait(SECONDS)
    mix.stop.set()
    for worker in workers:
        worker.join()
    if mix.failures:
        raise mix.failures[0]
    assert set(mix.done) == {step.__name__ for plan in plans for step in plan}
    left = set(mix.added) - set(mix.removed)
    assert sorted(mix.index.range_search(mix.query, BITS).ids) == sorted(i for b in left for i in mix.ids(b))


@pytest.mark.parametrize(("kind", "strings"), [("flat", False), ("multi", True)])
def test_fifty_threads_search_while_one_changes_the_index(kind, strings):
    mix = Mix(hamming.Index(BITS, kind=kind), strings)
    change = (mix.add, mix.add, mix.remove, mix.optimize, mix.add, mix.remove, mix.rest)
    ask = [
        (mix.range_search, mix.filtered),
        (mix.each, mix.ids_of_one_state),
        (mix.search, mix.reconstruct, mix.masked),
    ]
    plans = [change, *itertools.islice(itertools.cycle(ask), 50)]
    workers = [threading.Thread(target=mix.work, args=plan) for plan in plans]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 50)  # whoever releases the interpreter's lock waits for the 50 others
    try:
        for worker in workers:
            worker.start()
        mix.stop.wait(SECONDS)
        mix.stop.set()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    if mix.failures:
        raise mix.failures[0]
    assert mix.done["add"] > 3
    left = set(mix.added) - set(mix.removed)
    assert sorted(mix.numbers(mix.index.ids)) == sorted(i for b in left for i in mix.ids(b))


def test_a_search_sees_the_state_at_its_start(engine, monkeypatch):
    """An addition between the making of a filter and the search itself changes nothing."""
    index = hamming.FlatIndex(BITS)
    index.add(codes_of(np.arange(3)))
    snapshot_type = type(index._snapshot)
    allowed = snapshot_type.allowed

    def add_then_go_on(self, where, unknown):
        words = allowed(self, where, unknown)
        index.add(codes_of(np.arange(1000)))
        return words

    monkeypatch.setattr(snapshot_type, "allowed", add_then_go_on)
    assert index.search(codes_of([1]), 5, where=np.array([1, 2])).ids[0].tolist() == [1, 2, -1, -1, -1]
    assert index.range_search(codes_of([1]), BITS, where=np.array([True, True, False] + 1000 * [False])).ids.size == 2


def test_ids_given_while_others_search_are_all_kept(engine):
    """Own ids from one thread, searches from another: none is lost, and the file opens."""
    index = hamming.FlatIndex(BITS)
    stop = threading.Event()

    def look():
        while not stop.is_set():
            index.search(codes_of([1]), 3)

    worker = threading.Thread(target=look)
    worker.start()
    ids = np.random.default_rng(0).permutation(2000)
    for begin in range(0, 2000, 8):
        index.add(codes_of(ids[begin : begin + 8]), ids=ids[begin : begin + 8])
    stop.set()
    worker.join()
    assert len(index) == 2000
    np.testing.assert_array_equal(index.reconstruct(ids), codes_of(ids))
    assert len(hamming.FlatIndex.from_bytes(index.to_bytes())) == 2000


def _use_after_fork(index, queue):
    index.add(codes_of([10**6]), ids=[10**6])
    index.remove([0])
    queue.put((index.search(codes_of([10**6]), 1).ids[0, 0], len(pickle.dumps(index)) > 0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_while_others_add_and_search_leaves_a_usable_index(engine):
    index = hamming.FlatIndex(BITS)
    index.add(codes_of(np.arange(500)), ids=np.arange(500))
    index.search(codes_of([1]), 1)  # compiled before the fork
    stop, names = threading.Event(), itertools.count(1000)

    def use():
        while not stop.is_set():
            new = [next(names) for _ in range(5)]
            index.add(codes_of(new), ids=new)
            index.search(codes_of([1]), 5)

    workers = [threading.Thread(target=use) for _ in range(3)]
    for worker in workers:
        worker.start()
    context = multiprocessing.get_context("fork")
    try:
        for _ in range(8):
            time.sleep(0.01)
            queue = context.SimpleQueue()
            child = context.Process(target=_use_after_fork, args=(index, queue))
            child.start()
            child.join(60)
            code = child.exitcode
            child.kill()  # one that waits for ever would keep the whole suite
            assert code == 0
            assert queue.get() == (10**6, True)
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def _search_in_worker(index):
    return index.search(codes_of([7]), 1).ids[0, 0]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_an_index_goes_to_other_processes(method):
    index = hamming.FlatIndex(BITS)
    index.add(codes_of(np.arange(2000)))
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_search_in_worker, (index,)) == 7


def test_joblib_and_grid_search_share_an_index():
    joblib = pytest.importorskip("joblib")
    index = hamming.FlatIndex(BITS)
    index.add(codes_of(np.arange(200_000)))  # large enough for joblib to map it
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(_search_in_worker)(index) for _ in range(2)) == [7, 7]
