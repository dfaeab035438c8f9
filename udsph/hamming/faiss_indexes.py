"""Binary indexes of FAISS as indexes of this package: ``from_faiss``. ``faiss_files`` reads their files."""

from __future__ import annotations

import importlib
import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming import faiss_files
from udsph.hamming.index import Index


class _Contents(NamedTuple):
    bits: int
    codes: NDArray[np.uint8]  # (n, bytes)
    ids: NDArray[np.int64] | None


def from_faiss(source: Any, *, multi: bool = False) -> Index:
    """Make an index of a binary index of FAISS.

    Parameters
    ----------
    source : faiss.IndexBinary, path or binary file
        An index in memory: flat, IVF, HNSW, multi-hash, or one of these in an ``IDMap`` or ``IDMap2``; it stays as it
        is. Or a file of one of these that ``faiss.write_index_binary`` wrote, or of a hash, for which FAISS is not
        needed; of a file object the rest is read.
    multi : bool
        Whether one id may have several codes, as ID maps of FAISS permit.

    Returns
    -------
    Index
        With the codes and ids in the order of FAISS; those of an IVF or hash index in the order of their ids. Without
        an ID map ids are positions, as in FAISS. Codes are the same bytes, so ``search`` takes the same queries and
        finds the same distances. ``Index.optimize`` builds tables over it.

    Raises
    ------
    FormatError
        The file is damaged, truncated or of another kind of index; the message names the kind.
    TypeError, ValueError
        An index whose codes cannot be read, ids that are negative, or repeated without ``multi``.
    OSError
        The file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        contents = _of_file(faiss_files.read(source))
    elif type(source).__module__.partition(".")[0] == "faiss":
        contents = _of_object(source)
    elif hasattr(source, "read"):
        name = getattr(source, "name", None)
        image = np.frombuffer(source.read(), np.uint8)
        contents = _of_file(faiss_files.parse(image, name if isinstance(name, str) else "the file"))
    else:
        raise TypeError(f"source must be a binary index of FAISS, a path or a binary file, got {type(source).__name__}")
    if contents.ids is not None:
        _check_ids(contents.ids, multi)
    index = Index(contents.bits, multi=multi)
    index.add(contents.codes, contents.ids)
    return index


def _check_ids(ids: NDArray[np.int64], multi: bool) -> None:
    if len(ids) and int(ids.min()) < 0:
        raise InputError(f"source has the id {ids.min()}; ids must be 0 or more, give the codes new ones")
    if not multi:
        ordered = np.sort(ids)
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])
        if twice.size:
            raise InputError(f"source has several codes with the id {ordered[twice[0]]}; multi=True keeps them all")


def _of_file(contents: faiss_files.Contents) -> _Contents:
    return _Contents(contents.bits, contents.codes(0, contents.n), contents.ids)


def _of_object(source: Any) -> _Contents:
    faiss = importlib.import_module("faiss")
    if not isinstance(source, faiss.IndexBinary):
        raise TypeError(
            f"source must be a binary index of FAISS, got {type(source).__name__}, whose codes are not binary; "
            "udsph.hamming.pack makes codes of vectors by their signs"
        )
    index = faiss.downcast_IndexBinary(source)
    ids: Any = None
    if isinstance(index, faiss.IndexBinaryIDMap):
        ids = faiss.vector_to_array(index.id_map)
        index = faiss.downcast_IndexBinary(index.index)
    codes, own = _codes_of(index, faiss)
    if own is not None:
        ids = own if ids is None else ids[own]
    if ids is not None and len(ids) != len(codes):
        raise InputError(f"source has {len(ids)} ids for {len(codes)} codes")
    return _Contents(index.d, codes, ids)


def _codes_of(index: Any, faiss: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """Codes of an index without an ID map, and their ids where these are not positions."""
    if isinstance(index, faiss.IndexBinaryIVF):
        return _of_lists(index, faiss)
    if isinstance(index, (faiss.IndexBinaryHNSW, faiss.IndexBinaryMultiHash)):
        index = faiss.downcast_IndexBinary(index.storage)
    if not isinstance(index, faiss.IndexBinaryFlat):
        raise TypeError(
            f"source is a {type(index).__name__}, whose codes cannot be read; add the codes themselves to an Index"
        )
    return faiss.vector_to_array(index.xb).reshape(index.ntotal, index.code_size), None


def _of_lists(index: Any, faiss: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    lists, width = index.invlists, index.code_size
    codes, ids = [np.empty((0, width), np.uint8)], [np.empty(0, np.int64)]
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            ids.append(faiss.rev_swig_ptr(lists.get_ids(number), size).copy())
            codes.append(faiss.rev_swig_ptr(lists.get_codes(number), size * width).reshape(size, width).copy())
    all_ids = np.concatenate(ids)
    order = np.argsort(all_ids, kind="stable")
    all_ids = all_ids[order]
    positions = np.array_equal(all_ids, np.arange(len(all_ids)))
    return np.concatenate(codes)[order], None if positions else all_ids
