"""The most similar codes as sets of bits: Tanimoto (Jaccard), Dice, Tversky, containment; exact, by ratio or by number.

``sets`` has the searches; the native one and the order that it needs are explained in ``csrc/hamming/similarity.h``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.hamming import backend
from udsph.hamming.apart import has_own_filters
from udsph.hamming.codes import BitOrder, as_queries, check_bitorder, check_bits
from udsph.hamming.holding import Holder, check_multi
from udsph.hamming.ids import Ids, Unknown, check_unknown
from udsph.hamming.operations.sets import MOST_CODES, NO_SIMILARITY, Part, Sets
from udsph.threads import ForkSafeLock, thread_count

Codes = NDArray[np.uint8]

_WEIGHTS = {
    "tanimoto": (1.0, 1.0),
    "jaccard": (1.0, 1.0),
    "dice": (0.5, 0.5),
    "containment": (1.0, 0.0),
}


class SimilarityResult(NamedTuple):
    """The most similar codes, sorted by (similarity descending, insertion order).

    similarities : (nq, k) float32 from 0 to 1, -1 where there are fewer than k codes
    ids : (nq, k) int64, -1 there
    """

    similarities: NDArray[np.float32]
    ids: NDArray[np.int64]


class SimilarityRange(NamedTuple):
    """All codes that are similar enough; those of query q are at ``offsets[q]`` to ``offsets[q + 1]``.

    offsets : (nq + 1,) int64
    similarities : (total,) float32, per query sorted by (similarity descending, insertion order)
    ids : (total,) int64
    """

    offsets: NDArray[np.int64]
    similarities: NDArray[np.float32]
    ids: NDArray[np.int64]


def check_metric(metric: Any, alpha: Any, beta: Any) -> tuple[float, float]:
    """Weights of the bits that only the query has and of those that only the code has.

    Raises
    ------
    InputError
        The metric is unknown, or weights are given that it does not take, or it lacks.
    """
    if metric == "tversky":
        for name, weight in (("alpha", alpha), ("beta", beta)):
            if not isinstance(weight, (int, float, np.number)) or isinstance(weight, bool):
                raise InputError(f"metric='tversky' needs alpha= and beta=, numbers of 0 or more; {name} is {weight!r}")
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError(f"{name} must be a number of 0 or more, got {weight!r}")
        return float(alpha), float(beta)
    if metric not in _WEIGHTS:
        names = ", ".join(repr(name) for name in (*_WEIGHTS, "tversky"))  # of hamming.search also "hamming"
        raise InputError(f"metric must be one of {names}, got {metric!r}")
    if alpha is not None or beta is not None:
        raise InputError(f"alpha and beta are of metric='tversky', metric={metric!r} has its own")
    return _WEIGHTS[metric]


def _check_threshold(threshold: Any) -> float:
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float, np.integer, np.floating)):
        raise TypeError(f"threshold must be a number, got {type(threshold).__name__} ({threshold!r:.40})")
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold must be from 0 to 1, got {threshold}")
    return float(threshold)


class SimilarityIndex(Holder):
    """Exact index of codes as sets of bits: which share most with a query, in proportion.

    Between a query of a bits and a code of b bits, c of them shared, a similarity is
    ``c / (c + alpha * (a - c) + beta * (b - c))`` (Tversky 1977), with 0 / 0 = 0 as in RDKit:

    ==============  ====================  =====================================================
    ``metric``      alpha, beta           similarity
    ==============  ====================  =====================================================
    "tanimoto"      1, 1                  c / (a + b - c), the same as "jaccard"
    "dice"          1/2, 1/2              2 c / (a + b)
    "containment"   1, 0                  c / a, the share of the query's bits that the code has
    "tversky"       as given              any weights of 0 or more
    ==============  ====================  =====================================================

    Parameters
    ----------
    bits : int
        Width of the codes, 1 to 8192.
    bitorder : {"little", "big"}
        As for ``FlatIndex``, whose forms codes and queries have.
    multi : bool
        Whether one id may have several codes, as for ``FlatIndex``.

    Notes
    -----
    Codes are added, removed, named, merged, copied, pickled and saved as those of a ``FlatIndex``; a file of either is
    opened by the ``load`` of both.

    Similarities are computed in double precision, compared with a threshold so, rounded to float32 and then ordered:
    two that are equal as float32 are in insertion order. Results do not depend on the instruction set, the number of
    threads, the batch of queries, or in how many pieces codes were added.

    Codes are kept in the order of their number of bits, in slices. A search adds up the slices of a query's bits, so
    that its cost grows with the bits that a query has, not with the width.

    Every method may be called from any thread at any time; a search sees the codes that were there at its start.

    It is an index of its own, not a metric of ``Index``, since the order by numbers of bits is no order of insertion:
    an index for both would hold every code twice.

    Examples
    --------
    >>> import udsph.hamming as hamming
    >>> index = hamming.SimilarityIndex(8)
    >>> index.add([0b1111, 0b0011, 0b0001])
    >>> similarities, ids = index.search([0b0111], k=2)
    >>> ids
    array([[0, 1]])
    >>> similarities
    array([[0.75      , 0.6666667 ]], dtype=float32)
    """

    _snapshot: Sets

    def __init__(self, bits: int, *, bitorder: BitOrder = "little", multi: bool = False) -> None:
        self.bits = check_bits(bits)
        self.bitorder = check_bitorder(bitorder)
        # Replaced as a whole, never changed.
        self._snapshot = Sets(backend.empty_segment(self.bits), (), Ids(multi=check_multi(multi)))
        self._changes = ForkSafeLock()

    def __repr__(self) -> str:
        return f"SimilarityIndex(bits={self.bits}, bitorder={self.bitorder!r}, {len(self)} codes)"

    def search(
        self,
        queries: Any,
        k: int,
        *,
        metric: str = "tanimoto",
        threshold: float = 0.0,
        alpha: float | None = None,
        beta: float | None = None,
        where: Any = None,
        threads: int | None = None,
        unknown: Unknown = "error",
    ) -> SimilarityResult:
        """Find the k most similar codes of every query.

        Parameters
        ----------
        queries : (nq, width) array, or one packed code, (bytes,)
            In the forms of ``FlatIndex``. One query by itself has results with one dimension less.
        k : int
            Neighbours wanted, at least 1.
        metric : {"tanimoto", "jaccard", "dice", "containment", "tversky"}
            See the class.
        threshold : float
            What is less similar is left out, from 0 to 1.
        alpha, beta : float
            Weights of "tversky".
        where : optional
            Codes that may be returned: a boolean mask (n,) or a ``Bitmap`` by insertion order, or ids, each once.
        threads : int, optional
            Default: see ``FlatIndex.search``.
        unknown : {"error", "ignore"}
            What an id in ``where`` is that no code has.

        Returns
        -------
        SimilarityResult

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, dimension or width, k below 1, an unknown metric, weights or a threshold out of range.
        """
        given, k = as_queries(queries, self.bits, self.bitorder), check_int(k, "k", 1, MOST_CODES)
        rows = np.atleast_2d(given)
        weights, threshold = check_metric(metric, alpha, beta), _check_threshold(threshold)
        parts, ids, mask = self._seen(where, unknown)
        similarities = np.full((len(rows), k), NO_SIMILARITY, np.float32)
        positions = np.full((len(rows), k), -1, np.int64)
        found = [part.search(rows, k, threshold, weights, mask, thread_count(threads)) for part in parts]
        if len(found) == 1:
            similarities, positions = found[0]
        elif found:
            both = [np.concatenate([each[i] for each in found], axis=1) for i in (0, 1)]
            order = np.argsort(-both[0], axis=1, kind="stable")[:, :k]  # parts lie in the order of their positions
            similarities, positions = (np.take_along_axis(each, order, axis=1) for each in both)
        if given.ndim == 1:
            similarities, positions = similarities[0], positions[0]
        return SimilarityResult(similarities, ids.at(positions))

    def range_search(
        self,
        queries: Any,
        threshold: float,
        *,
        metric: str = "tanimoto",
        alpha: float | None = None,
        beta: float | None = None,
        where: Any = None,
        threads: int | None = None,
        unknown: Unknown = "error",
    ) -> SimilarityRange:
        """Find every code that is at least as similar to a query as the threshold says.

        Parameters
        ----------
        queries, metric, alpha, beta, where, threads, unknown
            As for ``search``.
        threshold : float
            From 0 to 1, inclusive.

        Returns
        -------
        SimilarityRange

        Raises
        ------
        TypeError, ValueError
            As for ``search``.
        """
        rows = np.atleast_2d(as_queries(queries, self.bits, self.bitorder))
        weights, threshold = check_metric(metric, alpha, beta), _check_threshold(threshold)
        parts, ids, mask = self._seen(where, unknown)
        found = [part.range_search(rows, threshold, weights, mask, thread_count(threads)) for part in parts]
        if len(found) == 1:
            offsets, similarities, positions = found[0]
            return SimilarityRange(offsets, similarities, ids.at(positions))
        each_query = np.arange(len(rows))
        query = np.concatenate([each_query[:0], *(np.repeat(each_query, np.diff(each[0])) for each in found)])
        similarities = np.concatenate([np.empty(0, np.float32), *(each[1] for each in found)])
        positions = np.concatenate([np.empty(0, np.int64), *(each[2] for each in found)])
        order = np.lexsort((-similarities, query))
        offsets = np.searchsorted(query[order], np.arange(len(rows) + 1))
        return SimilarityRange(offsets, similarities[order], ids.at(positions[order]))

    def _seen(self, where: Any, unknown: Unknown) -> tuple[tuple[Part, ...], Ids, NDArray[np.bool_] | None]:
        """Parts, ids and filter of the present state."""
        if where is not None and has_own_filters(where):
            raise InputError("a similarity search takes one where for all queries: a mask, a Bitmap or ids")
        snapshot = self._snapshot
        return snapshot.segments, snapshot.ids, snapshot.mask(where, check_unknown(unknown))  # type: ignore[return-value]

    def _take(self, contents: Any) -> None:
        super()._take(contents)
        self._snapshot = Sets.of(contents.snapshot)
