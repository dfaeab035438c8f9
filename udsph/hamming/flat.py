"""Exact search: in one call over packed codes, or through an index that holds them."""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import backend
from udsph.hamming.codes import BitOrder, as_codes, check_bitorder, check_bits, check_codes, reverse_bits
from udsph.hamming.filters import as_words
from udsph.hamming.ids import Ids, check_ids
from udsph.threads import thread_count


class SearchResult(NamedTuple):
    """Nearest neighbours, sorted by (distance, insertion order).

    distances : (nq, k) int32, ``2**31 - 1`` where there are fewer than k codes
    ids : (nq, k) int64, -1 there
    """

    distances: NDArray[np.int32]
    ids: NDArray[np.int64]


class RangeResult(NamedTuple):
    """All neighbours within a radius; those of query q are at ``offsets[q]`` to ``offsets[q + 1]``.

    offsets : (nq + 1,) int64
    distances : (total,) int32, per query sorted by (distance, insertion order)
    ids : (total,) int64
    """

    offsets: NDArray[np.int64]
    distances: NDArray[np.int32]
    ids: NDArray[np.int64]


class _State(NamedTuple):
    """Codes and their ids: replaced together where positions change, so that a running search sees one or the other."""

    codes: Any  # _native.Blocks or rows.Rows
    ids: Ids


def _check_int(value: Any, name: str, least: int) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def distances(queries: Any, codes: Any, *, threads: int | None = None) -> NDArray[np.int32]:
    """Hamming distances between all queries and all codes.

    Parameters
    ----------
    queries : (nq, bytes) uint8
    codes : (n, bytes) uint8
    threads : int, optional
        Default: see ``FlatIndex.search``.

    Returns
    -------
    (nq, n) int32

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or dimension, or widths that differ.
    """
    codes = check_codes(codes, None, "codes")
    queries = check_codes(queries, 8 * codes.shape[1], "queries")
    return backend.module().distances(queries, codes, thread_count(threads))


def search(queries: Any, codes: Any, k: int, *, threads: int | None = None) -> SearchResult:
    """Find the k nearest codes of every query, without keeping an index.

    Parameters
    ----------
    queries : (nq, bytes) uint8
    codes : (n, bytes) uint8
    k : int
        Neighbours wanted, at least 1; more than n are padded.
    threads : int, optional
        Default: see ``FlatIndex.search``.

    Returns
    -------
    SearchResult
        ``distances`` (nq, k) int32 and ``ids`` (nq, k) int64, the row numbers of ``codes``, sorted by (distance, id).

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or dimension, widths that differ, or k below 1.
    """
    codes = check_codes(codes, None, "codes")
    index = FlatIndex(8 * codes.shape[1])
    index.add(codes)
    return index.search(queries, k, threads=threads)


class FlatIndex:
    """Exact index over binary codes of one width.

    Codes and queries are two-dimensional, one code to a row, in one of these forms:

    - uint8, packed: ``(bits + 7) // 8`` bytes in a row, bit i in byte ``i // 8``; unused bits are 0;
    - int8, the "binary" embeddings of sentence-transformers: packed bytes minus 128;
    - uint64 words: ``(bits + 63) // 64`` in a row, bit i of a code is bit ``i % 64`` of word ``i // 64``;

    as NumPy arrays or anything in host memory with DLPack, such as torch and JAX arrays on the CPU.

    Parameters
    ----------
    bits : int
        Width of the codes, 1 to 8192.
    bitorder : {"little", "big"}
        Of the bits in a packed byte, as for ``numpy.packbits``, whose default is "big". Words have no such choice.

    Notes
    -----
    Results do not depend on the instruction set, the number of threads or the batch of queries. An index may be
    searched from several threads at once. Codes are stored in slices (``docs/architecture.md``).

    Examples
    --------
    >>> import numpy as np
    >>> import udsph.hamming as hamming
    >>> rng = np.random.default_rng(0)
    >>> codes = hamming.pack(rng.normal(size=(1000, 64)))
    >>> index = hamming.FlatIndex(64)
    >>> index.add(codes)
    >>> distances, ids = index.search(codes[:3], k=1)
    >>> ids[:, 0]
    array([0, 1, 2])
    """

    def __init__(self, bits: int, *, bitorder: BitOrder = "little") -> None:
        self.bits = check_bits(bits)
        self.bitorder = check_bitorder(bitorder)
        self._state = _State(backend.new_store(self.bits), Ids())
        self._changes = threading.Lock()

    def __len__(self) -> int:
        return len(self._state.codes)

    def __repr__(self) -> str:
        return f"FlatIndex(bits={self.bits}, bitorder={self.bitorder!r}, {len(self)} codes)"

    @property
    def nbytes(self) -> int:
        """Bytes that codes and ids take, in memory or mapped."""
        return self._state.codes.nbytes + self._state.ids.nbytes

    def add(self, codes: Any, ids: Any = None) -> None:
        """Append codes.

        Parameters
        ----------
        codes : (n, width) array
            See the class for the forms.
        ids : (n,) integers, optional
            From 0 to 2**63 - 1, each once. Without ids a code is called by its insertion position; an index has either.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, dimension or width, set unused bits, or ids that are missing, negative or already used.
        """
        rows = self._codes(codes, "codes")
        with self._changes:
            store, names = self._state
            names.extend(len(rows), ids, len(store))
            if len(rows):
                store.append(rows)

    def search(self, queries: Any, k: int, *, where: Any = None, threads: int | None = None) -> SearchResult:
        """Find the k nearest codes of every query.

        Parameters
        ----------
        queries : (nq, width) array
            See the class for the forms.
        k : int
            Neighbours wanted, at least 1.
        where : optional
            Codes that may be returned: a boolean mask (n,) or a ``Bitmap``, both by insertion position, or an integer
            array of ids.
        threads : int, optional
            Default: ``UDSPH_NUM_THREADS``, else ``OMP_NUM_THREADS``, else every core, but 1 in a worker process.

        Returns
        -------
        SearchResult
            ``distances`` (nq, k) int32 and ``ids`` (nq, k) int64, sorted by (distance, insertion order) and padded with
            ``2**31 - 1`` and -1.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, dimension or width, k below 1, an unknown id or a mask of another length.
        """
        rows, k = self._codes(queries, "queries"), _check_int(k, "k", 1)
        store, names = self._state
        near, positions = store.search(rows, k, as_words(where, len(store), names), thread_count(threads))
        return SearchResult(near, names.names(positions))

    def range_search(self, queries: Any, radius: int, *, where: Any = None, threads: int | None = None) -> RangeResult:
        """Find every code within a radius of every query.

        Parameters
        ----------
        queries : (nq, width) array
            See the class for the forms.
        radius : int
            Largest distance that counts, 0 or more.
        where, threads : optional
            As for ``search``.

        Returns
        -------
        RangeResult
            ``offsets`` (nq + 1,) int64, ``distances`` int32 and ``ids`` int64, per query sorted by (distance, insertion
            order).

        Raises
        ------
        TypeError, ValueError
            As for ``search``; a negative radius.
        """
        rows, radius = self._codes(queries, "queries"), _check_int(radius, "radius", 0)
        store, names = self._state
        allowed = as_words(where, len(store), names)
        offsets, near, positions = store.range_search(rows, min(radius, self.bits), allowed, thread_count(threads))
        return RangeResult(offsets, near, names.names(positions))

    def reconstruct(self, ids: Any) -> NDArray[np.uint8]:
        """Return the packed codes of ids, (n, (bits + 7) // 8) uint8 in the index's bit order.

        Raises
        ------
        TypeError, ValueError
            Ids that are not integers, or unknown.
        """
        store, names = self._state
        rows = store.read(names.positions(check_ids(ids), len(store)))
        return rows if self.bitorder == "little" else reverse_bits(rows)

    def remove(self, ids: Any) -> None:
        """Remove codes; the others keep their ids and their order.

        Raises
        ------
        TypeError, ValueError
            Ids that are not integers, or unknown: then nothing is removed.
        """
        with self._changes:
            store, names = self._state
            gone = names.positions(check_ids(ids), len(store))
            if len(gone) == 0:
                return
            keep = np.ones(len(store), np.bool_)
            keep[gone] = False
            words = as_words(keep, len(store), names)
            self._state = _State(store.subset(words), names.subset(keep))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file (``docs/file-format.md``), beside the path first and then renamed into place."""
        from udsph.hamming import storage

        with self._changes:
            store, names = self._state
            storage.write(path, storage.Contents(self.bits, self.bitorder, len(store), names, store))

    def _codes(self, values: Any, name: str) -> NDArray[np.uint8]:
        return as_codes(values, self.bits, self.bitorder, name)


def load(path: str | os.PathLike[str], *, mmap: bool = True, verify: bool = True) -> FlatIndex:
    """Open an index that ``FlatIndex.save`` wrote.

    Parameters
    ----------
    path : path
    mmap : bool
        Search straight from the file, which must then stay as it is. Otherwise read it into memory.
    verify : bool
        Compare checksums of the contents, which reads the file once. Sizes and the header are always checked.

    Raises
    ------
    FormatError
        The file is damaged, truncated, of a later version or not an index.
    OSError
        The file cannot be read.
    """
    from udsph.hamming import storage

    contents = storage.read(path, mmap=mmap, verify=verify)
    index = FlatIndex(contents.bits, bitorder=contents.bitorder)
    index._state = _State(contents.codes, contents.ids)
    return index
