"""Files that are whole or not there: write beside and rename, JSON, and a lock for one owner.

Everything that the package leaves on disk under a name that somebody may read goes through ``replacing`` or ``beside``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from udsph.errors import InputError

PathLike = str | os.PathLike[str]

_FAILURES = (errno.EIO, errno.ENOSPC, errno.EDQUOT)  # of a disk
_LONGEST_STEM, _LONGEST_SUFFIX = 40, 16  # of the target's name in the temporary one, which must stay a legal name


@contextlib.contextmanager
def beside(path: PathLike, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path in the target's folder; at the end its file is synced and renamed into place.

    The temporary name is unique and keeps the target's suffix, by which many writers choose a format. After an
    exception or Ctrl-C nothing of it is left and the target is as it was. A symbolic link stays: the file that it
    points to is replaced. A file that is replaced keeps its mode, a new one gets the usual mode of the process. What is
    not a regular file, such as ``/dev/null`` or a pipe, is written to directly.

    Parameters
    ----------
    path : path
        Where the file shall be.
    durable : bool
        Whether file and folder are synced, so that the file survives a power failure too. Otherwise it survives the end
        of the process, however that ends.

    Yields
    ------
    Path
        Of an empty file to be filled by name.

    Raises
    ------
    IsADirectoryError, FileNotFoundError, OSError
        The target is a folder, its folder is missing, or the system refuses; the message names the target.
    """
    target = Path(os.path.realpath(path))
    mode = None
    with contextlib.suppress(FileNotFoundError):
        mode = target.stat().st_mode
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "Is a directory", os.fspath(path))
    if mode is not None and not stat.S_ISREG(mode):
        yield target
        return
    temporary = _name_beside(target)
    try:
        _create(temporary, path)
        usual = temporary.stat().st_mode
        yield temporary
        os.chmod(temporary, stat.S_IMODE(usual if mode is None else mode))
        if durable:
            _sync(temporary)
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, os.fspath(temporary)):
            error.filename = os.fspath(path)  # a full disk, say, which Python reports without a name
        raise
    if durable:
        sync_folder(target.parent)


@contextlib.contextmanager
def folder_beside(path: PathLike) -> Iterator[Path]:
    """Give a temporary folder beside a new one; at the end its files are synced and it is renamed into place.

    After an exception or Ctrl-C nothing of it is left.

    Yields
    ------
    Path
        Of an empty folder to be filled with files.

    Raises
    ------
    InputError
        Something is there already that is not an empty folder.
    FileNotFoundError, OSError
        The folder that it would be in is missing, or the system refuses; the message names the target.
    """
    target = Path(os.path.realpath(path))
    there = target.exists()
    if there and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{os.fspath(path)} is there already; give the path of a new or an empty folder")
    temporary = _name_beside(target)
    try:
        os.mkdir(temporary)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
    try:
        yield temporary
        for file in temporary.iterdir():
            _sync(file)
        sync_folder(temporary)
        if there:
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            os.rmdir(target)  # Windows replaces none
        os.rename(temporary, target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, os.fspath(temporary)):
            error.filename = os.fspath(path)
        raise
    sync_folder(target.parent)


@contextlib.contextmanager
def replacing(
    path: PathLike, mode: str = "wb", *, encoding: str | None = None, newline: str | None = None, durable: bool = True
) -> Iterator[IO[Any]]:
    """Open a file that takes the place of ``path`` when the block ends without an exception; see ``beside``.

    Parameters
    ----------
    path : path
        Where the file shall be.
    mode : {"wb", "w+b", "w"}
        As for ``open``; text is UTF-8 unless another encoding is named.
    encoding, newline : str, optional
        As for ``open``.
    durable : bool
        As for ``beside``.
    """
    if "b" not in mode:
        encoding = encoding or "utf-8"
    with beside(path, durable=durable) as temporary, open(temporary, mode, encoding=encoding, newline=newline) as file:
        yield file


def write_bytes(path: PathLike, content: bytes | bytearray | memoryview) -> None:
    """Replace a file by these bytes."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: PathLike, text: str) -> None:
    """Replace a file by this text, in UTF-8 and with its line ends as they are."""
    with replacing(path, "w", newline="") as file:
        file.write(text)


def write_json(path: PathLike, value: Any) -> None:
    """Replace a file by a value as JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: PathLike) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        It is not JSON; the message names the file and the place.
    OSError
        It cannot be read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError
        raise InputError(f"{os.fspath(path)} is damaged: it is not JSON ({error})") from None


@contextlib.contextmanager
def locked(path: PathLike) -> Iterator[None]:
    """Hold a lock file for one owner at a time, in this process or another.

    The system frees the lock when its owner ends, however it ends, so no stale lock remains. The file itself stays and
    names the last owner. File systems without locks (some network mounts) are reported by ``OSError``.

    Raises
    ------
    InputError
        Somebody else holds it; the message names the process.
    OSError
        The file cannot be made or locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError:
            owner = os.read(descriptor, 200).decode(errors="replace").partition("\n")[0].strip() or "another process"
            raise InputError(f"{os.fspath(path)} is held by {owner}; wait until it has ended") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def sync_file(path: PathLike) -> None:
    """Make what is in a file survive a power failure."""
    _sync(Path(path))


def sync_folder(folder: PathLike) -> None:
    """Make renames within a folder survive a power failure, where the system can.

    Raises
    ------
    OSError
        The disk failed or is full; that a file system does not sync folders is no error.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _FAILURES:  # others say that this file system does not sync folders
            raise
    finally:
        os.close(descriptor)


def _name_beside(target: Path) -> Path:
    """A name in the target's folder that nobody else has."""
    suffix = target.suffix if len(target.suffix) <= _LONGEST_SUFFIX else ""
    return target.with_name(f".{target.stem[:_LONGEST_STEM]}.{secrets.token_hex(8)}.part{suffix}")


def _create(temporary: Path, named: PathLike) -> None:
    """Make an empty file; the error of a missing folder names what the caller named."""
    try:
        open(temporary, "xb").close()  # an object closes itself where Ctrl-C comes between, a descriptor does not
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(named)) from None


def _sync(path: Path) -> None:
    with open(path, "r+b" if os.name == "nt" else "rb") as file:
        os.fsync(file.fileno())


def _lock(descriptor: int) -> None:
    """Take the lock of an open file; ``BlockingIOError`` where another has it."""
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
