"""How many threads a search uses."""

from __future__ import annotations

import os
import sys
from typing import Any

from udsph.checks import check_int


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
        return check_int(threads, "threads", 1)
    for variable in ("UDSPH_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "")
        if text.isdecimal() and int(text) > 0:
            return int(text)
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
