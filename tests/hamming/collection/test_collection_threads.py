"""Threads, Ctrl-C at every line, generations that were taken back, folders that were made anew under a reader."""

import contextlib
import errno
import linecache
import os
import pickle
import shutil
import sys
import threading

import numpy as np
import pytest
from collection_helpers import codes_of, same

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming.collection import Collection, changes

STEP = max(1, 8 // int(os.environ.get("UDSPH_COLLECTION_ROUNDS", "1")))  # lines
PACKAGE = os.path.dirname(changes.__file__)


def make(path, n=1300, **settings):
    with Collection.create(path, 64, durability="none", **settings) as writer:
        writer.add(codes_of(range(n)))
    return path


def test_a_reader_leaves_a_generation_that_was_taken_back(tmp_path, monkeypatch):
    """It was there for a moment, before a failing disk; the next one has its number."""
    reader = Collection.open(make(tmp_path / "c"))
    publish = changes.publish

    def failing(*arguments, **settings):
        publish(*arguments, **settings)
        assert reader.refresh() and len(reader) == 1301
        raise OSError(errno.EIO, "Input/output error")

    with Collection.open(tmp_path / "c", "a") as writer:
        writer.add(codes_of([5000]))
        with monkeypatch.context() as patch, pytest.raises(OSError, match="Input/output error"):
            patch.setattr(changes, "publish", failing)
            writer.commit()
        writer.add(codes_of([5001]))
        assert writer.commit() == reader.generation
        assert reader.refresh() and len(reader) == 1302 and not reader.refresh()
        same(writer, reader)


def test_a_reader_that_finds_another_collection_in_its_folder_searches_that_one(tmp_path):
    path = make(tmp_path / "c", 5000)
    reader = Collection.open(path)
    reader.kind = "multi"
    reader.optimize()
    for numbers in (range(7000, 12_000), range(7000, 12_500)):  # with the same number of generations, and with more
        shutil.rmtree(path)
        with Collection.create(path, 64, durability="none") as writer:
            writer.add(codes_of(numbers))
        assert reader.refresh()
        same(Collection.open(path), reader)
        reader.optimize()
    shutil.rmtree(path)
    Collection.create(path, 32, durability="none").close()
    with pytest.raises(hamming.FormatError, match="is another collection now, of 32 bits"):
        reader.refresh()


class Interrupted:
    """Raises Ctrl-C at a line of the package, the one of number ``at``, while it is used in ``with``."""

    def __init__(self, at):
        self.at, self.lines = at, 0

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_):
        sys.settrace(self._before)

    def _trace(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(PACKAGE) or frame.f_code.co_name == "__del__":
            return None  # in the latter Python ignores it
        blocks = set()

        def line(frame, event, _):
            if event != "line":
                return line
            if linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with "):
                if frame.f_lineno in blocks:
                    return line  # its end, between which and the release of a lock no signal is handled
                blocks.add(frame.f_lineno)
            self.lines += 1
            if self.lines == self.at:
                sys.settrace(None)
                raise KeyboardInterrupt
            return line

        return line


@pytest.mark.parametrize("what", ["commit", "compact", "close"])
def test_ctrl_c_at_any_line_leaves_a_writer_that_can_go_on(tmp_path, what):
    truth = hamming.FlatIndex(64)
    truth.add(codes_of(range(1400)))
    truth.remove([5, 700])
    at, ended = 1, False
    while not ended:
        path = make(tmp_path / str(at))
        writer = Collection.open(path, "a", durability="none")
        writer.add(codes_of(range(1300, 1400)))
        writer.remove([5, 700])
        interrupted = Interrupted(at)
        try:
            with interrupted:
                getattr(writer, what)()
            ended = True
        except KeyboardInterrupt:
            assert len(Collection.open(path, verify=True)) in (1300, 1398)
        if not writer._closed:
            same(truth, writer)
            writer.close()
        same(truth, Collection.open(path, verify=True))
        Collection.open(path, "a").close()  # the lock is free, and nothing is left
        assert len(os.listdir(path)) == 2 + len(Collection.open(path)._state.files)
        shutil.rmtree(path)
        at += STEP + (at // STEP) % 2  # not the same lines of a loop every time
    assert at > 100


@pytest.mark.parametrize("mode", ["r", "a", "create"])
def test_ctrl_c_at_any_line_of_opening_leaves_no_lock(tmp_path, mode):
    at, ended = 1, False
    while not ended:
        path = tmp_path / str(at)
        if mode != "create":
            make(path)
        try:
            with Interrupted(at):
                (Collection.create(path, 64) if mode == "create" else Collection.open(path, mode)).close()
            ended = True
        except KeyboardInterrupt:
            pass
        with contextlib.ExitStack() as stack:
            try:
                writer = stack.enter_context(Collection.open(path, "a"))
            except (hamming.FormatError, FileNotFoundError):
                assert mode == "create"
                writer = stack.enter_context(Collection.create(path, 64))
            writer.add(codes_of([1]))
        assert len(os.listdir(path)) == 2 + len(Collection.open(path, verify=True)._state.files)
        at += STEP + (at // STEP) % 2
    assert at > 50


def together(*calls):
    """Run calls in threads of their own until the first has ended; what they raised."""
    ended, raised = threading.Event(), []

    def run(number, call):
        try:
            while not ended.is_set():
                call()
                if number == 0:
                    return
        except Exception as error:
            raised.append(error)
        finally:
            if number == 0:
                ended.set()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_threads_refresh_search_and_close_in_any_mix(tmp_path):
    """Every answer is that of one committed generation: generation g has 100 g codes, the last one is code g."""
    path = tmp_path / "c"
    with Collection.create(path, 64, durability="none") as writer:
        reader = Collection.open(path)

        def write():
            for number in range(1, 40):
                writer.add(codes_of([*range(100_000 + 99 * number, 100_099 + 99 * number), number]))
                writer.compact() if number % 5 == 0 else writer.commit()
                if number % 7 == 0:
                    pickle.loads(pickle.dumps(reader)).close()

        def search():
            numbers = reader.range_search(codes_of(range(1, 41)), 0)[0]
            found = np.diff(numbers)
            assert (np.diff(found) <= 0).all(), found  # those up to a generation, and none beyond

        def stats():
            now = reader.stats()
            assert now["codes"] == 100 * sum(now["codes_in_files"]) // 100 and now["codes"] % 100 == 0

        assert together(write, reader.refresh, search, search, stats) == []
        assert together(lambda: None, writer.verify) == []

        # Closed at any moment by one of them, for all of them.
        def change():
            writer.add(codes_of([1]))
            writer.commit()

        for error in together(writer.close, change, writer.compact, writer.commit, writer.rollback):
            assert isinstance(error, InputError) and "is closed" in str(error), error
        for call in (lambda: len(writer), writer.commit, writer.rollback, lambda: writer.search(codes_of([1]), 1)):
            with pytest.raises(InputError, match="is closed"):
                call()
        for error in together(reader.close, reader.refresh, search, stats):
            assert isinstance(error, InputError) and "is closed" in str(error), error
        with pytest.raises(InputError, match="is closed"):
            len(reader)


def test_a_collection_is_not_given_back_while_a_thread_commits(tmp_path, monkeypatch):
    path = make(tmp_path / "c")
    writer = Collection.open(path, "a", durability="none")
    inside, go_on = threading.Event(), threading.Event()
    publish = changes.publish

    def slowly(*arguments, **settings):
        inside.set()
        assert go_on.wait(60)
        assert (path / "lock").read_bytes() != b""
        publish(*arguments, **settings)

    monkeypatch.setattr(changes, "publish", slowly)
    writer.add(codes_of([1]))
    committing = threading.Thread(target=writer.commit)
    committing.start()
    assert inside.wait(60)

    def fail():
        with contextlib.suppress(ZeroDivisionError), writer:
            raise ZeroDivisionError

    leaving = threading.Thread(target=fail)
    leaving.start()
    leaving.join(0.2)
    with pytest.raises(InputError, match="held by process"):
        Collection.open(path, "a")
    go_on.set()
    committing.join()
    leaving.join()
    assert len(Collection.open(path, "a")) == 1301
