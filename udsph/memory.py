"""How much memory is left, asked before much of it is taken."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUPS = (  # limit and use of version 2, and of version 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available() -> int | None:
    """Bytes that this process may still take: of the machine, its container and its own limit; None: not known here."""
    known = [left for left in (_of_machine(), *map(_of_cgroup, _CGROUPS), _of_process()) if left is not None]
    return max(0, min(known)) if known else None


def size(count: float) -> str:
    """A number of bytes for a reader."""
    power = 0
    while count >= 1000 and power < 3:
        count, power = count / 1000, power + 1
    digits = 0 if power == 0 or count >= 100 else 1
    return f"{count:.{digits}f} {('bytes', 'kB', 'MB', 'GB')[power]}"


def _of_machine() -> int | None:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


def _of_cgroup(paths: tuple[str, str]) -> int | None:
    limit, used = (next(iter(_lines(path)), "") for path in paths)
    return int(limit) - int(used) if limit.isdecimal() and used.isdecimal() else None


def _of_process() -> int | None:
    try:
        import resource
    except ImportError:  # not a POSIX system
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = next(iter(_lines("/proc/self/statm")), "")
    if limit == resource.RLIM_INFINITY or not used:
        return None
    return limit - int(used.split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
