"""Programs that write, read, kill and damage: ``collection_programs.py kill|write|read|damage FOLDER ...``.

Each step of a writer follows from its number, and an id in the collection says which was the last, so that a reader in
another process knows what must be there.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from collection_helpers import codes_of

from udsph.hamming.collection import Collection

MARK = 1 << 60  # the id MARK + i is there after step i, and no other of its kind


def apply(step, ids):
    """The ids after a step."""
    chance = random.Random(step)
    if step % 50 == 49:
        return []
    gone = set(chance.sample(ids, len(ids) // chance.choice([3, 20]))) if step % 3 == 2 else set()
    new = range(step * 2000, step * 2000 + chance.choice([1, 10, 600, 1500]))
    return [id for id in ids if id not in gone] + (list(new) if step % 3 != 2 else [])


def make(path):
    """A collection before the first step."""
    with Collection.create(path, 64, durability="none") as writer:
        writer.add(codes_of([MARK]), [MARK])


def step_of(collection):
    """The last step that was committed."""
    (step,) = (id - MARK for id in collection.ids.tolist() if id >= MARK)
    return step


def write(path, durability, report=None, until=float("inf")):
    """Go on where the collection is; the step of each commit that returned goes to the descriptor ``report``."""
    with Collection.open(path, "a", durability=durability) as writer:
        step = step_of(writer)
        if report is not None:
            os.write(report, step.to_bytes(8, "little"))
        while time.monotonic() < until:
            step += 1
            before = [id for id in writer.ids.tolist() if id < MARK]
            after = apply(step, before)
            gone, new = sorted(set(before) - set(after)), sorted(set(after) - set(before))
            writer.remove([*gone, MARK + step - 1])
            writer.add(codes_of([*new, MARK + step]), [*new, MARK + step])
            if step % 7 == 6:
                writer.compact()
            else:
                writer.commit()
            if report is not None:
                os.write(report, step.to_bytes(8, "little"))
    return step


class Reader:
    """Knows what must be there after a step, and looks whether it is."""

    def __init__(self):
        self.step, self.ids = 0, []

    def check(self, collection):
        seen = collection.ids.tolist()
        now = step_of(collection)
        assert now >= self.step, f"after step {self.step} was seen, {now} is there"
        while self.step < now:
            self.step += 1
            self.ids = apply(self.step, self.ids)
        assert [id for id in seen if id < MARK] == self.ids
        np.testing.assert_array_equal(collection.reconstruct(seen), codes_of(seen))
        asked = seen[:: max(1, len(seen) // 8)]
        near, ids = collection.search(codes_of(asked), 1)
        assert not near.any() and ids[:, 0].tolist() == asked


def read(path, seconds):
    """Refresh and check, time and again."""
    reader, collection, until = Reader(), Collection.open(path), time.monotonic() + seconds
    refreshed = 0
    while time.monotonic() < until:
        refreshed += collection.refresh()
        reader.check(collection)
    print(refreshed, len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0)


def kill(path, rounds, seed):
    """Kill a writer, a fork of this process, at random moments, and look at what it leaves."""
    chance, reader, most = random.Random(seed), Reader(), 0
    make(path)
    for _ in range(rounds):
        receive, send = os.pipe()
        durability = chance.choice(["commit", "none", "none", "none"])
        child = os.fork()
        if child == 0:
            os.close(receive)
            try:
                write(path, durability, send)
            finally:
                os._exit(1)  # only by a failure
        os.close(send)
        begun = os.read(receive, 8)
        time.sleep(chance.random() * 0.15)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert len(begun) == 8 and int.from_bytes(begun, "little") == reader.step
        assert os.WIFSIGNALED(status), f"the writer ended by itself after step {reader.step}"
        with os.fdopen(receive, "rb") as file:
            acknowledged = file.read()
        collection = Collection.open(path, verify=True)
        last = int.from_bytes(acknowledged[-8:], "little") if acknowledged else reader.step
        assert step_of(collection) in (last, last + 1), f"step {last} was committed, {step_of(collection)} is there"
        reader.check(collection)
        Collection.open(path, "a").close()  # takes the lock and cleans
        files = set(os.listdir(path))
        assert files == {"lock", f"{collection.generation:012d}.manifest", *collection._state.files}
        most = max(most, len(files))
    print(reader.step, most)


if __name__ == "__main__":
    what, path, *numbers = sys.argv[1:]
    if what == "kill":
        kill(path, *map(int, numbers))
    elif what == "read":
        read(path, float(numbers[0]))
    elif what == "damage":  # FOLDER FORM FILES SEED
        from test_collection_damage import try_mutated

        form, count, seed = numbers
        refused = try_mutated(Path(path), form, int(count), random.Random(f"{form} {seed}"))
        print(f"{form}: {count} files, {refused} refused, the others gave right answers")
    else:
        print(write(path, "none", until=time.monotonic() + float(numbers[0])))
