import contextlib
import errno
import json
import multiprocessing
import os
import stat
import threading

import pytest

from udsph import files
from udsph.errors import InputError

unix = pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_alone(tmp_path):
    with files.replacing(tmp_path / "a.bin") as file:
        file.write(b"new")
        file.flush()
        assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert entries(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(error), files.replacing(tmp_path / "a.txt", "w") as file:
        file.write("half")
        raise error
    assert (tmp_path / "a.txt").read_text() == "old"
    assert entries(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_appears_whole_and_alone(tmp_path, there):
    if there:
        (tmp_path / "a").mkdir()
    with files.folder_beside(tmp_path / "a") as folder:
        (folder / "x").write_text("1")
        assert there == (tmp_path / "a").exists()
    assert entries(tmp_path) == ["a"] and entries(tmp_path / "a") == ["x"]
    with pytest.raises(InputError, match="a is there already"), files.folder_beside(tmp_path / "a"):
        raise AssertionError
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is there already"), files.folder_beside(tmp_path / "file"):
        raise AssertionError


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_a_failure_leaves_nothing_of_a_folder(tmp_path, error):
    with pytest.raises(BaseException) as raised, files.folder_beside(tmp_path / "a") as folder:
        (folder / "x").write_text("1")
        raise error
    assert entries(tmp_path) == []
    if isinstance(error, OSError):
        assert raised.value.filename == str(tmp_path / "a")


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with files.beside(tmp_path / "figure.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"x")
    assert entries(tmp_path) == ["figure.png"]


@pytest.mark.parametrize("name", ["n" * 250, "ü" * 120 + ".json", "a." + "s" * 200])
def test_long_names_are_written(tmp_path, name):
    files.write_bytes(tmp_path / name, b"x")
    assert entries(tmp_path) == [name]


@unix
def test_a_symbolic_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("store/real")
    files.write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "store" / "real").read_bytes() == b"new"


@unix
def test_a_replaced_file_keeps_its_mode_and_a_new_one_has_the_usual(tmp_path):
    (tmp_path / "old").write_bytes(b"")
    (tmp_path / "old").chmod(0o640)
    (tmp_path / "plain").write_bytes(b"")
    files.write_bytes(tmp_path / "old", b"x")
    files.write_bytes(tmp_path / "new", b"x")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o640
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


@unix
def test_a_writer_that_makes_a_private_file_does_not_decide_its_mode(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with files.beside(tmp_path / "model") as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "plain").stat().st_mode


@unix
def test_a_device_is_written_to_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    files.write_bytes(tmp_path / "pipe", b"through")
    reader.join()
    assert received == [b"through"]
    assert entries(tmp_path) == ["pipe"]


def test_a_folder_or_a_missing_folder_is_named(tmp_path):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        files.write_bytes(tmp_path, b"")
    with pytest.raises(FileNotFoundError, match=r"absent.a\.json"):
        files.write_json(tmp_path / "absent" / "a.json", {})


def test_file_and_folder_are_synced_in_that_order(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def record_fsync(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def record_replace(*paths):
        calls.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    files.write_bytes(tmp_path / "a", b"x")
    assert calls == ["file", "rename", "folder"]


def test_a_failed_sync_leaves_the_old_file(tmp_path, monkeypatch):
    files.write_bytes(tmp_path / "a", b"old")

    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        files.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert entries(tmp_path) == ["a"]


def test_an_error_of_the_system_names_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device: '.*wanted\.csv'"):  # noqa: SIM117
        with files.replacing(tmp_path / "wanted.csv") as file:
            file.write(b"x")
            raise OSError(28, "No space left on device")
    assert entries(tmp_path) == []


def test_many_threads_write_one_path_and_each_file_is_whole(tmp_path):
    path, failures = tmp_path / "a.json", []

    def write(value):
        try:
            for _ in range(20):
                files.write_json(path, [value] * 2000)
                assert len(set(files.read_json(path))) == 1
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(value,)) for value in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failures
    assert entries(tmp_path) == ["a.json"]


def test_json_comes_back_and_damage_is_named(tmp_path):
    value = {"ä": [1, 2.5, None], "line\u2028": "\n"}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json is damaged"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"a\.json is damaged"):
        files.read_json(tmp_path / "a.json")


def _hold(path, ready, leave):
    with files.locked(path):
        ready.set()
        leave.wait(60)
        os._exit(1)  # without freeing it


def test_a_lock_has_one_owner_and_ends_with_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    owner = context.Process(target=_hold, args=(tmp_path / "lock", ready, leave))
    owner.start()
    assert ready.wait(60)
    with pytest.raises(InputError, match=f"held by process {owner.pid}"), files.locked(tmp_path / "lock"):
        pass
    leave.set()
    owner.join(60)
    with files.locked(tmp_path / "lock"), pytest.raises(InputError, match="held by"), files.locked(tmp_path / "lock"):
        pass
    with files.locked(tmp_path / "lock"):
        pass


def test_a_file_need_not_be_synced(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("synced"))
    with files.replacing(tmp_path / "a", durable=False) as file:
        file.write(b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


@unix
@pytest.mark.parametrize(("number", "raises"), [(errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False)])
def test_a_disk_that_fails_to_sync_a_folder_is_an_error(tmp_path, monkeypatch, number, raises):
    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError) if raises else contextlib.nullcontext():
        files.sync_folder(tmp_path)
