"""``evaluate`` over a cluster: pieces of the database are counted by tasks, and the counts are added up.

Everything that tasks give back is whole numbers (sums of precisions too, in units of 2**-52), so that the order and
the number of pieces leave no trace. Ranks in insertion order take a second pass: it begins each piece with the counts
of those before it. With relevance that native kernels do not read, the second pass goes from piece to piece instead.
"""

from __future__ import annotations

import functools
import itertools
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.distributed import cluster
from udsph.evaluation import native, ordered
from udsph.evaluation.cells import Cells
from udsph.evaluation.conventions import resolve
from udsph.evaluation.counting import count_cells, count_problem
from udsph.evaluation.counts import Counts
from udsph.evaluation.from_codes import Walks, evaluate_problem
from udsph.evaluation.ordered_sums import OrderedSums
from udsph.evaluation.plan import DEFAULT_CUTOFFS, Plan
from udsph.evaluation.problem import Problem, Progress, problem
from udsph.evaluation.report import Evaluation
from udsph.hamming.codes import BitOrder

_STEP = 1 << 16  # items: pieces end where those of a walk in NumPy do
_SENT_AGAIN = 8
_PIECES = 2  # for each processor


def evaluate(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any = None,
    database_labels: Any = None,
    *,
    metrics: Sequence[str] | None = None,
    cutoffs: Sequence[int] = DEFAULT_CUTOFFS,
    ranks: Sequence[int] | None = None,
    ties: str | None = None,
    empty: str | None = None,
    denominator: str | None = None,
    empty_lookup: str | None = None,
    convention: str | None = None,
    relevance: Any = None,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
    progress: Progress | None = None,
    chunks: int | None = None,
    address: str | None = None,
) -> Evaluation:
    """Evaluate retrieval by Hamming distance on a cluster: ``udsph.evaluation.evaluate``, equal to the last bit.

    Parameters
    ----------
    query_codes, database_codes, query_labels, database_labels, metrics, cutoffs, ranks, ties, empty, denominator, \
empty_lookup, convention, relevance, bits, bitorder, progress
        As for ``udsph.evaluation.evaluate``. Memory maps (``numpy.load(mmap_mode="r")``) are mapped again by the nodes,
        which must see their files; other arrays go to them through the object store. A callable ``relevance`` must be
        of a kind that Ray can send.
    threads : int, optional
        Threads, and processors, of each task; 1 by default.
    chunks : int, optional
        Pieces of the database; by default two for each processor.
    address : str, optional
        As for ``connect``, where this process is in no cluster yet.

    Raises
    ------
    InputError, TypeError, ValueError
        As for ``udsph.evaluation.evaluate``.
    ClusterError, MissingExtra
        As for ``connect``.
    """
    options = resolve(convention, ties, denominator, empty, empty_lookup)
    checked = problem(
        query_codes, database_codes, query_labels, database_labels, bits=bits, bitorder=bitorder, relevance=relevance,
        threads=threads or 1, progress=progress,
    )  # fmt: skip
    plan = Plan.of(metrics, cutoffs, ranks, checked.n_items)
    if chunks is not None:
        chunks = check_int(chunks, "chunks", 1)
    cluster.connect(address)
    wanted = chunks or _PIECES * max(1, sum(node.cpus for node in cluster.nodes()))
    pieces = _Pieces(checked, wanted)
    return evaluate_problem(checked, plan, options, Walks(pieces.count, pieces.count_cells, pieces.in_order))


class _Pieces:
    """The database in pieces, each of which is sent once, and what is asked of all of them."""

    def __init__(self, checked: Problem, wanted: int) -> None:
        self._threads = checked.threads or 1
        blocks = -(-checked.n_items // _STEP)
        cuts = [min(checked.n_items, _STEP * (blocks * i // wanted)) for i in range(wanted)] + [checked.n_items]
        spans = [slice(a, b) for a, b in itertools.pairwise(cuts) if b > a] or [slice(0, 0)]
        _, labels = checked.relevance.parted()
        rows = [(span, _sendable(checked.database, span), _sendable(labels, span)) for span in spans]
        self._spans, self._rows = spans, [cluster.ray().put(row) for row in rows]
        self._counted: list[Counts] = []

    def count(self, checked: Problem, shared: bool) -> Counts:
        """Joint counts; those of each piece are kept for a second pass."""
        total: Counts | None = None
        self._counted = []
        for counts in self._each(checked, _counted, [(shared,)] * len(self._rows)):
            self._counted.append(counts.without_grades())
            total = counts if total is None else total + counts
        assert total is not None
        return total

    def count_cells(self, checked: Problem) -> tuple[Counts, list[Cells]]:
        """Joint counts, and the items of each query by distance and grade."""
        total, cells = None, [Cells.none()] * checked.n_queries
        self._counted = []
        for counts, more in self._each(checked, _cells, [()] * len(self._rows)):
            self._counted.append(counts)
            total = counts if total is None else total + counts
            cells = [ours + theirs for ours, theirs in zip(cells, more, strict=True)]
        assert total is not None
        return total, cells

    def in_order(self, checked: Problem, counts: Counts, sums: OrderedSums) -> None:
        """Fill the sums of a second pass."""
        if not ordered.natively(checked, list(sums.dcg)):
            self._one_by_one(checked, counts, sums)
            return
        seen = list(self._before(counts.items, [part.items for part in self._counted]))
        hits = list(self._before(counts.relevant, [part.relevant for part in self._counted]))
        bare = replace(sums, dcg={})
        found = self._each(checked, _ranked, [(s, h, bare) for s, h in zip(seen, hits, strict=True)])
        native.fill_ranks(sums, functools.reduce(native.Ranks.plus, found))
        if sums.dcg:
            assert counts.shared is not None
            levels = counts.shared.shape[2]
            parts = self._each(checked, _discounted, [(s, sums.stops, levels) for s in seen])
            native.fill_discounts(sums, counts, functools.reduce(native.added, parts))

    def _before(self, total: NDArray[np.int64], parts: list[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """What stands before the first item of each piece, at each distance."""
        begun = native.before(total)
        for part in parts:
            yield begun.copy()
            begun[:, : part.shape[1]] += part

    def _one_by_one(self, checked: Problem, counts: Counts, sums: OrderedSums) -> None:
        """Each piece takes on the sums of the one before it, as floating-point numbers are added in one process."""
        engine, query = cluster.ray(), cluster.ray().put(_without_items(checked))
        state: Any = engine.put((*ordered.before(counts), sums))
        task = self._task()
        for rows in self._rows:
            state = task.remote(_walked, query, rows, state)
        _, _, done = _got(engine, [state])[0]
        for name in ("hits", "precision", "first_precision", "first_rank"):
            getattr(sums, name)[:] = getattr(done, name)
        for gain, values in done.dcg.items():
            sums.dcg[gain][:] = values
        checked.report(checked.n_queries * checked.n_items)

    def _each(self, checked: Problem, work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """What a function of a problem of each piece returns, in their order."""
        engine, task = cluster.ray(), self._task()
        query = engine.put(_without_items(checked))
        asked = [task.remote(work, query, rows, *given) for rows, given in zip(self._rows, arguments, strict=True)]
        done = 0
        for at, span in enumerate(self._spans):
            (answer,) = _got(engine, [asked[at]])
            asked[at] = None  # its room in the object store is free
            yield answer
            done += checked.n_queries * (span.stop - span.start)
            checked.report(done)

    def _task(self) -> Any:
        return cluster.ray().remote(num_cpus=self._threads, max_retries=_SENT_AGAIN)(_on_piece)


class _Mapped:
    """Rows of a file, which whoever needs them maps."""

    def __init__(self, rows: np.memmap, span: slice) -> None:
        self.file, self.offset = os.path.abspath(rows.filename or ""), rows.offset
        self.dtype, self.shape = rows.dtype, rows.shape
        self.span = span

    def rows(self) -> NDArray[Any]:
        return np.memmap(self.file, self.dtype, "r", self.offset, self.shape)[self.span]


def _sendable(rows: Any, span: slice) -> Any:
    # A view of a map has a name and an offset too, but those of the whole.
    if isinstance(rows, np.memmap) and isinstance(rows.base, mmap.mmap) and rows.filename and rows.flags.c_contiguous:
        return _Mapped(rows, span)
    return None if rows is None else np.ascontiguousarray(rows[span])


def _without_items(checked: Problem) -> Problem:
    labels, _ = checked.relevance.parted()
    return replace(checked, database=checked.database[:0].copy(), relevance=labels, progress=None)


def _got(engine: Any, references: list[Any]) -> list[Any]:
    try:
        return engine.get(references)
    except engine.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from None
        raise


# -- in a task ---------------------------------------------------------------------------------------------------------


def _on_piece(work: Callable[..., Any], query: Problem, rows: tuple[Any, ...], *arguments: Any) -> Any:
    span, database, labels = rows
    codes = database.rows() if isinstance(database, _Mapped) else database
    of_items = labels.rows() if isinstance(labels, _Mapped) else labels
    n = span.stop - span.start
    piece = replace(query, database=codes, relevance=query.relevance.of_items(span.start, n, of_items))
    return work(piece, *arguments)


def _counted(piece: Problem, shared: bool) -> Counts:
    return count_problem(piece, shared)


def _cells(piece: Problem) -> tuple[Counts, list[Cells]]:
    return count_cells(piece)


def _ranked(piece: Problem, seen: NDArray[np.int64], hits: NDArray[np.int64], sums: OrderedSums) -> native.Ranks:
    return native.ranks(piece, seen, hits, sums)


def _discounted(piece: Problem, seen: NDArray[np.int64], stops: NDArray[np.int64], levels: int) -> NDArray[np.uint64]:
    return native.discounts(piece, seen, stops, levels)


def _walked(piece: Problem, state: tuple[Any, Any, OrderedSums]) -> tuple[Any, Any, OrderedSums]:
    seen, hits, sums = state[0].copy(), state[1].copy(), state[2]
    names = ("hits", "precision", "first_precision", "first_rank")
    own = {name: getattr(sums, name).copy() for name in names}
    mine = replace(sums, **own, dcg={gain: values.copy() for gain, values in sums.dcg.items()})
    ordered.walk_in_numpy(piece, seen, hits, mine)
    return seen, hits, mine
