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
from udsph.hamming.codes import BitOrder, as_codes, as_queries, check_bitorder, check_bits, reverse_bits
from udsph.hamming.filters import Bitmap
from udsph.hamming.ids import Ids, check_ids
from udsph.hamming.operations.sets import NO_SIMILARITY, Part, make_part
from udsph.hamming.where import given
from udsph.threads import ForkSafeLock, thread_count

Codes = NDArray[np.uint8]

_WEIGHTS = {
    "tanimoto": (1.0, 1.0),
    "jaccard": (1.0, 1.0),
    "dice": (0.5, 0.5),
    "containment": (1.0, 0.0),
}
_MOST_CODES = 1 << 34  # places of a key; see similarity.cpp


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


class SimilarityIndex:
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

    Notes
    -----
    Similarities are computed in double precision, compared with a threshold so, rounded to float32 and then ordered:
    two that are equal as float32 are in insertion order. Results do not depend on the instruction set, the number of
    threads, the batch of queries, or in how many pieces codes were added.

    Codes are kept in the order of their number of bits, in slices. A search adds up the slices of a query's bits, so
    that its cost grows with the bits that a query has, not with the width.

    Every method may be called from any thread at any time; a search sees the codes that were there at its start.

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

    def __init__(self, bits: int, *, bitorder: BitOrder = "little") -> None:
        self.bits = check_bits(bits)
        self.bitorder = check_bitorder(bitorder)
        self._state: tuple[tuple[Part, ...], Ids] = ((), Ids())  # replaced as a whole, never changed
        self._changes = ForkSafeLock()

    def __len__(self) -> int:
        return sum(map(len, self._state[0]))

    def __repr__(self) -> str:
        return f"SimilarityIndex(bits={self.bits}, bitorder={self.bitorder!r}, {len(self)} codes)"

    @property
    def nbytes(self) -> int:
        """Bytes that codes, their order and ids take."""
        parts, ids = self._state
        return sum(part.nbytes for part in parts) + ids.nbytes

    def add(self, codes: Any, ids: Any = None) -> None:
        """Append codes.

        Parameters
        ----------
        codes : (n, width) array
            In the forms of ``FlatIndex``.
        ids : (n,) integers, optional
            As for ``FlatIndex.add``.

        Raises
        ------
        TypeError, ValueError
            As for ``FlatIndex.add``.
        """
        rows = as_codes(codes, self.bits, self.bitorder, "codes")
        with self._changes.here:
            parts, named = self._state
            named = named.extended(len(rows), ids, None)
            base = sum(map(len, parts))
            if base + len(rows) > _MOST_CODES:
                raise InputError(f"codes must be {_MOST_CODES} at most, got {base + len(rows)}")
            if len(rows):
                # Parts of similar size become one: codes are moved a few times each, searches go through few parts.
                while parts and len(parts[-1]) <= 2 * len(rows):
                    rows = np.concatenate([parts[-1].rows(), rows])
                    parts = parts[:-1]
                begin = sum(map(len, parts))
                parts = (*parts, make_part(self.bits, rows, begin))
            self._state = parts, named

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

        Returns
        -------
        SimilarityResult

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, dimension or width, k below 1, an unknown metric, weights or a threshold out of range.
        """
        given, k = as_queries(queries, self.bits, self.bitorder), check_int(k, "k", 1, _MOST_CODES)
        rows = np.atleast_2d(given)
        weights, threshold = check_metric(metric, alpha, beta), _check_threshold(threshold)
        parts, ids = self._state
        mask = _mask(where, sum(map(len, parts)), ids)
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
    ) -> SimilarityRange:
        """Find every code that is at least as similar to a query as the threshold says.

        Parameters
        ----------
        queries, metric, alpha, beta, where, threads
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
        parts, ids = self._state
        mask = _mask(where, sum(map(len, parts)), ids)
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

    def reconstruct(self, ids: Any) -> Codes:
        """Return the packed codes of ids, (n, (bits + 7) // 8) uint8 in the index's bit order.

        Raises
        ------
        TypeError, ValueError
            Ids that are not integers, or unknown.
        """
        parts, named = self._state
        positions = named.positions(check_ids(ids), None)
        rows = np.empty((len(positions), (self.bits + 7) // 8), np.uint8)
        begin = 0
        for part in parts:
            here = (positions >= begin) & (positions < begin + len(part))
            rows[here] = part.read(positions[here] - begin)
            begin += len(part)
        return rows if self.bitorder == "little" else reverse_bits(rows)

    def __getstate__(self) -> dict[str, Any]:
        parts, ids = self._state
        rows = np.concatenate([np.empty((0, (self.bits + 7) // 8), np.uint8), *(part.rows() for part in parts)])
        named = ids.at(np.arange(len(rows))) if ids.custom else None
        return {"bits": self.bits, "bitorder": self.bitorder, "rows": rows, "ids": named}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["bits"])  # type: ignore[misc]
        self.add(state["rows"], state["ids"])
        self.bitorder = state["bitorder"]


def _mask(where: Any, n: int, ids: Ids) -> NDArray[np.bool_] | None:
    """One boolean per position, or None: all."""
    if where is None:
        return None
    if isinstance(where, Bitmap):
        where = where.mask()
    array = given(where)
    if not isinstance(array, np.ndarray) or array.dtype != np.bool_:
        if isinstance(where, (list, tuple)) and any(np.ndim(part) or isinstance(part, Bitmap) for part in where):
            raise InputError("a similarity search takes one where for all queries: a mask, a Bitmap or ids")
        chosen = np.sort(ids.positions(check_ids(where, "where"), None))
        twice = chosen[1:][chosen[1:] == chosen[:-1]]
        if twice.size:
            raise InputError(f"where names the id {ids.at(twice[:1])[0]} twice; give each id once")
        mask = np.zeros(n, np.bool_)
        mask[chosen] = True
        return mask
    if array.shape != (n,):
        raise InputError(f"where must have shape ({n},), one entry per code, got {array.shape}")
    return array
