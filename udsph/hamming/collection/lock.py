"""The one writer of a collection."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import weakref
from pathlib import Path

from udsph.errors import InputError
from udsph.files import locked

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class WriterLock:
    """Held by the writer of a folder from its opening to its closing.

    The system gives the lock back when the writer's process ends, however it ends, so what a dead writer on this
    machine left is no obstacle. A file system that several machines share may know nothing of the locks of another
    machine: what a writer there has left in the file, or has in it, is respected until ``takeover`` says otherwise.
    """

    def __init__(self, path: Path, *, takeover: bool = False) -> None:
        self._path = path
        self._pid = os.getpid()
        self._stack = contextlib.ExitStack()
        before = _lines(path)
        if not takeover and _of_another_machine(before):
            raise InputError(
                f"{os.fspath(path)} was left by {before[0]}, another machine; if that process has ended, open the "
                "collection with takeover=True"
            )
        _of_children.add(self)
        self._stack.enter_context(locked(path))
        self._token = secrets.token_hex(8)
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"boot {_boot()}\ntoken {self._token}\n")
        except BaseException:
            self._stack.close()
            raise

    def check(self) -> None:
        """Raise if the lock is no longer this writer's."""
        if os.getpid() != self._pid:
            raise InputError(
                f"this collection was opened for writing by process {self._pid}, of which this one is a fork; "
                "open it again here when that one is closed"
            )
        if f"token {self._token}" not in _lines(self._path):
            raise InputError(
                f"{os.fspath(self._path)} is no longer held by this writer: it was removed or taken over; what was not "
                "committed is lost, open the collection again"
            )

    def release(self) -> None:
        """Give the lock back and say in the file that nobody has it."""
        if os.getpid() == self._pid and f"token {self._token}" in _lines(self._path):
            with contextlib.suppress(OSError):
                os.truncate(self._path, 0)
        self._stack.close()

    def forget(self) -> None:
        """In a forked child: let go of the descriptor, so that the lock ends with the parent."""
        self._stack.close()


_of_children: weakref.WeakSet[WriterLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_of_children):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _boot() -> str:
    """What tells this run of the system from every other, or nothing where it does not say so."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _of_another_machine(lines: list[str]) -> bool:
    if not lines:
        return False
    host = lines[0].rpartition(" on ")[2]
    same_system = _boot() and f"boot {_boot()}" in lines[1:]  # a container with a name of its own, say
    return host != socket.gethostname() and not same_system
