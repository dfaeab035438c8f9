"""Reading ahead: the next batch is read while the present one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(read: Callable[[A], B], arguments: Iterable[A], *, workers: int = 1, depth: int = 2) -> Iterator[B]:
    """``map(read, arguments)`` in threads, in order, never more than ``workers + depth`` results ahead.

    Reading files and decoding images release the interpreter's lock, so that threads suffice. What ``read`` raises is
    raised here, in its place.
    """
    pending: deque[Future[B]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
    try:
        for argument in arguments:
            pending.append(pool.submit(read, argument))
            if len(pending) >= workers + depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown(wait=True)
