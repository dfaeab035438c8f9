"""What a collection is after a power failure, a kill, a full or failing disk."""

import errno
import os
import random
import shutil

import numpy as np
import pytest
from collection_faults import CALLS, Disk, after_power_failure
from collection_helpers import codes_of, program
from collection_programs import make

from udsph.hamming.collection import Collection

ROUNDS = int(os.environ.get("UDSPH_COLLECTION_ROUNDS", "1"))

linux = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="files are known by their descriptors on Linux")


def contents(collection):
    return {
        str(id): row.tobytes() for id, row in zip(collection.ids, collection.reconstruct(collection.ids), strict=True)
    }


class History:
    """A scripted history: what it commits, and what the collection was after each commit."""

    def __init__(self, path, disk):
        self.path, self.disk = path, disk
        self.committed = {}  # contents by generation
        self.given = 0

    def run(self):
        self.returned = []  # (length of the log, generation) when a commit returned
        writer = self.tried(lambda: Collection.create(self.path, 64, keep=2))
        self.writer = writer
        self.note()
        for what, count in (
            ("add", 3),
            ("add", 700),
            ("remove", 5),
            ("add", 20),
            ("compact", 0),
            ("remove", 600),  # positions close up
            ("add", 1),
        ):
            if what == "add":
                numbers = np.arange(self.given, self.given + count)
                self.given += count
                writer.add(codes_of(numbers), [f"n{n}" for n in numbers])
            elif what == "remove":
                writer.remove(writer.ids[:count])
            self.committed[writer.generation + 1] = contents(writer)
            self.tried(writer.compact if what == "compact" else writer.commit)
            self.note()
        self.tried(writer.close)

    def note(self):
        self.committed[self.writer.generation] = contents(self.writer)
        self.returned.append((len(self.disk.log), self.writer.generation))

    def tried(self, call):
        """The result of a call that may fail once: it must be possible again."""
        try:
            return call()
        except OSError:
            assert self.disk.failed is not None
            if self.committed:
                assert contents(Collection.open(self.path)) in self.committed.values()
            return call()

    def check(self, files, done, folder):
        """A state that was left after so many operations opens to what was committed then, or was about to be."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        least = max((generation for length, generation in self.returned if length <= done), default=None)
        try:
            reader = Collection.open(folder, verify=True)
        except ValueError as error:
            assert least is None and "is no collection" in str(error)
            Collection.create(folder, 64, durability="none").close()
            return
        assert reader.generation >= (least or 0)
        assert contents(reader) == self.committed[reader.generation]
        if done % 4:
            return
        with Collection.open(folder, "a", durability="none") as writer:
            writer.add(codes_of([10**6]), ["new"])
            writer.commit()
            needed = {name for g in writer.generations for name in self.needed(folder, g)}
            assert set(os.listdir(folder)) == needed | {"lock"}

    def needed(self, folder, generation):
        try:
            opened = Collection.open(folder, generation=generation)
        except ValueError:  # an older one, whose files may be gone
            assert generation != max(Collection.open(folder).generations)
            return set(os.listdir(folder))
        return {f"{generation:012d}.manifest", *opened._state.files}


def keeping(choice):
    """Nothing, everything, or by chance whatever was not synced."""
    if choice == "nothing":
        return lambda what: False
    if choice == "everything":
        return lambda what: True
    chance = random.Random(choice)
    return lambda what: chance.choice([True, False, 0.5, 0.99] if what == "write" else [True, False])


@linux
def test_every_crash_state_opens_to_a_generation_that_was_committed(tmp_path, monkeypatch):
    with Disk(tmp_path / "c", monkeypatch) as disk:
        history = History(tmp_path / "c", disk)
        history.run()
    assert {"create", "write", "sync", "rename", "unlink", "sync folder"} == {what for what, *_ in disk.log}
    for done in range(len(disk.log) + 1):
        for choice in ("nothing", *(f"{done} {i}" for i in range(ROUNDS))):
            state = after_power_failure(disk.log[:done], keeping(choice))
            history.check(state, done, tmp_path / "after")


@linux
def test_a_commit_that_is_synced_syncs_what_earlier_ones_did_not(tmp_path, monkeypatch):
    with Disk(tmp_path / "c", monkeypatch) as disk:
        with Collection.create(tmp_path / "c", 64, durability="none") as writer:
            writer.add(codes_of(range(9000)))
        with Collection.open(tmp_path / "c", "a") as writer:
            begun = len(disk.log)
            writer.remove([3])
            writer.commit()
            expected = contents(writer)
    chance = random.Random(0)
    for done in range(begun, len(disk.log) + 1):
        for _ in range(10):
            shutil.rmtree(tmp_path / "after", ignore_errors=True)
            (tmp_path / "after").mkdir()
            kept = keeping(chance.random())
            for name, data in after_power_failure(disk.log[:done], kept).items():
                (tmp_path / "after" / name).write_bytes(data)
            if "000000000002.manifest" in os.listdir(tmp_path / "after"):
                assert contents(Collection.open(tmp_path / "after", verify=True)) == expected
            else:
                assert done < len(disk.log)


@linux
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_whatever_call_fails_the_last_generation_stands_and_the_writer_goes_on(tmp_path, monkeypatch, number):
    """And after a power failure at any time of such a history too."""
    with Disk(tmp_path / "c", monkeypatch) as disk:
        History(tmp_path / "c", disk).run()
    assert set(disk.calls) == set(CALLS)
    chance = random.Random(0)
    for failing in range(0 if number == errno.EIO else 3, len(disk.calls), 6 if ROUNDS == 1 else 1):
        shutil.rmtree(tmp_path / "c")
        with Disk(tmp_path / "c", monkeypatch, failing, number) as faulty:
            history = History(tmp_path / "c", faulty)
            history.run()
        assert faulty.failed == disk.calls[failing]
        last = Collection.open(tmp_path / "c", verify=True)
        assert contents(last) == history.committed[last.generation] and last.generation == max(history.committed)
        for _ in range(ROUNDS):
            done = min(len(faulty.log), faulty.failed_at + chance.randrange(8))  # soon after the failure
            state = after_power_failure(faulty.log[:done], keeping(str(chance.random())))
            history.check(state, done, tmp_path / "after")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a fork")
def test_a_writer_that_is_killed_leaves_what_it_committed(tmp_path):
    killing = program("kill", tmp_path / "c", 20 * ROUNDS, 1)
    out, _ = killing.communicate()
    assert killing.returncode == 0
    steps, most = map(int, out.split())
    assert steps > 2 and most <= 10


def test_readers_in_other_processes_see_committed_generations_only(tmp_path):
    make(tmp_path / "c")
    writer = program("write", tmp_path / "c", 3 * ROUNDS)
    readers = [program("read", tmp_path / "c", 3 * ROUNDS) for _ in range(2)]
    found = [process.communicate()[0] for process in (writer, *readers)]
    assert [process.returncode for process in (writer, *readers)] == [0, 0, 0]
    assert int(found[0]) > 2
    for out in found[1:]:
        refreshed, descriptors = map(int, out.split())
        assert refreshed > 0 and descriptors < 20
