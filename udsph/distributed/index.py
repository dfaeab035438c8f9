"""``ShardedIndex``: an index whose codes are on several machines, or in several processes of one."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from udsph._version import __version__
from udsph.checks import check_int
from udsph.distributed import cluster, source
from udsph.distributed.calls import Calls
from udsph.distributed.errors import ClusterError, ShardError
from udsph.distributed.read_only import ReadOnly
from udsph.distributed.snapshot import ShardedSnapshot
from udsph.distributed.source import Source, Spec
from udsph.errors import InputError
from udsph.hamming.codes import BitOrder
from udsph.hamming.results import RangeResult, SearchResult
from udsph.threads import ForkSafeLock, thread_count

Partial = Literal["error", "report"]

_TRIES = 3  # of a source that changes while it is opened
_ASYNC = 32  # searches of asyncio at once


class ShardedIndex(ReadOnly):
    """Codes on the machines of a Ray cluster behind the calls of ``FlatIndex``: the same types, errors and bytes.

    ``ShardedIndex.open`` opens a collection or index files, ``ShardedIndex.build`` makes a collection first. Each shard
    is a part of the codes, opened by a process on one of the nodes; a search asks all of them and merges what they
    find. Results do not depend on the number of shards, replicas or nodes.

    The index is for reading: whoever adds or removes codes does it in the collection, and ``refresh`` shows them here.
    It may be used from several threads, from asyncio (``search_async``), and by other processes of the cluster, to
    which it can be sent as an argument. ``docs/distributed.md`` says what is stored where and how failures look.

    Examples
    --------
    >>> from udsph.distributed import ShardedIndex
    >>> with ShardedIndex.open("codes") as index:  # doctest: +SKIP
    ...     distances, ids = index.search(queries, k=10)
    """

    _snapshot: ShardedSnapshot  # type: ignore[assignment]
    _find: Callable[[], Source]
    _calls: Callable[[list[Spec]], Calls]
    _pool: Any
    _shards: int | None
    _report: bool
    _verify: bool
    _tables: bool
    _closed: bool
    _threads: ThreadPoolExecutor | None

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("a sharded index is made by ShardedIndex.open or ShardedIndex.build")

    @classmethod
    def open(
        cls,
        source: Any,
        *,
        shards: int | None = None,
        replicas: int = 1,
        threads: int | None = None,
        partial: Partial = "error",
        verify: bool = True,
        timeout: float | None = None,
        address: str | None = None,
    ) -> ShardedIndex:
        """Open codes on a Ray cluster.

        Parameters
        ----------
        source : path, URI, list of them, or Collection
            A collection, at its newest generation; a folder of index files (``*.udsph``, in the order of their names);
            index files, one or a list: together they are as an index into which they were merged in this order, so that
            ids which are positions go on counting. Every node must see a path under this name; of a URI
            (``s3://bucket/codes``), which fsspec reads, each node keeps a copy of the files that its shards need.
        shards : int, optional
            Parts; by default one for each index file, of a collection one for each node.
        replicas : int
            Processes for each shard, on different nodes where there are as many: they share the queries, and one
            answers where another is slow or lost.
        threads : int, optional
            Threads of each process; by default the processors of its node are shared out.
        partial : {"error", "report"}
            Whether a shard that does not answer is an error, or the result is that of the others and has its name in
            ``missing``.
        verify : bool
            Compare checksums of all files whenever a process opens them, which reads them once.
        timeout : float, optional
            Seconds after which a shard that has not answered is given up; by default it is waited for as long as Ray
            tries to restart it.
        address : str, optional
            As for ``connect``, where this process is in no cluster yet.

        Raises
        ------
        ShardError
            A file is damaged or cannot be read by its node.
        ClusterError
            There is no cluster, or its nodes have another release of this package.
        InputError, FormatError, OSError
            There is no such source; files of different widths, bit orders or kinds of ids; an id that is in two files.
        """
        if shards is not None:
            shards = check_int(shards, "shards", 1)
        replicas = check_int(replicas, "replicas", 1)
        threads = None if threads is None else thread_count(threads)
        if partial not in ("error", "report"):
            raise InputError(f"partial must be 'error' or 'report', got {partial!r}")
        find = functools.partial(_find, source)
        find()  # what is wrong with it is said before a cluster is started
        cluster.connect(address)
        from udsph.distributed.actors import Pool, RayCalls

        pool = Pool(replicas, threads, timeout)
        return cls._made(find, lambda specs: RayCalls(pool, specs), pool, shards, partial, verify)

    @classmethod
    def build(
        cls,
        codes: Any,
        path: Any,
        *,
        shards: int | None = None,
        bits: int | None = None,
        bitorder: BitOrder = "little",
        ids: Any = None,
        multi: bool = False,
        keep: int = 1,
        code_column: str = "code",
        id_column: str | None = None,
        replicas: int = 1,
        threads: int | None = None,
        address: str | None = None,
    ) -> ShardedIndex:
        """Make a collection, its files written by tasks side by side, and open it.

        Parameters
        ----------
        codes : array, path, list of paths, Arrow column, or Ray Dataset
            An array or a memory map in a form of ``FlatIndex``; a ``.npy`` file, or ``.parquet`` files with a column of
            fixed-size binary, which every node must see under this path; a column of Arrow; a Dataset of Ray with such
            a column, in its order.
        path : path or URI
            Of a folder that is not there yet, or is empty, and that every node sees.
        shards : int, optional
            Files that are written, and parts of the index; by default one for each node.
        bits : int, optional
            Width of the codes; by default all bits of their rows.
        bitorder, ids, multi, keep
            As for ``Collection.create`` and ``Collection.add``.
        code_column, id_column : str
            Of tables, as for ``Collection.import_codes``.
        replicas, threads, address
            As for ``open``.

        Raises
        ------
        InputError, TypeError, ValueError
            Codes or ids that a collection does not take, or an id twice; the folder is as it was then.
        ClusterError, MissingExtra, OSError
            As for ``open``.
        """
        cluster.connect(address)
        from udsph.distributed.build import build

        build(
            codes, path, shards=shards, bits=bits, bitorder=bitorder, ids=ids, multi=multi, keep=keep,
            code_column=code_column, id_column=id_column,
        )  # fmt: skip
        return cls.open(path, shards=shards, replicas=replicas, threads=threads, verify=False)

    @classmethod
    def _made(cls, find: Any, calls: Any, pool: Any, shards: int | None, partial: str, verify: bool) -> ShardedIndex:
        self = cls.__new__(cls)
        self._find, self._calls, self._pool = find, calls, pool
        self._shards, self._report, self._verify = shards, partial == "report", verify
        self._changes, self._closed = ForkSafeLock(), False
        self._tables = False
        self._threads = None
        try:
            self._snapshot = self._opened()
        except BaseException:
            self.close()
            raise
        self.bits, self.bitorder = self._snapshot.source.bits, self._snapshot.source.bitorder
        return self

    def _opened(self) -> ShardedSnapshot:
        """All shards at the newest state of the source."""
        for trial in range(_TRIES):
            found = self._find()
            shards = self._shards or (len(found.files) if found.manifest is None else len(cluster.nodes()))
            specs = [spec._replace(tables=self._tables) for spec in found.specs(shards, self._verify)]
            try:
                calls = self._calls(specs)
                facts = calls.open()
            except ShardError:  # the writer of a collection may have removed its files meanwhile
                if trial == _TRIES - 1 or self._find() == found:
                    raise
                continue
            other = next((fact.version for fact in facts if fact.version != __version__), None)
            if other is not None:
                raise ClusterError(f"nodes of the cluster have udsph {other}, here is {__version__}; install the same")
            from udsph.distributed.overlap import check_ids_apart

            check_ids_apart(found, calls)
            codes = [fact.codes for fact in facts]
            return ShardedSnapshot(found, calls, codes, sum(fact.nbytes for fact in facts), self._report)
        raise AssertionError

    def __repr__(self) -> str:
        if self._closed:
            return "ShardedIndex(closed)"
        return (
            f"ShardedIndex(bits={self.bits}, bitorder={self.bitorder!r}, {len(self)} codes, "
            f"{len(self._snapshot.calls.specs)} shards)"
        )

    @property
    def generation(self) -> int | None:
        """The generation of the collection that is seen; None of index files."""
        return self._snapshot.source.generation

    @property
    def shards(self) -> list[str]:
        """Names of the shards, with their files."""
        return [spec.name for spec in self._snapshot.calls.specs]

    async def search_async(self, queries: Any, k: int, **options: Any) -> SearchResult:
        """As ``search``, for asyncio; searches that run at the same time share the shards."""
        return await self._apart(functools.partial(self.search, queries, k, **options))

    async def range_search_async(self, queries: Any, radius: Any, **options: Any) -> RangeResult:
        """As ``range_search``, for asyncio."""
        return await self._apart(functools.partial(self.range_search, queries, radius, **options))

    async def _apart(self, call: Any) -> Any:
        self._check_open()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_ASYNC, "udsph-sharded")
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def refresh(self) -> bool:
        """See the newest state of the source from now on, in all shards at once; searches that run see the one before.

        Returns
        -------
        bool
            Whether there was another one: a newer generation of the collection, more or other index files.

        Raises
        ------
        ShardError, InputError, FormatError, OSError
            As for ``open``: what was seen stays.
        """
        with self._changes.here:
            before, found = self._snapshot.source, self._find()
            if found == before or (found.generation is not None and found.generation == before.generation):
                return False
            if (found.bits, found.bitorder) != (self.bits, self.bitorder):
                raise InputError(f"{found.places[0]} has codes of {found.bits} bits now, this index of {self.bits}")
            self._switch(self._opened())
            return True

    def optimize(self, **_: Any) -> None:
        """Build tables in all shards, each over its codes where they help; see ``Index.optimize``.

        The tables are in the memory of the processes, which build them again when they are restarted.
        """
        with self._changes.here:
            self._check_open()
            self._tables = True
            self._switch(self._opened())

    def pairs(self, radius: int, *, threads: int | None = None) -> Iterator[Any]:
        """All pairs of codes within a radius, as ``udsph.hamming.pairs`` of one index gives them."""
        from udsph.distributed.join import pairs

        self._check_open()
        return pairs(self._snapshot, check_int(radius, "radius", 0), 0 if threads is None else thread_count(threads))

    def close(self) -> None:
        """End the processes of the shards, where they were started by this object; any call is an error then."""
        if not self._closed:
            self._closed = True
            if self._threads is not None:
                self._threads.shutdown(wait=False)  # those that wait for a thread then say that it is closed
            if self._pool is not None:
                self._pool.close()
            self.__dict__["_snapshot"] = _Closed()

    def _switch(self, snapshot: ShardedSnapshot) -> None:
        """See another state from now on, unless the index was closed meanwhile."""
        self._snapshot = snapshot
        if self._closed:
            self.__dict__["_snapshot"] = _Closed()
            self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("the sharded index is closed")

    def __enter__(self) -> ShardedIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if "_closed" in self.__dict__ and "_pool" in self.__dict__ and self._pool is not None and self._pool.owner:
            with contextlib.suppress(Exception):  # the interpreter may be ending
                self.close()

    def __getstate__(self) -> dict[str, Any]:
        if self._closed:
            raise InputError("the sharded index is closed")
        return self.__dict__ | {"_changes": None, "_threads": None, "_calls": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from udsph.distributed.actors import RayCalls

        self.__dict__.update(state)
        self._changes = ForkSafeLock()
        pool = self._pool
        self._calls = lambda specs: RayCalls(pool, specs)

    @property
    def ids(self) -> NDArray[Any]:
        """The ids of all codes in insertion order, as ``FlatIndex.ids``: they come to this process."""
        return self._snapshot.column().array()

    def reconstruct(self, ids: Any) -> NDArray[np.uint8]:
        """Return the packed codes of ids, as ``FlatIndex.reconstruct``."""
        return super().reconstruct(ids)


class _Closed:
    """In place of the snapshot of an index that was closed."""

    def __len__(self) -> int:
        raise InputError("the sharded index is closed")

    def __getattr__(self, name: str) -> Any:
        raise InputError("the sharded index is closed")


def _find(place: Any) -> Source:
    return source.find(place)
