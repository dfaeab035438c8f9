"""Shards in processes of a Ray cluster: where they are put, how they are called, what happens when one is lost.

Ray restarts a process that ended, on another node if its own is gone, and sends the calls again that it had not
answered; the process opens its files at the first call. Calls only read, so that one that is sent twice is answered
twice alike.
"""

from __future__ import annotations

import pickle
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from udsph.distributed.calls import Merge, Missing
from udsph.distributed.cluster import Node, nodes, ray
from udsph.distributed.errors import ClusterError, ShardError
from udsph.distributed.shard import Facts, Keeper, NotOpen
from udsph.distributed.source import Spec
from udsph.errors import InputError

_AHEAD = 3  # batches that a shard has at a time
_FAN = 8  # parts that are merged in one step
_INLINE = 1 << 15  # bytes of an argument or an answer that goes with the call
_SENT_AGAIN = 8  # times that Ray sends a call to a process that ended, and then we
_PAUSE = 0.5  # seconds before a call is sent anew
_OVERTAKE = 1.0  # seconds after which a replica is asked too where no other shard says how long it takes
_LIGHT = 4  # short calls that a shard answers beside a search


_GROUPS = {"ask": "search", "ask_aside": "light", "merge": "light"}


class _Given(NamedTuple):
    """In place of an argument that comes from the object store."""

    number: int


class _Actor(Keeper):
    """A keeper in a process of its own. Small things come and go as bytes, since Ray takes its time with arrays."""

    def ask(self, packed: bytes, spec: Any, *given: Any) -> Any:
        """Call a method of the shard; what is packed says which one, and with what."""
        version, method, arguments = pickle.loads(packed)
        whole = [given[value.number] if isinstance(value, _Given) else value for value in arguments]
        return _small(self.call(version, spec, method, *whole))

    def ask_aside(self, packed: bytes, spec: Any, *given: Any) -> Any:
        """The same for short calls, which do not wait for searches."""
        return self.ask(packed, spec, *given)

    def fetched(self, spec: Any) -> Spec:
        """What the reference in a list stands for."""
        return ray().get(spec[0])

    def merge(self, merge: Merge, bases: Sequence[int], *parts: Any) -> Any:
        """Answers of several shards as one."""
        return _small(merge([_whole(part) for part in parts], bases))


def _small(answer: Any) -> Any:
    """The answer itself or, of few plain arrays, bytes."""
    plain = isinstance(answer, tuple) and all(isinstance(a, np.ndarray) and a.dtype != object for a in answer)
    return pickle.dumps(answer, 5) if plain and sum(a.nbytes for a in answer) <= _INLINE else answer


def _whole(answer: Any) -> Any:
    """What ``_small`` was given."""
    return pickle.loads(answer) if isinstance(answer, bytes) else answer


class Pool:
    """Processes for shards, ``replicas`` for each, which serve one version of an index after the other."""

    def __init__(self, replicas: int, threads: int | None, timeout: float | None) -> None:
        self.replicas, self.threads, self.timeout = replicas, threads, timeout
        self.actors: list[list[Any]] = []
        self.last = 0.0  # seconds of a batch
        self.turn = 0
        self.owner = True
        self.closed = False
        self._growth = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"owner": False, "_growth": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_growth": threading.Lock()}

    def check_open(self) -> None:
        """Raise if the processes were ended."""
        if self.closed:
            raise InputError("the sharded index is closed")

    def grow(self, shards: int) -> None:
        """Start the processes that are missing, spread over the nodes; replicas of a shard on different ones."""
        engine, there = ray(), nodes()
        with self._growth:
            self.check_open()
            for shard in range(len(self.actors), shards):
                replicas = []
                for replica in range(self.replicas):
                    node = there[(shard + replica * max(1, len(there) // self.replicas)) % len(there)]
                    replicas.append(_started(engine, node, self.threads or _share(node, there, shards * self.replicas)))
                self.actors.append(replicas)

    def close(self) -> None:
        """End all processes; calls that are under way are an error then."""
        with self._growth:
            self.closed, actors, self.actors = True, self.actors, []
        if not self.owner or not ray().is_initialized():
            return
        for replicas in actors:
            for actor in replicas:
                ray().kill(actor)


def _started(engine: Any, node: Node, threads: int) -> Any:
    strategy = engine.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node.id, soft=True)
    for name, group in _GROUPS.items():
        engine.method(concurrency_group=group)(getattr(_Actor, name))
    made = engine.remote(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=_SENT_AGAIN,
        scheduling_strategy=strategy,
        concurrency_groups={"search": 1, "light": _LIGHT},
    )(_Actor)
    return made.remote(threads)


def _share(node: Node, there: Sequence[Node], processes: int) -> int:
    """Threads of a process where the processes share a node's processors."""
    return max(1, node.cpus // -(-processes // len(there)))


class _Call:
    """A call to one shard, which may be under way at several replicas."""

    def __init__(self, shard: int, arguments: tuple[Any, ...]) -> None:
        self.shard, self.arguments = shard, arguments
        self.began, self.tried = time.monotonic(), 0
        self.running: dict[Any, int] = {}  # what stands for answers, and the replicas that they come from
        self.replica = 0  # the last that was asked, then the one that answered
        self.done = False
        self.answer: Any = None
        self.winner: Any = None  # what stands for the answer
        self.error: ShardError | None = None


class RayCalls:
    """One version of an index in a pool; see ``calls.Calls``."""

    def __init__(self, pool: Pool, specs: list[Spec]) -> None:
        pool.grow(len(specs))
        self.pool, self.specs = pool, specs
        self.version = uuid.uuid4().hex  # which no other program that asks these processes gives to its own
        self._references = [ray().put(spec) for spec in specs]
        self._told: set[tuple[int, int]] = set()  # shards and replicas that were given their specs

    def open(self) -> list[Facts]:
        """Open all shards at all replicas."""
        calls = [_Call(shard, ()) for shard in range(len(self.specs)) for _ in range(self.pool.replicas)]
        for number, call in enumerate(calls):
            self._send(call, "facts", "light", number % self.pool.replicas)
        answers = self._answers(calls, "facts", "light", None)
        return answers[:: self.pool.replicas]

    def shared(self, value: Any, size: int) -> Any:
        """The value itself or, of more than a few bytes, a reference to the object store."""
        if size <= _INLINE:
            return value
        try:
            return ray().put(value)
        except (ray().exceptions.ObjectStoreFullError, ray().exceptions.OutOfDiskError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ClusterError(f"the object store of this node has no room for {size:,} bytes: {reason}") from error

    def each(self, method: str, arguments: Sequence[tuple[Any, ...] | None]) -> list[Any]:
        """Answers of a short call; None to those that are not asked."""
        calls = [_Call(shard, given) for shard, given in enumerate(arguments) if given is not None]
        for call in calls:
            self._send(call, method, "light", self._replica())
        found: list[Any] = [None] * len(arguments)
        for call, answer in zip(calls, self._answers(calls, method, "light", None), strict=True):
            found[call.shard] = answer
        return found

    def merged(
        self,
        method: str,
        batches: Iterable[Sequence[tuple[Any, ...]]],
        merge: Merge,
        bases: Sequence[int],
        missing: Missing | None,
    ) -> Iterator[Any]:
        """The merged answers to each batch, with some batches under way."""
        under_way: deque[list[_Call]] = deque()
        for batch in batches:
            replica = self._replica()
            calls = [_Call(shard, given) for shard, given in enumerate(batch)]
            for call in calls:
                self._send(call, method, "search", replica)
            under_way.append(calls)
            if len(under_way) >= _AHEAD:
                yield self._merged(under_way.popleft(), method, merge, bases, missing)
        while under_way:
            yield self._merged(under_way.popleft(), method, merge, bases, missing)

    def _merged(
        self, calls: list[_Call], method: str, merge: Merge, bases: Sequence[int], missing: Missing | None
    ) -> Any:
        if len(calls) > _FAN:
            self._answers(calls, method, "search", missing, fetch=False)
            kept = [call for call in calls if call.winner is not None]
            try:
                return self._tree(kept, merge, [bases[call.shard] for call in kept])
            except ray().exceptions.RayError:  # an answer was lost after it was given, or is an error
                self._told.clear()
                for call in kept:
                    self._send(call, method, "search", self._replica())
                calls = kept
        answers = self._answers(calls, method, "search", missing)
        kept = [call for call in calls if call.error is None]
        if not kept:
            return None
        return merge([answer for answer in answers if answer is not None], [bases[call.shard] for call in kept])

    def _tree(self, calls: list[_Call], merge: Merge, bases: list[int]) -> Any:
        """Merge groups of neighbours where one of them lies, until they are few."""
        if not calls:
            return None
        engine = ray()
        actors = self.pool.actors
        self.pool.check_open()
        parts = [(actors[call.shard][call.replica], call.winner) for call in calls]
        while len(parts) > _FAN:
            groups = [slice(first, first + _FAN) for first in range(0, len(parts), _FAN)]
            parts = [
                (
                    parts[group.start][0],
                    parts[group.start][0].merge.remote(merge, bases[group], *(part for _, part in parts[group])),
                )
                for group in groups
            ]
            bases = [0] * len(parts)  # merged parts count from where the first of all begins
            engine.wait([part for _, part in parts], num_returns=len(parts), fetch_local=False)
        return merge([_whole(part) for part in engine.get([part for _, part in parts])], bases)

    def _replica(self) -> int:
        """Replicas are asked in turns."""
        self.pool.turn += 1
        return self.pool.turn % self.pool.replicas

    def _send(self, call: _Call, method: str, group: str, replica: int) -> None:
        call.tried += 1
        call.replica, call.done, call.error = replica, False, None
        try:
            actor = self.pool.actors[call.shard][replica]
        except IndexError:
            self.pool.check_open()
            raise
        known = (call.shard, replica) in self._told
        spec = None if known else [self._references[call.shard]]  # in a list, so that it is fetched when it is needed
        ask = actor.ask if group == "search" else actor.ask_aside
        packed, given = self._packed(method, call.arguments)
        call.running[ask.remote(packed, spec, *given)] = replica

    def _packed(self, method: str, arguments: tuple[Any, ...]) -> tuple[bytes, list[Any]]:
        """A call as bytes, and what of it is in the object store."""
        given: list[Any] = []
        whole: list[Any] = []
        for value in arguments:
            if isinstance(value, ray().ObjectRef):
                whole.append(_Given(len(given)))
                given.append(value)
            else:
                whole.append(value)
        return pickle.dumps((self.version, method, whole), 5), given

    # -- answers, however they come --------------------------------------------------------------------------------

    def _answers(
        self, calls: list[_Call], method: str, group: str, missing: Missing | None, *, fetch: bool = True
    ) -> list[Any]:
        """Answers to calls that were sent; None of those that are missing."""
        engine, began = ray(), time.monotonic()
        if self.pool.replicas == 1 and self.pool.timeout is None and fetch:
            try:
                references = [next(iter(call.running)) for call in calls]
                answers = engine.get(references)
                for call, reference in zip(calls, references, strict=True):
                    call.winner, call.done = reference, True
                    self._told.add((call.shard, call.replica))
                self.pool.last = time.monotonic() - began
                return [_whole(answer) for answer in answers]
            except (engine.exceptions.RayError, ShardError):
                pass
        self.pool.check_open()
        self._attend(calls, method, group, fetch)
        for call in calls:
            if call.error is not None:
                if missing is None:
                    raise call.error
                missing.append(str(call.error))
        self.pool.last = time.monotonic() - began
        return [call.answer for call in calls]

    def _attend(self, calls: list[_Call], method: str, group: str, fetch: bool) -> None:
        """Wait until every call is done: send lost ones again, and slow ones to a replica too."""
        engine, began = ray(), time.monotonic()
        took: list[float] = []
        while waiting := [call for call in calls if not call.done]:
            owners = {reference: call for call in waiting for reference in call.running}
            ready, _ = engine.wait(list(owners), num_returns=1, timeout=0.05, fetch_local=fetch)
            for reference in ready:
                call = owners[reference]
                if not call.done:
                    self._take(call, reference, method, group, fetch)
                    if call.done:
                        took.append(time.monotonic() - call.began)
            now = time.monotonic()
            for call in waiting:
                if call.done:
                    continue
                if self.pool.timeout is not None and now - began > self.pool.timeout:
                    self._fail(call, f"did not answer within {self.pool.timeout:g} s")
                elif len(call.running) < self.pool.replicas and now - call.began > self._patience(took, len(calls)):
                    self._send(call, method, group, (call.replica + 1) % self.pool.replicas)

    def _patience(self, took: list[float], calls: int) -> float:
        """Seconds after which a replica is asked too: when most others have answered, twice as long as they took."""
        if 2 * len(took) >= calls:
            usual = float(np.median(took))
            return 2 * usual + 0.02
        return max(_OVERTAKE, 3 * self.pool.last)

    def _take(self, call: _Call, reference: Any, method: str, group: str, fetch: bool) -> None:
        """An answer, or why there is none."""
        errors, replica = ray().exceptions, call.running.pop(reference)
        try:
            # An error is seen where it is fetched: it is small, as its answer may not be.
            call.answer = _whole(ray().get(reference)) if fetch else None
            call.winner, call.replica, call.done = reference, replica, True
            self._told.add((call.shard, replica))
        except errors.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, NotOpen):
                self._told.discard((call.shard, replica))
                call.tried -= 1
                self._send(call, method, group, replica)
                return
            if not isinstance(cause, ShardError):
                raise cause if isinstance(cause, Exception) else error from None
            if call.running or (call.tried < self.pool.replicas and self._again(call, method, group)):
                return
            call.error, call.done = cause, True
        except errors.RayError as error:
            self.pool.check_open()
            if call.running:
                return
            if call.tried <= _SENT_AGAIN:
                time.sleep(_PAUSE)
                self._again(call, method, group)
            else:
                self._fail(call, f"its process ended {call.tried} times ({' '.join(str(error).split())[:300]})")

    def _again(self, call: _Call, method: str, group: str) -> bool:
        self._send(call, method, group, (call.replica + 1) % self.pool.replicas)
        return True

    def _fail(self, call: _Call, why: str) -> None:
        call.error, call.done = ShardError(f"{self.specs[call.shard].name} {why}"), True
