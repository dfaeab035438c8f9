"""The index that holds codes and scans them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.hamming import apart, backend, gpu
from udsph.hamming.codes import BitOrder, as_queries, check_bitorder, check_bits
from udsph.hamming.holding import Holder, check_multi
from udsph.hamming.ids import Ids, Unknown, check_unknown
from udsph.hamming.results import RangeResult, SearchResult
from udsph.hamming.segments import Snapshot
from udsph.threads import ForkSafeLock

MOST_NEIGHBOURS = (1 << 48) - 1  # as many as an index can hold codes


if TYPE_CHECKING:
    from udsph.hamming.explain import Explanation


class FlatIndex(Holder):
    """Exact index over binary codes of one width.

    Codes and queries come in one of these forms, one code to a row:

    - uint8, packed: ``(bits + 7) // 8`` bytes in a row, bit i in byte ``i // 8``; unused bits are 0;
    - int8, the "binary" embeddings of sentence-transformers: packed bytes minus 128;
    - 64-bit words, uint64 or int64: ``(bits + 63) // 64`` in a row, bit i of a code is bit ``i % 64`` of word
      ``i // 64``; up to 64 bits also one-dimensional, a column of a table, one code each;
    - a list of integers, one code each, bit i worth ``2**i``;
    - a list of hexadecimal strings or of bytes, each a packed code;

    arrays of NumPy, or anything in host memory with DLPack or ``__array__``: torch, JAX, Arrow.

    Parameters
    ----------
    bits : int
        Width of the codes, 1 to 8192.
    bitorder : {"little", "big"}
        Of the bits in a packed byte, as for ``numpy.packbits``, whose default is "big". Words and integers have no such
        choice.
    multi : bool
        Whether one id may be given to several codes. Each of them is then a result of its own, ``remove`` removes all
        of an id, and ``reconstruct`` gives all, one after the other.
    device : {"cpu", "cuda", "cuda:NUMBER"}, optional
        Where the codes are and are searched (``docs/gpu.md``).

    Notes
    -----
    Results do not depend on the instruction set, the number of threads or the batch of queries.

    Every method may be called from any thread at any time. A call sees one state of the index, that at its start:
    nothing waits for anything but changes for one another. The index may be pickled (protocol 5 hands the codes over
    out of band), copied and forked at any time. Codes are stored in slices (``docs/architecture.md``).

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

    _why = "a FlatIndex scans"  # its codes, says explain

    def __init__(self, bits: int, *, bitorder: BitOrder = "little", multi: bool = False, device: Any = None) -> None:
        self.bits = check_bits(bits)
        self.bitorder = check_bitorder(bitorder)
        # Replaced as a whole, never changed.
        empty = backend.empty_segment(self.bits) if device is None else gpu.empty(self.bits, device)
        self._snapshot = Snapshot(empty, (), Ids(multi=check_multi(multi)))
        self._changes = ForkSafeLock()

    def __repr__(self) -> str:
        return f"FlatIndex(bits={self.bits}, bitorder={self.bitorder!r}, {len(self)} codes)"

    def search(
        self, queries: Any, k: int, *, where: Any = None, threads: int | None = None, unknown: Unknown = "error"
    ) -> SearchResult:
        """Find the k nearest codes of every query.

        Parameters
        ----------
        queries : (nq, width) array, or one packed code, (bytes,)
            See the class for the forms. One query by itself gives results with one dimension less.
        k : int
            Neighbours wanted, at least 1.
        where : optional
            Codes that may be returned: a boolean mask (n,) or a ``Bitmap``, both by insertion order, or an array of
            ids, each once. Or a list of one of these (or None) per query, or a boolean mask (nq, n); queries whose
            filter is the same object are searched together.
        threads : int, optional
            Default: ``UDSPH_NUM_THREADS``, else ``OMP_NUM_THREADS``, else every core, but 1 in a worker process.
        unknown : {"error", "ignore"}
            What an id in ``where`` is that no code has.

        Returns
        -------
        SearchResult
            ``distances`` (nq, k) or (k,) int32 and ``ids`` likewise int64, sorted by (distance, insertion order) and
            padded with ``2**31 - 1`` and -1. Ids that are strings come as an array of objects, padded with None.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, dimension or width, k below 1, an unknown or repeated id or a mask of another length.
        """
        if type(queries) is not np.ndarray and gpu.on_device(queries):
            return gpu.search(self, queries, check_int(k, "k", 1, MOST_NEIGHBOURS), where, check_unknown(unknown))
        rows, snapshot = as_queries(queries, self.bits, self.bitorder), self._snapshot
        if type(k) is not int or not 1 <= k <= MOST_NEIGHBOURS:
            k = check_int(k, "k", 1, MOST_NEIGHBOURS)
        if unknown != "error":
            check_unknown(unknown)
        count = snapshot.threads(rows, threads)
        if where is not None and apart.has_own_filters(where):
            return apart.search(snapshot, rows, k, where, count, unknown)
        return snapshot.search(rows, k, where, count, unknown)

    def range_search(
        self, queries: Any, radius: Any, *, where: Any = None, threads: int | None = None, unknown: Unknown = "error"
    ) -> RangeResult:
        """Find every code within a radius of every query.

        Parameters
        ----------
        queries : (nq, width) array, or one packed code, (bytes,)
            See the class for the forms.
        radius : int, or (nq,) integers
            Largest distance that counts, 0 or more: of all queries, or of each.
        where, threads, unknown : optional
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
        if type(queries) is not np.ndarray and gpu.on_device(queries):
            return gpu.range_search(self, queries, radius, where, check_unknown(unknown))
        rows, snapshot = as_queries(queries, self.bits, self.bitorder), self._snapshot
        radius, count = apart.check_radius(radius, rows, self.bits), snapshot.threads(rows, threads)
        check_unknown(unknown)
        if isinstance(radius, int) and (where is None or not apart.has_own_filters(where)):
            return snapshot.range_search(rows, radius, where, count, unknown)
        return apart.range_search(snapshot, rows, radius, where, count, unknown)

    def explain(
        self,
        queries: Any,
        *,
        k: int | None = None,
        radius: int | None = None,
        where: Any = None,
        threads: int | None = None,
        unknown: Unknown = "error",
    ) -> Explanation:
        """Search, and say how and why so: which codes are scanned or looked up, with estimated and measured cost.

        Parameters
        ----------
        queries : (nq, width) array, or one packed code, (bytes,)
        k, radius : int
            One of both: as for ``search``, or as for ``range_search``.
        where, threads, unknown : optional
            As for ``search``; one filter for all queries.

        Returns
        -------
        Explanation
            A dict whose ``str`` is a text.

        Raises
        ------
        TypeError, ValueError
            As for ``search``; both k and radius, or neither.
        """
        from udsph.hamming import explain

        if (k is None) == (radius is None):
            raise InputError("explain takes either k= or radius=")
        if k is not None:
            wanted = {"k": check_int(k, "k", 1, MOST_NEIGHBOURS)}
        else:
            wanted = {"radius": min(check_int(radius, "radius", 0), self.bits)}
        rows, snapshot = as_queries(queries, self.bits, self.bitorder), self._snapshot
        count = snapshot.threads(rows, threads)
        return explain.explain(snapshot, rows, wanted, where, count, check_unknown(unknown), self._why)


def load(file: str | os.PathLike[str] | Any, *, mmap: bool = True, verify: bool = True) -> FlatIndex:
    """Open an index that ``FlatIndex.save`` wrote, as a ``FlatIndex``; ``Index.load`` opens it as an ``Index``.

    Parameters
    ----------
    file : path or binary file
        Of a file object the rest is read into memory.
    mmap : bool
        Search straight from the file of a path, which must then stay as it is. Otherwise read it into memory.
    verify : bool
        Compare checksums of the contents and look at the ids, none of which may occur twice, which reads the file once.
        Sizes and the header are always checked.

    Raises
    ------
    FormatError
        The file is damaged, truncated, of a later version or not an index.
    OSError
        The file cannot be read.
    """
    return FlatIndex.load(file, mmap=mmap, verify=verify)
