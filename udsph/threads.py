"""Threads of one call, and a lock that a fork cannot leave held."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from udsph.checks import check_int

_MOST = 1 << 16  # threads of one call, however many are asked for


def thread_count(threads: Any = None) -> int:
    """Return the number of threads for one call.

    ``threads`` itself where it is given, else ``UDSPH_NUM_THREADS``, else ``OMP_NUM_THREADS`` (which joblib sets in its
    workers). Otherwise every core that this process may use; but 1 in a process started by ``multiprocessing``, as the
    workers of a torch DataLoader are, because there the processes are the parallelism.

    Raises
    ------
    TypeError, ValueError
        ``threads`` or one of the variables is not a positive int.
    """
    if threads is not None:
        return min(check_int(threads, "threads", 1), _MOST)
    for variable in ("UDSPH_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "")
        if text.isdecimal() and int(text) > 0:
            return min(int(text), _MOST)
        if text and variable == "UDSPH_NUM_THREADS":
            raise ValueError(f"{variable}={text} is not a positive int")
    if _in_worker_process():
        return 1
    return cores()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_worker_process() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def share_out(count: int, threads: int, work: Callable[[slice], None]) -> None:
    """Call ``work`` with slices of ``range(count)``, in several threads; raises the first exception of any.

    The threads live for this call. ``work`` must release the interpreter's lock for them to be of use. Where the system
    has no more threads the caller does what they would have done.
    """
    threads = max(1, min(threads, count))
    parts = [slice(count * i // threads, count * (i + 1) // threads) for i in range(threads)]
    failures: list[BaseException] = []

    def guarded(part: slice) -> None:
        try:
            work(part)
        except BaseException as error:
            failures.append(_reason(error))

    helpers = []
    for part in parts[1:]:
        helper = threading.Thread(target=guarded, args=(part,), daemon=True)
        try:
            helper.start()
        except RuntimeError:  # can't start new thread
            guarded(part)
        else:
            helpers.append(helper)
    guarded(parts[0])
    for helper in helpers:
        helper.join()
    if failures:
        raise failures[0]


def _reason(error: BaseException) -> BaseException:
    """What stopped compiled code: Numba's returns a result with an exception set, by Ctrl-C say, which the interpreter
    wraps in a SystemError, or several.
    """
    while isinstance(error, SystemError) and error.__cause__ is not None:
        error = error.__cause__
    return error


class ForkSafeLock:
    """A mutual exclusion of threads that a forked child finds free, whichever thread held it in the parent.

    Used as ``with lock.here:``. What it guards must be sound at every moment, for the child sees the state in which the
    fork met it.
    """

    def __init__(self) -> None:
        self._locks = {os.getpid(): threading.Lock()}

    @property
    def here(self) -> threading.Lock:
        """The lock of this process.

        It is handed out, since Ctrl-C would meet an ``__enter__`` or ``__exit__`` written in Python after it took the
        lock or before it gave it back, and nobody would ever have it again.
        """
        return self._locks.setdefault(os.getpid(), threading.Lock())  # one per process; setdefault is atomic

    def __reduce__(self) -> tuple[Any, ...]:
        return ForkSafeLock, ()
