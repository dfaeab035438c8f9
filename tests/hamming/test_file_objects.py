"""Ways in and out of an index: names of any bytes, pipes, file objects of any kind, and copies of its own kinds."""

import copy
import io
import os
import pickle
import threading

import numpy as np
import pytest

from udsph import hamming


def make(n=700, kind=hamming.FlatIndex):
    index = kind(64)
    index.add(np.random.default_rng(0).integers(0, 256, (n, 8), dtype=np.uint8))
    return index


class Partial(io.RawIOBase):
    """Takes a thousand bytes at a time, as an unbuffered file or a socket may."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        taken = bytes(data)[:1000]
        self.data += taken
        return len(taken)


def test_a_file_that_takes_a_part_at_a_time_gets_all(engine):
    file = Partial()
    make().save(file)
    assert bytes(file.data) == make().to_bytes()


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="pipes of POSIX")
def test_a_file_that_does_not_wait_is_refused():
    reads, writes = os.pipe()
    for descriptor in (reads, writes):
        os.set_blocking(descriptor, False)
    with open(reads, "rb", buffering=0) as source, open(writes, "wb", buffering=0) as target:
        with pytest.raises(BlockingIOError):
            hamming.load(source)
        with pytest.raises(BlockingIOError):
            make(60_000).save(target)


@pytest.mark.parametrize("file", [None, 5, b"a.index"])
def test_what_is_no_file_is_named(file):
    with pytest.raises(TypeError, match="file must be a path or a binary file"):
        make().save(file)
    with pytest.raises(TypeError, match="file must be a path or a binary file"):
        hamming.load(file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
@pytest.mark.parametrize("mmap", [True, False])
def test_an_index_comes_through_a_named_pipe(engine, tmp_path, mmap):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: make().save(tmp_path / "pipe"))
    writer.start()
    assert len(hamming.load(tmp_path / "pipe", mmap=mmap)) == 700
    writer.join()


@pytest.mark.skipif(os.name == "nt", reason="names of POSIX are bytes")
@pytest.mark.parametrize("mmap", [True, False])
def test_names_that_are_not_utf8_and_names_that_cannot_be(engine, tmp_path, mmap):
    make().save(tmp_path / "\udcff.index")
    assert len(hamming.load(tmp_path / "\udcff.index", mmap=mmap)) == 700
    make().save(tmp_path / "a")
    with pytest.raises(ValueError, match="null byte"):
        hamming.load(f"{tmp_path}/a\0b", mmap=mmap)
    with pytest.raises(IsADirectoryError):
        hamming.load(tmp_path, mmap=mmap)


class Named(hamming.FlatIndex):
    """A user's own kind, with an attribute of its own."""

    note = None


@pytest.mark.parametrize("kind", [Named, hamming.Index])
def test_copies_and_pickles_keep_the_kind_and_its_attributes(kind):
    index = make(kind=kind)
    index.note = {"made": [2]}
    index.itself = index
    for other in (copy.copy(index), copy.deepcopy(index), pickle.loads(pickle.dumps(index))):
        assert type(other) is kind
        assert other.note == index.note
        other.add(np.zeros((1, 8), np.uint8))
    assert len(index) == 700
    assert copy.copy(index).note is index.note
    deep, pickled = copy.deepcopy(index), pickle.loads(pickle.dumps(index))
    assert deep.note is not index.note
    assert deep.itself is deep and pickled.itself is pickled
