"""A record of what a program does to files, the states that a power failure may leave of it, and calls that fail.

The model of a disk is a harsh one: what was written to a file is there for certain only after the file was synced, a
name, a rename or a removal only after its folder was. Of everything else each piece is there or not on its own,
whatever the order, and of a write a part may be there.
"""

import builtins
import errno
import os

from udsph import files

CALLS = ("open", "write", "fsync", "fsync folder", "replace", "unlink", "chmod", "mkdir", "listdir")


class Disk:
    """Records what happens under a folder while it is used in ``with``; the call of number ``failing`` fails."""

    def __init__(self, folder, monkeypatch, failing=None, number=errno.ENOSPC):
        self.folder = str(folder)
        self.log = []  # what was done
        self.calls = []  # what was called
        self.failing = failing
        self.number = number
        self.failed = None
        self._inodes = {}  # by path
        self._count = 0
        self._patch = monkeypatch
        self._real = {name: getattr(os, name) for name in ("fsync", "replace", "unlink", "chmod", "mkdir", "listdir")}

    def __enter__(self):
        self._patch.setattr(files, "open", self._open, raising=False)
        for name in self._real:
            self._patch.setattr(os, name, getattr(self, f"_{name}"))
        return self

    def __exit__(self, *_):
        self._patch.undo()

    def _ours(self, path):
        path = os.fspath(path)
        return path.startswith(self.folder) and not path.endswith("lock")

    def call(self, name):
        """Count a call, which fails if it is its turn."""
        self.calls.append(name)
        if self.failing is not None and len(self.calls) - 1 == self.failing:
            self.failed, self.failed_at = name, len(self.log)
            raise OSError(self.number, os.strerror(self.number))

    def _open(self, path, mode="r", **settings):
        if not self._ours(path) or "r" in mode:
            return builtins.open(path, mode, **settings)
        self.call("open")
        file = builtins.open(path, mode, **settings)  # noqa: SIM115
        path = os.fspath(path)
        if path not in self._inodes:
            self._inodes[path] = self._count
            self._count += 1
            self.log.append(("create", path, self._inodes[path]))
        return _File(file, self._inodes[path], self)

    def _fsync(self, descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not self._ours(path):
            return self._real["fsync"](descriptor)
        if os.path.isdir(path):
            self.call("fsync folder")
            self.log.append(("sync folder", path))
        else:
            self.call("fsync")
            self.log.append(("sync", self._inodes[path]))
        return None

    def _replace(self, source, target):
        if self._ours(source):
            self.call("replace")
        self._real["replace"](source, target)
        if self._ours(source):
            source, target = os.fspath(source), os.fspath(target)
            self._inodes[target] = inode = self._inodes.pop(source)
            self.log.append(("rename", source, target, inode))

    def _unlink(self, path, **settings):
        if self._ours(path):
            self.call("unlink")
        self._real["unlink"](path, **settings)
        if self._ours(path):
            self._inodes.pop(os.fspath(path), None)
            self.log.append(("unlink", os.fspath(path)))

    def _chmod(self, path, mode, **settings):
        if self._ours(path):
            self.call("chmod")
        self._real["chmod"](path, mode, **settings)

    def _mkdir(self, path, *mode, **settings):
        if self._ours(path):
            self.call("mkdir")
        self._real["mkdir"](path, *mode, **settings)

    def _listdir(self, *path):
        if path and self._ours(path[0]):
            self.call("listdir")
        return self._real["listdir"](*path)


class _File:
    """A file whose writes are recorded as they are made: what it is told to write is on its way to the disk."""

    def __init__(self, file, inode, disk):
        self._file, self._inode, self._disk = file, inode, disk

    def write(self, data):
        self._disk.call("write")
        self._disk.log.append(("write", self._inode, self._file.tell(), bytes(data)))
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


def after_power_failure(log, keep):
    """Files by name, as bytes, that the operations of a log may leave.

    keep : called for each piece that was not synced; True: it is there, False: it is not, a number below 1: that
        share of a write is
    """
    data, entries = {}, {}
    synced, folders = {}, {}
    for place, (what, *rest) in enumerate(log):
        if what == "sync":
            synced[rest[0]] = place
        elif what == "sync folder":
            folders[rest[0]] = place
    for place, (what, *rest) in enumerate(log):
        if what == "write":
            inode, offset, content = rest
            share = True if synced.get(inode, -1) > place else keep("write")
            content = content if share is True else content[: int(share * len(content))]
            if content:
                file = data.setdefault(inode, bytearray())
                file.extend(bytes(max(0, offset + len(content) - len(file))))
                file[offset : offset + len(content)] = content
        elif not what.startswith("sync") and (folders.get(os.path.dirname(rest[0]), -1) > place or keep(what)):
            if what == "create":
                entries[rest[0]] = rest[1]
            else:
                entries.pop(rest[0], None)
            if what == "rename":
                entries[rest[1]] = rest[2]
    return {os.path.basename(path): bytes(data.get(inode, b"")) for path, inode in entries.items()}
