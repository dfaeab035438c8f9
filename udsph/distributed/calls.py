"""How shards are called: one after the other in this process, or (``actors``) in processes of a Ray cluster.

A call goes to all shards, with arguments of their own. Calls of several batches overlap: a shard has the next batch
before the answers to the last one were taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from udsph.distributed.errors import ShardError
from udsph.distributed.shard import Facts, Keeper
from udsph.distributed.source import Spec

Merge = Callable[[Sequence[Any], Sequence[int]], Any]  # of parts and the positions at which they begin


class Missing(list[str]):
    """What was said of the shards that did not answer, where that is reported and no error."""


class Calls(Protocol):
    """The shards of one version of an index."""

    specs: list[Spec]

    def open(self) -> list[Facts]:
        """Open all shards."""

    def shared(self, value: Any, size: int) -> Any:
        """What stands for a value of so many bytes that goes into several calls."""

    def each(self, method: str, arguments: Sequence[tuple[Any, ...] | None]) -> list[Any]:
        """Answers of a short call; None to those that are not asked."""

    def merged(
        self,
        method: str,
        batches: Iterable[Sequence[tuple[Any, ...]]],
        merge: Merge,
        bases: Sequence[int],
        missing: Missing | None,
    ) -> Iterator[Any]:
        """The merged answers of all shards to each batch, in their order; of none of them None.

        missing : is told of shards that do not answer; None: these are errors.
        """


class Here:
    """Shards in this process, called one after the other."""

    def __init__(self, specs: list[Spec], threads: int) -> None:
        self.specs = specs
        self._keepers = [Keeper(threads) for _ in specs]

    def open(self) -> list[Facts]:
        """Open all shards."""
        return self.each("facts", [()] * len(self.specs))

    def shared(self, value: Any, size: int) -> Any:
        """The value itself."""
        return value

    def each(self, method: str, arguments: Sequence[tuple[Any, ...] | None]) -> list[Any]:
        """Answers to a call; None to those that are not asked."""
        trio = zip(self._keepers, self.specs, arguments, strict=True)
        return [None if given is None else keeper.call(0, spec, method, *given) for keeper, spec, given in trio]

    def merged(
        self,
        method: str,
        batches: Iterable[Sequence[tuple[Any, ...]]],
        merge: Merge,
        bases: Sequence[int],
        missing: Missing | None,
    ) -> Iterator[Any]:
        """The merged answers to each batch."""
        for batch in batches:
            parts, places = [], []
            for keeper, spec, given, base in zip(self._keepers, self.specs, batch, bases, strict=True):
                try:
                    parts.append(keeper.call(0, spec, method, *given))
                    places.append(base)
                except ShardError as error:
                    if missing is None:
                        raise
                    missing.append(str(error))
            yield merge(parts, places) if parts else None
