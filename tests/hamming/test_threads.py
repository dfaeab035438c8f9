import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from udsph import hamming
from udsph.hamming import backend
from udsph.threads import cores, share_out, thread_count

native = pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")


def make(n=20_000):
    index = hamming.FlatIndex(64)
    index.add(np.random.default_rng(0).integers(0, 256, (n, 8), dtype=np.uint8))
    return index


def test_thread_count_follows_argument_then_environment(monkeypatch):
    monkeypatch.delenv("UDSPH_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert thread_count() == cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert thread_count() == 5
    monkeypatch.setenv("UDSPH_NUM_THREADS", "3")
    assert thread_count() == 3
    assert thread_count(2) == 2
    monkeypatch.setenv("UDSPH_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="UDSPH_NUM_THREADS=many"):
        thread_count()


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_wrong_thread_counts_are_named(threads):
    with pytest.raises((TypeError, ValueError), match="threads must be"):
        make(10).search(np.zeros((1, 8), np.uint8), 1, threads=threads)


def _count_and_search(index, queue):
    os.environ.pop("UDSPH_NUM_THREADS", None)
    os.environ.pop("OMP_NUM_THREADS", None)
    queue.put((thread_count(), index.search(np.zeros((3, 8), np.uint8), 4).ids.tolist()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_search_after_fork_works_on_one_thread():
    index = make()
    truth = index.search(np.zeros((3, 8), np.uint8), 4, threads=2).ids.tolist()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_count_and_search, args=(index, queue))
    child.start()
    assert queue.get(timeout=60) == (1, truth)
    child.join()


class _Counts:
    """A data set whose items are the number of threads that a search would use where they are read."""

    def __len__(self):
        return 2

    def __getitem__(self, _):
        return thread_count()


def test_one_thread_in_the_workers_of_a_data_loader(monkeypatch):
    data = pytest.importorskip("torch.utils.data")
    for variable in ("UDSPH_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    assert [int(batch) for batch in data.DataLoader(_Counts(), num_workers=1)] == [1, 1]


def test_joblib_shares_the_cores_out(monkeypatch):
    joblib = pytest.importorskip("joblib")
    for variable in ("UDSPH_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    counts = joblib.Parallel(n_jobs=2)(joblib.delayed(thread_count)() for _ in range(2))
    assert all(count <= max(1, cores() // 2) for count in counts)


CTRL_C = """
import numpy as np, udsph.hamming as h, time, sys
index = h.FlatIndex(64)
index.add(np.random.default_rng(0).integers(0, 256, (2_000_000, 8), dtype=np.uint8))
queries = np.random.default_rng(1).integers(0, 256, (100_000, 8), dtype=np.uint8)
print("ready", flush=True)
try:
    index.search(queries, 10)
except KeyboardInterrupt:
    print("stopped", index.search(index.reconstruct([5]), 1).ids[0, 0], flush=True)
"""


@native
@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_stops_a_long_search_and_the_index_is_sound(threads):
    environment = {**os.environ, "UDSPH_NUM_THREADS": threads, "UDSPH_SIMD": "scalar"}
    with subprocess.Popen(
        [sys.executable, "-c", CTRL_C], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "stopped 5\n"
    assert process.returncode == 0


def test_any_number_of_threads_may_be_asked_for(monkeypatch):
    index = make()
    truth = index.search(np.zeros((3, 8), np.uint8), 4, threads=1)
    assert (index.search(np.zeros((3, 8), np.uint8), 4, threads=10**30).ids == truth.ids).all()
    monkeypatch.setenv("UDSPH_NUM_THREADS", str(10**30))
    assert (index.search(np.zeros((3, 8), np.uint8), 4).ids == truth.ids).all()


def test_a_caller_does_the_work_of_threads_that_cannot_start(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    share_out(10, 4, lambda part: done.extend(range(part.start, part.stop)))
    assert sorted(done) == list(range(10))


def test_ctrl_c_within_compiled_code_is_ctrl_c():
    """Numba's code returns a result although the exception is set, of which the interpreter makes a SystemError."""

    def work(part):
        inner = SystemError("_numba_unpickle returned a result with an exception set")
        inner.__cause__ = KeyboardInterrupt()
        raise SystemError("CPUDispatcher returned a result with an exception set") from inner

    with pytest.raises(KeyboardInterrupt):
        share_out(3, 2, work)
