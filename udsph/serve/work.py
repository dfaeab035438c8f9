"""Work in threads: so many pieces at once, so many that wait, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from udsph.serve.refusal import Refused

_Value = TypeVar("_Value")
BUSY = "the server has more to do than it can; try again in a second"


class Work:
    """A fixed number of threads and a waiting room.

    Parameters
    ----------
    workers
        Threads.
    waiting
        Pieces of work that may wait for one; more are refused.
    seconds
        After which a piece of work is given up, waiting included.
    """

    def __init__(self, workers: int, waiting: int, seconds: float, name: str = "work") -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._most, self._seconds = workers + waiting, seconds
        self._there, self._lock = 0, Lock()

    async def do(self, function: Callable[..., _Value], *arguments: Any) -> _Value:
        """What a function returns that is called in a thread.

        Raises
        ------
        Refused
            There is too much to do already, or it took too long.
        """
        with self._lock:
            if self._there >= self._most:
                raise Refused(429, BUSY, again=1)
            self._there += 1
        try:
            future = self._pool.submit(function, *arguments)
        except BaseException:
            self._left(None)
            raise
        future.add_done_callback(self._left)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except (asyncio.TimeoutError, TimeoutError):
            raise Refused(429, BUSY, again=1) from None

    def _left(self, future: Future[Any] | None) -> None:
        with self._lock:
            self._there -= 1

    def close(self) -> None:
        """Take nothing more; what waits is given up."""
        self._pool.shutdown(wait=False, cancel_futures=True)
