"""Jobs of ``udsph.experiments`` on a cluster: workers that take one job after the other, wherever there is room."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from udsph.distributed import cluster

J = TypeVar("J")
Row = dict[str, Any]


class _Worker:
    """A process that does jobs. What the work keeps on itself serves the later ones."""

    def __init__(self) -> None:
        self.work: Any = None

    def do(self, work: Any, job: Any, row_of: Callable[[Any, Any], Row]) -> Row:
        """One job. Work that cannot be read here is a failure of the job, like any other."""

        def done(job: Any) -> Any:
            if self.work is None:
                self.work = pickle.loads(cluster.ray().get(work[0]))
            return self.work(job)

        return row_of(done, job)


def run_all(
    work: Any, jobs: Sequence[J], threads: int, row_of: Callable[[Any, J], Row], failed: Callable[[J, str], Row]
) -> Iterator[tuple[J, Row]]:
    """Do jobs, as many at once as the cluster has room for; yields each with its row as it is done.

    Parameters
    ----------
    work : callable
        Is sent to each worker once.
    threads : int
        Processors of each worker. Where the cluster has GPUs, each worker has one too, and there are no more than GPUs.
    row_of : callable
        Takes the work and a job and returns its row, also that of a failure.
    failed : callable
        Gives the row of a job whose worker was killed, with "", or could not read it, with the reason.
    """
    cluster.connect()
    engine, waiting = cluster.ray(), list(jobs)
    gpus = int(engine.cluster_resources().get("GPU", 0))
    room = gpus or max(1, sum(node.cpus // threads for node in cluster.nodes()))
    made = engine.remote(num_cpus=threads, num_gpus=min(1, gpus), max_restarts=-1)(_Worker)
    shared = [engine.put(engine.cloudpickle.dumps(work))]  # read in the worker, where an error can be told
    workers = [made.remote() for _ in range(min(room, len(waiting)))]
    running: dict[Any, tuple[Any, J]] = {}

    def begin(worker: Any) -> None:
        job = waiting.pop(0)
        running[worker.do.remote(shared, job, row_of)] = worker, job

    try:
        for worker in workers:
            begin(worker)
        while running:
            (done,), _ = engine.wait(list(running), num_returns=1)
            worker, job = running.pop(done)
            try:
                row = engine.get(done)
            except engine.exceptions.RayActorError:
                row = failed(job, "")
            except engine.exceptions.RayTaskError as error:
                row = failed(job, f"{type(error.cause).__name__}: {error.cause}")
            if waiting:
                begin(worker)
            yield job, row
    finally:
        for worker in workers:
            engine.kill(worker)
