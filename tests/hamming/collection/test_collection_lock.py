"""One writer, many readers: locks, forks, other machines, folders of every kind."""

import multiprocessing
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
from collection_helpers import codes_of, same

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming.collection import Collection, lock

unix = pytest.mark.skipif(os.name == "nt", reason="modes, forks and links of POSIX")


def make(path, n=1300):
    with Collection.create(path, 64, durability="none") as writer:
        writer.add(codes_of(range(n)))
    return path


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    make(tmp_path / "c")
    with Collection.open(tmp_path / "c", "a") as writer:
        with pytest.raises(InputError, match=f"held by process {os.getpid()} on {socket.gethostname()};"):
            Collection.open(tmp_path / "c", "a")
        same(writer, Collection.open(tmp_path / "c"))
    Collection.open(tmp_path / "c", "a").close()
    assert (tmp_path / "c" / "lock").read_bytes() == b""


def _write_in_child(collection, pipe):
    try:
        collection.add(codes_of([1]))
        pipe.send("added")
    except InputError as error:
        pipe.send(str(error))
    pipe.recv()


@unix
def test_a_fork_does_not_write_and_does_not_hold_the_lock(tmp_path):
    make(tmp_path / "c")
    ours, theirs = multiprocessing.Pipe()
    with Collection.open(tmp_path / "c", "a") as writer:
        child = multiprocessing.get_context("fork").Process(target=_write_in_child, args=(writer, theirs))
        child.start()
        assert "of which this one is a fork" in ours.recv()
        writer.add(codes_of([1]))
    with Collection.open(tmp_path / "c", "a") as writer:  # while the child lives
        assert len(writer) == 1301
    ours.send("end")
    child.join()
    assert child.exitcode == 0


def test_what_a_dead_writer_of_this_machine_left_is_no_obstacle(tmp_path):
    make(tmp_path / "c")
    (tmp_path / "c" / "lock").write_text(f"process 1 on {socket.gethostname()}\nboot of yesterday\n")
    Collection.open(tmp_path / "c", "a").close()
    if lock._boot():  # a container with a name of its own
        (tmp_path / "c" / "lock").write_text(f"process 1 on another\nboot {lock._boot()}\n")
        Collection.open(tmp_path / "c", "a").close()


def test_a_writer_on_another_machine_is_respected_until_somebody_says_that_it_ended(tmp_path):
    make(tmp_path / "c")
    left = "process 77 on far.example\nboot 0000\ntoken 1\n"
    (tmp_path / "c" / "lock").write_text(left)
    with pytest.raises(InputError, match=r"left by process 77 on far\.example, another machine.*takeover=True"):
        Collection.open(tmp_path / "c", "a")
    assert (tmp_path / "c" / "lock").read_text() == left
    assert len(Collection.open(tmp_path / "c")) == 1300
    with Collection.open(tmp_path / "c", "a", takeover=True) as writer:
        writer.add(codes_of([1]))


@unix
def test_a_writer_whose_lock_was_taken_does_not_commit(tmp_path):
    make(tmp_path / "c")
    first = Collection.open(tmp_path / "c", "a")
    first.add(codes_of([1]))
    os.unlink(tmp_path / "c" / "lock")
    with Collection.open(tmp_path / "c", "a") as second:
        second.add(codes_of([2]))
        with pytest.raises(InputError, match="no longer held by this writer"):
            first.commit()
    first.rollback()
    with pytest.raises(InputError, match="no longer held"):
        first.add(codes_of([1]))
        first.commit()
    first.rollback()
    first.close()
    assert (tmp_path / "c" / "lock").read_bytes() == b""
    assert len(Collection.open(tmp_path / "c", verify=True)) == 1301


def test_a_generation_of_somebody_else_is_noticed_where_locks_are_not(tmp_path, monkeypatch):
    """As on a network mount without locks."""
    from udsph import files

    make(tmp_path / "c")
    monkeypatch.setattr(files, "_lock", lambda descriptor: None)
    monkeypatch.setattr(lock.WriterLock, "check", lambda self: None)
    one, other = Collection.open(tmp_path / "c", "a"), Collection.open(tmp_path / "c", "a")
    for writer in (one, other):
        writer.add(codes_of([7]))
    assert one.commit() == 2
    with pytest.raises(InputError, match="has generation 2, this writer's last is 1: another writer was there"):
        other.commit()
    other.rollback()
    one.close()
    other.close()


@unix
@pytest.mark.parametrize("name", ["with space", "é漢字 ✓", "..dots", "a'quote"])
def test_paths_of_every_kind(tmp_path, name, monkeypatch):
    make(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / name, target_is_directory=True)
    with Collection.open(tmp_path / "link", "a") as writer:
        writer.add(codes_of([1]))
    monkeypatch.chdir(tmp_path)
    relative = Collection.open(name)
    monkeypatch.chdir("/")
    with Collection.open(tmp_path / name, "a") as writer:
        writer.add(codes_of([1]))
    assert relative.refresh() and len(relative) == 1302  # whatever the working directory has become


@pytest.fixture
def bounded():
    """A folder that another user may enter, and that user, where the tests are run by one who may do anything."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        try:
            if root:
                os.seteuid(65534)
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


@unix
def test_a_read_only_folder_is_read(bounded):
    make(bounded / "c")
    os.chmod(bounded / "c", 0o500)
    try:
        reader = Collection.open(bounded / "c", verify=True)
        assert len(reader) == 1300 and not reader.refresh()
        with Collection.open(bounded / "c", "a") as writer:  # the lock file is there and may be written to
            writer.add(codes_of([1]))
            with pytest.raises(PermissionError, match="segment"):
                writer.commit()
            assert len(Collection.open(bounded / "c")) == 1300
            os.chmod(bounded / "c", 0o700)
            assert writer.commit() == 2
        os.unlink(bounded / "c" / "lock")
        os.chmod(bounded / "c", 0o500)
        with pytest.raises(PermissionError, match="lock"):
            Collection.open(bounded / "c", "a")
    finally:
        os.chmod(bounded / "c", 0o700)


@unix
def test_paths_without_permission_are_named(bounded):
    (bounded / "closed").mkdir()
    for path in (make(bounded / "closed" / "c"), make(bounded / "c")):
        file = next(iter(path.glob("*.segment")))
        for forbidden, mode, named in ((path, 0o700, path.name), (file, 0o600, file.name)):
            os.chmod(forbidden, 0)
            try:
                for open_mode in ("r", "a"):
                    with pytest.raises(PermissionError, match=named):
                        Collection.open(path, open_mode)
            finally:
                os.chmod(forbidden, mode)
        Collection.open(path, "a").close()
    os.chmod(bounded / "closed", 0)
    try:
        for call in (Collection.open, lambda path: Collection.create(path, 64)):
            with pytest.raises(PermissionError, match="closed/c"):
                call(bounded / "closed" / "c")
    finally:
        os.chmod(bounded / "closed", 0o700)


def test_reading_writes_nothing(tmp_path):
    """So that media and folders that cannot be written to serve."""
    make(tmp_path / "c")
    (tmp_path / "c" / "lock").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "c").iterdir()}
    folder = os.stat(tmp_path / "c").st_mtime_ns
    with Collection.open(tmp_path / "c", verify=True) as reader:
        reader.search(codes_of([1]), 3)
        reader.refresh()
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "c").iterdir()} == before
    assert os.stat(tmp_path / "c").st_mtime_ns == folder


def test_what_is_no_collection_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    index = hamming.FlatIndex(64)
    index.save(tmp_path / "a.index")
    for mode in ("r", "a"):
        for name, message in (("empty", "is no collection"), ("other", "is no collection"), ("a.index", "is a file")):
            with pytest.raises(hamming.FormatError, match=message):
                Collection.open(tmp_path / name, mode)
        with pytest.raises(FileNotFoundError):
            Collection.open(tmp_path / "missing", mode)
    assert list((tmp_path / "empty").iterdir()) == []
    for name in ("other", "a.index"):
        with pytest.raises(InputError, match="is there already"):
            Collection.create(tmp_path / name, 64)
    with pytest.raises(FileNotFoundError):
        Collection.create(tmp_path / "missing" / "c", 64)
    make(tmp_path / "empty")
    with pytest.raises(InputError, match="is there already"):
        Collection.create(tmp_path / "empty", 64)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"bits": 0}, ValueError, "bits"),
        ({"bits": 64, "bitorder": "middle"}, ValueError, "bitorder"),
        ({"bits": 64, "multi": 1}, TypeError, "multi must be a bool"),
        ({"bits": 64, "keep": 0}, ValueError, "keep"),
        ({"bits": 64, "durability": "always"}, InputError, "durability must be 'commit' or 'none', got 'always'"),
    ],
)
def test_wrong_settings_make_no_folder(tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        Collection.create(tmp_path / "c", **settings)
    assert list(tmp_path.iterdir()) == []
    make(tmp_path / "c")
    with pytest.raises(InputError, match="mode must be 'r' or 'a', got 'w'"):
        Collection.open(tmp_path / "c", "w")


@unix
def test_pipes_and_folders_under_the_names_of_files_are_refused(tmp_path):
    """A pipe would be waited for for ever."""
    path = make(tmp_path / "c")
    (segment,) = path.glob("*.segment")
    for name in (segment.name, "000000000099.manifest"):
        shutil.copytree(path, tmp_path / "d")
        (tmp_path / "d" / name).unlink(missing_ok=True)
        os.mkfifo(tmp_path / "d" / name)
        for mode in ("r", "a"):
            with pytest.raises(hamming.FormatError, match=f"{name} is not a regular file"):
                Collection.open(tmp_path / "d", mode)
        os.unlink(tmp_path / "d" / name)
        os.mkdir(tmp_path / "d" / name)
        with pytest.raises(IsADirectoryError, match=name):
            Collection.open(tmp_path / "d")
        shutil.rmtree(tmp_path / "d")


@unix
def test_only_files_of_collections_are_removed(tmp_path):
    path = make(tmp_path / "c")
    for name in ("notes.txt", "000.manifest", "x.segment", ".hidden.part.segment"):
        (path / name).write_text("mine")
    ours = ("0123456789abcdef.segment", ".000000000009.0123456789abcdef.part.manifest", "000000000000.manifest")
    for name in ours:
        (path / name).write_text("left")
    Collection.open(path, "a").close()
    left = {file.name for file in path.iterdir()}
    assert {"notes.txt", "000.manifest", "x.segment", ".hidden.part.segment"} < left and not left & set(ours)


@unix
def test_files_have_the_usual_mode(tmp_path):
    path = make(tmp_path / "c")
    (tmp_path / "plain").write_bytes(b"")
    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {usual}
    np.testing.assert_array_equal(Collection.open(path).ids, np.arange(1300))
