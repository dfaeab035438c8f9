"""Binary indexes of FAISS as indexes of this package: ``from_faiss``.

Files are read here, without FAISS. A file of ``IndexBinaryFlat`` is, in little-endian numbers: ``IBxF``; int32 bits,
int32 bytes a code, int64 codes, uint8 1 (trained), int32 1 (the metric); uint64 length of what follows, the codes. One
of ``IndexBinaryIDMap`` is ``IBMp`` (``IBM2``: ``IDMap2``), the same header, the file of the index within, and uint64
count of what follows, an int64 id a code.
"""

from __future__ import annotations

import importlib
import os
import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming.codes import MAX_BITS
from udsph.hamming.index import Index
from udsph.hamming.storage import FormatError

_HEADER = struct.Struct("<4siiqBi")
_LENGTH = struct.Struct("<Q")
_TRAINED, _METRIC = 1, 1
_OTHERS = {
    b"IBwF": "IndexBinaryIVF",
    b"IBFf": "IndexBinaryFromFloat",
    b"IBHf": "IndexBinaryHNSW",
    b"IBHc": "IndexBinaryHNSWCagra",
    b"IBHh": "IndexBinaryHash",
    b"IBHm": "IndexBinaryMultiHash",
}


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
        is. Or a file that ``faiss.write_index_binary`` wrote, flat or with an ID map, for which FAISS is not needed; of
        a file object the rest is read.
    multi : bool
        Whether one id may have several codes, as ID maps of FAISS permit.

    Returns
    -------
    Index
        With the codes and ids in the order of FAISS; those of an IVF index in the order of their ids. Without an ID map
        ids are positions, as in FAISS. Codes are the same bytes, so ``search`` takes the same queries and finds the
        same distances. ``Index.optimize`` builds tables over it.

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
        contents = _parse(_mapped(source), os.fsdecode(source))
    elif type(source).__module__.partition(".")[0] == "faiss":
        contents = _of_object(source)
    elif hasattr(source, "read"):
        name = getattr(source, "name", None)
        contents = _parse(np.frombuffer(source.read(), np.uint8), name if isinstance(name, str) else "the file")
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


def _mapped(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    if os.path.getsize(path) == 0:
        return np.empty(0, np.uint8)
    return np.asarray(np.memmap(path, np.uint8, "r"))


class _Reader:
    """The bytes of a file, from the first to the last."""

    def __init__(self, image: NDArray[np.uint8], name: str) -> None:
        self._image, self._name, self._place = image, name, 0

    def take(self, count: int, what: str) -> NDArray[np.uint8]:
        if count > self.left:
            raise FormatError(f"{self._name} is truncated: {count} bytes of {what} were expected, {self.left} are left")
        self._place += count
        return self._image[self._place - count : self._place]

    @property
    def left(self) -> int:
        return len(self._image) - self._place

    def header(self) -> tuple[bytes, int, int]:
        """Kind, bits and number of codes."""
        kind = self._image[self._place : self._place + 4].tobytes()
        if kind not in (b"IBxF", b"IBMp", b"IBM2"):
            raise FormatError(self._other(kind))
        fields = _HEADER.unpack(self.take(_HEADER.size, "a header").tobytes())
        _, bits, width, n, trained, metric = fields
        if not 8 <= bits <= MAX_BITS or bits % 8 or width != bits // 8:
            raise FormatError(
                f"{self._name} is damaged: {bits} bits in {width} bytes; up to {MAX_BITS} bits can be read"
            )
        if n < 0 or trained != _TRAINED or metric != _METRIC:
            raise FormatError(f"{self._name} is damaged: its header has {n} codes, trained {trained}, metric {metric}")
        return kind, bits, n

    def vector(self, count: int, size: int, what: str) -> NDArray[np.uint8]:
        """As many items of a size as there must be."""
        (length,) = _LENGTH.unpack(self.take(_LENGTH.size, "a length").tobytes())
        if length != count:
            raise FormatError(f"{self._name} is damaged: {what} has {length} items, {count} were expected")
        return self.take(count * size, what)

    def _other(self, kind: bytes) -> str:
        if kind in _OTHERS:
            return (
                f"{self._name} holds a {_OTHERS[kind]}, whose file FAISS alone reads: "
                "from_faiss(faiss.read_index_binary(path)) takes it from there"
            )
        if kind[:1] == b"I":
            return f"{self._name} begins with {kind!r}: an index of FAISS whose codes are not binary, or a later one"
        return f"{self._name} is not an index of FAISS (its first bytes are {kind!r})"


def _parse(image: NDArray[np.uint8], name: str) -> _Contents:
    """What is in the bytes of a file, every one of which is looked at."""
    reader = _Reader(image, name)
    kind, bits, n = reader.header()
    mapped = kind != b"IBxF"
    if mapped:
        inner = reader.header()
        if inner[0] != b"IBxF":
            raise FormatError(f"{name} has an ID map within an ID map, which is not read")
        if inner[1:] != (bits, n):
            raise FormatError(f"{name} is damaged: {n} ids of {bits} bits for {inner[2]} codes of {inner[1]} bits")
    codes = reader.vector(n * (bits // 8), 1, "the codes").reshape(n, bits // 8)
    ids = reader.vector(n, 8, "the ID map").view("<i8").astype(np.int64) if mapped else None
    if reader.left:
        raise FormatError(f"{name} is damaged: {reader.left} bytes follow its end")
    return _Contents(bits, codes, ids)


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
