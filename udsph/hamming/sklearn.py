"""Exact Hamming neighbours as an estimator of scikit-learn: ``HammingNeighbors``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import joblib
    from scipy.sparse import csr_matrix
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    from udsph.errors import MissingExtra

    raise MissingExtra("udsph.hamming.sklearn", "sklearn") from error

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.hamming.codes import as_codes, pack
from udsph.hamming.index import Index
from udsph.hamming.results import RangeResult

_PACKED = ("uint8", "int8", "uint64", "int64")


class HammingNeighbors(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Nearest neighbours by the number of bits that differ, exact; a graph of them as ``transform``.

    What ``KNeighborsTransformer`` and ``NearestNeighbors(metric="hamming")`` do, over packed codes. Distances are
    numbers of bits, float64; metric "hamming" of scikit-learn is the same divided by the width.

    Parameters
    ----------
    n_neighbors : int
        Neighbours where a call names none.
    radius : int
        Radius, in bits and inclusive, where a call names none.
    mode : {"distance", "connectivity"}
        What ``transform`` gives. The graph of distances has one neighbour more, since an item is its own nearest one;
        estimators with ``metric="precomputed"`` take it so.
    input : {"values", "packed"}
        What ``X`` is. "values": one column a bit, of any numbers, bit 1 where a value is above 0: 0 and 1, booleans,
        -1 and 1, floats before their signs are taken. "packed": codes as ``FlatIndex`` takes them in arrays, uint8,
        int8 or 64-bit words.
    n_jobs : int, optional
        Threads; -1: all cores. None: as for ``FlatIndex.search``.

    Attributes
    ----------
    index_ : Index
        The codes of ``fit``, with tables where they help.
    n_samples_fit_ : int
    n_features_in_ : int
        Columns of ``X``.

    Notes
    -----
    Neighbours at equal distance come in the order of the rows of ``fit``. Sparse ``X`` is refused.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from udsph.hamming.sklearn import HammingNeighbors
    >>> X = np.random.default_rng(0).normal(size=(200, 64))
    >>> y = X[:, :9].sum(axis=1) > 0
    >>> model = make_pipeline(HammingNeighbors(n_neighbors=3), KNeighborsClassifier(3, metric="precomputed"))
    >>> model.fit(X, y).predict(X[:4]).shape
    (4,)
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        radius: int = 0,
        mode: str = "distance",
        input: str = "values",
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.mode = mode
        self.input = input
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> HammingNeighbors:
        """Keep the codes of ``X``.

        Parameters
        ----------
        X : (n, columns) array
        y : ignored

        Raises
        ------
        TypeError, ValueError
            Another shape or dtype, NaN, no rows, more than 8192 bits, or a parameter that cannot be.
        """
        check_int(self.n_neighbors, "n_neighbors", 1)
        check_int(self.radius, "radius", 0)
        _check_mode(self.mode)
        codes = self._codes(X, reset=True)
        self.index_ = Index(self.bits_)
        self.index_.add(codes)
        self.index_.optimize(threads=self._threads())
        self.n_samples_fit_ = self._n_features_out = len(codes)
        return self

    def kneighbors(self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """The nearest rows of ``fit`` for each row of ``X``.

        Parameters
        ----------
        X : (nq, columns) array, optional
            Without it, those of each row of ``fit``, which is then not its own neighbour.
        n_neighbors : int, optional
        return_distance : bool

        Returns
        -------
        distances : (nq, n_neighbors) float64, in bits; only with ``return_distance``
        indices : (nq, n_neighbors) int64

        Raises
        ------
        ValueError
            More neighbours than there are.
        """
        check_is_fitted(self)
        k = check_int(self.n_neighbors if n_neighbors is None else n_neighbors, "n_neighbors", 1)
        own, queries = X is None, self._queries(X)
        most = self.n_samples_fit_ - own
        if k > most:
            raise InputError(f"n_neighbors must be at most {most}, the neighbours that there are, got {k}")
        near, rows = self.index_.search(queries, k + own, threads=self._threads())
        if own:
            near, rows = _without_itself(near, rows)
        return (near.astype(np.float64), rows) if return_distance else rows

    def radius_neighbors(
        self, X: Any = None, radius: int | None = None, return_distance: bool = True, sort_results: bool = False
    ) -> Any:
        """All rows of ``fit`` within a radius of each row of ``X``, always sorted by distance.

        Parameters
        ----------
        X : (nq, columns) array, optional
            As for ``kneighbors``.
        radius : int, optional
            In bits, inclusive.
        return_distance : bool
        sort_results : bool
            Taken for the sake of scikit-learn's callers: they are sorted anyway.

        Returns
        -------
        distances : (nq,) object array of float64 arrays; only with ``return_distance``
        indices : (nq,) object array of int64 arrays
        """
        offsets, near, rows = self._within(X, radius)
        indices = _cut(rows, offsets)
        return (_cut(near.astype(np.float64), offsets), indices) if return_distance else indices

    def kneighbors_graph(self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity") -> csr_matrix:
        """The graph of ``kneighbors``, (nq, n) float64: 1 at neighbours, or with ``mode="distance"`` their distances.

        Distances of 0 are stored, and each row is sorted by distance.
        """
        _check_mode(mode)
        near, rows = self.kneighbors(X, n_neighbors)
        offsets = np.arange(len(rows) + 1) * rows.shape[1]
        return self._graph(offsets, near.ravel(), rows.ravel(), mode)

    def radius_neighbors_graph(
        self, X: Any = None, radius: int | None = None, mode: str = "connectivity", sort_results: bool = False
    ) -> csr_matrix:
        """The graph of ``radius_neighbors``; as ``kneighbors_graph``."""
        _check_mode(mode)
        return self._graph(*self._within(X, radius), mode)

    def transform(self, X: Any) -> csr_matrix:
        """The graph of the nearest rows of ``fit``, by ``n_neighbors`` and ``mode``."""
        check_is_fitted(self)
        return self.kneighbors_graph(X, self.n_neighbors + (self.mode == "distance"), self.mode)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _codes(self, X: Any, *, reset: bool) -> NDArray[np.uint8]:
        """Packed rows of ``X``."""
        if self.input == "values":
            values = validate_data(self, X, reset=reset, dtype="numeric")
            if reset:
                self.bits_ = values.shape[1]
            return pack(values)
        if self.input != "packed":
            raise InputError(f"input must be 'values' or 'packed', got {self.input!r}")
        values = validate_data(self, X, reset=reset, dtype=None)
        if values.dtype.name not in _PACKED:
            raise TypeError(f"X with input='packed' must have a dtype of {', '.join(_PACKED)}, got {values.dtype}")
        if reset:
            self.bits_ = 8 * values.dtype.itemsize * values.shape[1]
        return as_codes(values, self.bits_, "little", "X")

    def _queries(self, X: Any) -> NDArray[np.uint8]:
        return self.index_.reconstruct(np.arange(self.n_samples_fit_)) if X is None else self._codes(X, reset=False)

    def _within(self, X: Any, radius: int | None) -> RangeResult:
        check_is_fitted(self)
        limit = check_int(self.radius if radius is None else radius, "radius", 0)
        found = self.index_.range_search(self._queries(X), limit, threads=self._threads())
        if X is not None:
            return found
        queries = np.repeat(np.arange(self.n_samples_fit_), np.diff(found.offsets))
        kept = found.ids != queries
        offsets = found.offsets - np.arange(self.n_samples_fit_ + 1)  # each row finds itself
        return RangeResult(offsets, found.distances[kept], found.ids[kept])

    def _graph(self, offsets: NDArray[Any], near: NDArray[Any], rows: NDArray[Any], mode: str) -> csr_matrix:
        data = near.astype(np.float64) if mode == "distance" else np.ones(len(rows))
        return csr_matrix((data, rows, offsets), shape=(len(offsets) - 1, self.n_samples_fit_))

    def _threads(self) -> int | None:
        return None if self.n_jobs is None else joblib.effective_n_jobs(self.n_jobs)


def _check_mode(mode: Any) -> None:
    if mode not in ("distance", "connectivity"):
        raise InputError(f"mode must be 'distance' or 'connectivity', got {mode!r}")


def _without_itself(near: NDArray[Any], rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Results of the rows of ``fit`` without each row itself; where equal rows pushed it out, without the last."""
    own = rows == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = len(rows), rows.shape[1] - 1
    return near[~own].reshape(shape), rows[~own].reshape(shape)


def _cut(values: NDArray[Any], offsets: NDArray[Any]) -> NDArray[Any]:
    """One array per query, in an array of objects."""
    out = np.empty(len(offsets) - 1, object)
    for i in range(len(out)):
        out[i] = values[offsets[i] : offsets[i + 1]]
    return out
