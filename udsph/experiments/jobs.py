"""One runner for whatever consists of independent jobs, each of which ends in a row of figures.

A job is described by a few facts and has a file in ``FOLDER/rows``, which is whole or not there. So an interrupted run
continues where it was; a job that failed leaves a row with its error and is tried again by the next call. Jobs run in
processes of their own: one that is killed costs its own job only, and none outlives its parent. One call at a time
runs jobs in a folder.
"""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.files import locked, read_json, write_json
from udsph.threads import cores

Row = dict[str, Any]
"""One line of results: what was measured, by name, as JSON can hold it."""
ROWS, LOCK, RAY = "rows", ".lock", "ray"
KILLED = "its process was killed, perhaps for want of memory"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "UDSPH_NUM_THREADS")
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


class Job(Protocol):
    """What is to be done: hashable, and picklable for other processes."""

    @property
    def file(self) -> str:
        """Name of its row's file, no other job's."""

    @property
    def facts(self) -> Row:
        """What tells it from other jobs; part of its row."""


J = TypeVar("J", bound=Job)


class Runner(Generic[J]):
    """Runs jobs and keeps their rows.

    Parameters
    ----------
    folder : path
        Where ``rows`` is, or will be made.
    work : callable
        Takes a job and returns what its row says besides the job's facts, as JSON can hold it. It is pickled once for
        each process, where it is called with one job after another; what it keeps on itself serves the later ones.
    processes : int or "ray", default 1
        How many jobs run at once. 0 runs them in this process, one by one, as a debugger wants it. "ray": as many as a
        Ray cluster has room for, on its nodes, which must see the files that the work reads.
    threads : int, optional
        Threads of each process; ``OMP_NUM_THREADS`` where it is set, else the machine's cores are divided.

    Raises
    ------
    InputError
        If there are fewer than 0 processes, or another word than "ray".

    Examples
    --------
    Jobs and work are defined in a module, where other processes can import them.

    >>> import dataclasses, tempfile
    >>> @dataclasses.dataclass(frozen=True)
    ... class Training:
    ...     rate: float
    ...
    ...     @property
    ...     def file(self):
    ...         return f"rate-{self.rate}.json"
    ...
    ...     @property
    ...     def facts(self):
    ...         return dataclasses.asdict(self)
    >>> def work(job):
    ...     return {"loss": 1 / job.rate}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     runner = Runner(Path(folder), work, processes=0)
    ...     rows = [row for _, row in runner.run([Training(0.5), Training(0.0)])]
    ...     left = runner.missing([Training(0.5), Training(0.0)])
    >>> rows[0], rows[1]["error"].partition(":")[0], left
    ({'rate': 0.5, 'loss': 2.0}, 'ZeroDivisionError', [Training(rate=0.0)])
    """

    def __init__(
        self, folder: Path, work: Callable[[J], Mapping[str, Any]], processes: int | str = 1, threads: int | None = None
    ) -> None:
        self.folder, self.work, self.processes = folder, work, check_processes(processes)
        at_once = self.processes or 1
        shared = max(1, cores() // at_once) if isinstance(at_once, int) else 1
        self.threads = os.environ.get("OMP_NUM_THREADS") or str(threads or shared)

    def row(self, job: J) -> Row | None:
        """The row of a job, good or failed; None if there is none.

        Raises
        ------
        InputError
            If its file is damaged or holds another job.
        """
        path = self.folder / ROWS / job.file
        if not path.exists():
            return None
        row = _read_row(path)
        for key, value in job.facts.items():
            if row.get(key) != value:
                raise InputError(f"{path} has {key} {row.get(key)}, not {value}; remove it and run again")
        return row

    def rows(self) -> list[Row]:
        """All rows of the folder, of these jobs and of others, in the order of their names."""
        # Of another call that writes just now there may be files with a dot before their names.
        paths = [path for path in (self.folder / ROWS).glob("*.json") if not path.name.startswith(".")]
        return [_read_row(path) for path in sorted(paths)]

    def missing(self, jobs: Sequence[J]) -> list[J]:
        """Jobs without a row, or with one that says how they failed."""
        return [job for job in jobs if "error" in (self.row(job) or {"error": "not run"})]

    def run(self, jobs: Sequence[J]) -> Iterator[tuple[J, Row]]:
        """Run those of the jobs that are missing; yields each with its row, which is in its file by then.

        Raises
        ------
        InputError
            If another call is at work in the folder, or a row is damaged.
        """
        with owned(self.folder):
            waiting = self.missing(jobs)
            for job, row in self._rows_of(waiting):
                (self.folder / ROWS).mkdir(exist_ok=True)
                write_json(self.folder / ROWS / job.file, row)
                yield job, row

    def _rows_of(self, jobs: list[J]) -> Iterator[tuple[J, Row]]:
        if self.processes == RAY:
            from udsph.distributed.jobs import run_all

            return run_all(self.work, jobs, int(self.threads), _row_of, lambda job, why: _failed(job, why or KILLED))
        assert isinstance(self.processes, int)
        return self._elsewhere(jobs, self.processes) if self.processes else self._here(jobs)

    def _here(self, jobs: Sequence[J]) -> Iterator[tuple[J, Row]]:
        for job in jobs:
            yield job, _row_of(self.work, job)

    def _elsewhere(self, waiting: list[J], processes: int) -> Iterator[tuple[J, Row]]:
        """Several at once. When a process is killed, those that ran beside it are repeated, each by itself."""
        suspects: list[J] = []
        while waiting or suspects:
            if suspects:
                lost = yield from self._until_killed(suspects, 1)
            else:
                lost = yield from self._until_killed(waiting, processes)
            if len(lost) == 1:
                yield lost[0], _failed(lost[0], KILLED)
            else:
                suspects += lost

    def _until_killed(self, waiting: list[J], processes: int) -> Generator[tuple[J, Row], None, list[J]]:
        """Run jobs and take them from the list; at the end of a process, return those that were running."""
        running: dict[Future[Row], J] = {}
        with _pool(self.work, processes) as pool:
            while waiting or running:
                try:
                    while waiting and len(running) < processes:
                        with _threads(self.threads):  # a process reads it when it loads its libraries
                            running[pool.submit(_perform, waiting[0])] = waiting[0]
                        del waiting[0]
                except BrokenExecutor:  # of a process that had nothing to do
                    return list(running.values())
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                lost = [future for future in done if isinstance(future.exception(), BrokenExecutor)]
                for future in done.difference(lost):
                    yield running.pop(future), future.result()
                if lost:
                    return list(running.values())
        return []


def check_processes(processes: Any, least: int = 0) -> int | str:
    """Return a number of processes, or "ray"; the command line has numbers as text.

    Raises
    ------
    InputError
        It is another word, or less than ``least``; 0 stands for the process itself.
    """
    if isinstance(processes, str) and processes != RAY:
        if not processes.isdecimal():
            raise InputError(f"processes={processes}: expected a whole number, or {RAY}")
        processes = int(processes)
        if processes < least:
            raise InputError(f"processes={processes}: expected at least {least}, or {RAY}")
    return processes if processes == RAY else check_int(processes, "processes", least)


def claim(folder: Path, file: str, protocol: Mapping[str, Any], facts: Callable[[], Mapping[str, Any]] = dict) -> Row:
    """Make a folder of rows, or find that what is there has the same protocol; returns what its file says.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    file : str
        Name of the file that keeps the protocol, such as ``comparison.json``; its stem is what a user calls it.
    protocol : mapping
        What must be the same for rows to stand in one table, as JSON can hold it.
    facts : callable
        Gives what else the file says, when it is made.

    Raises
    ------
    InputError
        If the folder holds something else, or another protocol.
    """
    path, kind = folder / file, Path(file).stem
    protocol = json.loads(json.dumps(protocol))
    if not path.exists():
        _refuse_strange(folder, kind)
        folder.mkdir(parents=True, exist_ok=True)
        with owned(folder):
            _refuse_strange(folder, kind, file)
            if not path.exists():
                write_json(path, {**facts(), **protocol})
    known = read_json(path)
    for key, value in protocol.items():
        if known.get(key) != value:
            raise InputError(f"{folder} holds a {kind} with {key} {known.get(key)}, not {value}; choose another output")
    return known


def _refuse_strange(folder: Path, kind: str, but: str = "") -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} exists and is not a {kind}; choose another output")
    names = [] if not folder.exists() else [path.name for path in folder.iterdir()]
    if but not in names and any(not name.startswith(".") for name in names):
        raise InputError(f"{folder} exists and is not a {kind}; choose another output")


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Be the only one at work in a folder.

    Raises
    ------
    InputError
        If somebody else is; the message names the process.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / LOCK))
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            warnings.warn(f"{folder}: its file system has no locks; do not start a second run there", stacklevel=3)
        yield


def _read_row(path: Path) -> Row:
    try:
        row = read_json(path)
    except InputError as error:
        raise InputError(f"{error}; remove it and run again") from None
    if not isinstance(row, dict):
        raise InputError(f"{path} is damaged: it is not a row; remove it and run again")
    return row


def _row_of(work: Callable[[J], Mapping[str, Any]], job: J) -> Row:
    """The row of a job, whose failure is a row like any other: the other jobs go on."""
    try:
        row = {**job.facts, **work(job)}
        json.dumps(row)
    except (Exception, SystemExit) as error:
        return _failed(job, f"{type(error).__name__}: {error}", traceback.format_exc())
    return row


def _failed(job: Job, error: str, trace: str = "") -> Row:
    row = {**job.facts, "error": error} | ({"traceback": trace} if trace else {})
    # A message may name a file whose name is no text.
    return {key: v.encode(errors="backslashreplace").decode() if isinstance(v, str) else v for key, v in row.items()}


# -- processes ---------------------------------------------------------------------------------------------------------

_work: list[Any] = []  # in a worker: what the parent sent, until the first job comes; then what that stands for


@contextlib.contextmanager
def _pool(work: Callable[..., Any], processes: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes; at the end, however it comes, they are stopped."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin, (pickle.dumps(work),))
    try:
        yield pool
    finally:
        children = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.terminate()


@contextlib.contextmanager
def _threads(number: str) -> Iterator[None]:
    """Environment variables of a process that is started meanwhile."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, number))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _begin(work: bytes) -> None:
    """In a worker: end with the parent, which may be killed without a word; Ctrl-C is the parent's alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    _work[:] = [work]


def _follow() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _perform(job: Job) -> Row:
    """In a worker: one job. What it cannot even be begun with is an error like any other."""

    def work(job: Job) -> Mapping[str, Any]:
        if isinstance(_work[0], bytes):
            _work[0] = pickle.loads(_work[0])
        return _work[0](job)

    return _row_of(work, job)
