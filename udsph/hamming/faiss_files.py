"""Files of binary indexes of FAISS, read without it: the codes and ids of every kind but ``IndexBinaryFromFloat``.

All numbers are little-endian; a vector is a uint64 length and its items. Every index begins with four letters, int32
bits, int32 bytes a code, int64 codes, uint8 1 (trained), int32 1 (the metric). There follow

- ``IBxF``, flat: the vector of codes;
- ``IBMp``, ``IBM2``, ID maps: the index within, and a vector of an int64 id a code;
- ``IBwF``, IVF: uint64 lists, uint64 probes, the index of centroids, a direct map (uint8 kind, vectors); ``ilar``,
  uint64 lists, uint64 bytes a code, ``full`` and a vector of uint64 sizes or ``sprs`` and one of pairs of list and
  size; of each list that is not empty its codes and its int64 ids;
- ``IBHf``, HNSW: vectors of float64, int32, int32, uint64 and int32, five int32; the index with the codes;
- ``IBHh``, hash: int32 bits of a hash, int32 flips, uint64 buckets, int32 bits of a size, a vector of bytes; of each
  bucket a vector of int64 ids and one of codes;
- ``IBHm``, multi-hash: the index with the codes, and what is not needed.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udsph.files import PathLike
from udsph.hamming.codes import MAX_BITS
from udsph.hamming.storage import FormatError

HEADER = struct.Struct("<4siiqBi")
_LENGTH = struct.Struct("<Q")
_TRAINED, _METRIC = 1, 1
_MAPS = (b"IBMp", b"IBM2")
_OTHERS = {b"IBFf": "IndexBinaryFromFloat", b"IBHc": "IndexBinaryHNSWCagra"}
_HNSW = (8, 4, 4, 8, 4)  # bytes of the items of its vectors
_HASHED = 2  # kind of direct map


class Contents(NamedTuple):
    """What is in a file.

    places : where each code begins in the image, or where the first does of codes that lie one after the other
    """

    bits: int
    n: int
    image: NDArray[np.uint8]
    places: NDArray[np.int64] | int
    ids: NDArray[np.int64] | None

    def codes(self, begin: int, end: int) -> NDArray[np.uint8]:
        """Packed rows."""
        width = self.bits // 8
        if isinstance(self.places, int):
            return self.image[self.places + begin * width : self.places + end * width].reshape(-1, width)
        return self.image[self.places[begin:end, None] + np.arange(width)]


def read(path: PathLike) -> Contents:
    """Map a file.

    Raises
    ------
    FormatError
        It is damaged, truncated, or of a kind whose codes are not read; the message names the kind.
    OSError
        It cannot be read.
    """
    size = os.path.getsize(path)
    return parse(np.asarray(np.memmap(path, np.uint8, "r")) if size else np.empty(0, np.uint8), os.fsdecode(path))


def parse(image: NDArray[np.uint8], name: str) -> Contents:
    """What is in the bytes of a file, every one of which is accounted for but those that follow a multi-hash index."""
    reader = _Reader(image, name)
    contents = reader.index(mapped=True)
    if reader.left and not reader.open_end:
        raise FormatError(f"{name} is damaged: {reader.left} bytes follow its end")
    return contents


class _Reader:
    """The bytes of a file, from the first to the last."""

    def __init__(self, image: NDArray[np.uint8], name: str) -> None:
        self._image, self._name, self._place = image, name, 0
        self.open_end = False

    @property
    def left(self) -> int:
        return len(self._image) - self._place

    def index(self, *, mapped: bool) -> Contents:
        """An index; ``mapped``: it may have an ID map."""
        kind, bits, n = self._header()
        if kind in _MAPS:
            if not mapped:
                raise FormatError(f"{self._name} has an ID map within an ID map, which is not read")
            return self._id_map(bits, n)
        found = {
            b"IBxF": self._flat,
            b"IBwF": self._ivf,
            b"IBHf": self._hnsw,
            b"IBHh": self._hash,
            b"IBHm": self._multi_hash,
        }
        contents = found[kind](bits, n)
        if (contents.bits, contents.n) != (bits, n):
            raise self._damaged(f"{contents.n} codes of {contents.bits} bits, its header says {n} of {bits}")
        return contents

    def _id_map(self, bits: int, n: int) -> Contents:
        inner = self.index(mapped=False)
        if (inner.bits, inner.n) != (bits, n):
            raise self._damaged(f"{n} ids of {bits} bits for {inner.n} codes of {inner.bits} bits")
        ids = self._integers(self._vector(8, "the ID map", n))
        if inner.ids is not None:  # those of lists are places in the map
            if len(inner.ids) and not 0 <= int(inner.ids.min()) <= int(inner.ids.max()) < n:
                raise self._damaged(f"its lists have ids beyond the {n} codes")
            ids = ids[inner.ids]
        return inner._replace(ids=ids)

    def _flat(self, bits: int, n: int) -> Contents:
        return Contents(bits, n, self._image, self._vector(1, "the codes", n * (bits // 8))[0], None)

    def _ivf(self, bits: int, n: int) -> Contents:
        (lists,) = _LENGTH.unpack(self._take(8, "a number of lists"))
        self._take(8, "a number of probes")
        self.index(mapped=False)
        (direct,) = self._take(1, "a direct map")
        self._vector(8, "a direct map")
        if direct == _HASHED:
            self._vector(16, "a direct map")
        kind = self._take(4, "inverted lists")
        count, width = struct.unpack("<QQ", self._take(16, "inverted lists"))
        if kind != b"ilar" or width != bits // 8 or count != lists:
            raise FormatError(f"{self._name} has inverted lists of a kind that is not read ({kind!r})")
        form = self._take(4, "sizes of lists")
        if form == b"full":
            sizes = self._integers(self._vector(8, "sizes of lists", lists))
        elif form == b"sprs":
            sizes = self._pairs("sizes of lists")
        else:
            raise self._damaged(f"sizes of lists are {form!r}")
        parts = []
        for size in sizes[sizes != 0].tolist():
            begin = self._skip(size * width, "the codes of a list")
            parts.append((begin, self._skip(8 * size, "the ids of a list"), size))
        return self._of_lists(bits, n, parts)

    def _hash(self, bits: int, n: int) -> Contents:
        self._take(8, "a hash")
        (buckets,) = _LENGTH.unpack(self._take(8, "a number of buckets"))
        self._take(4, "bits of a size")
        self._vector(1, "hashes and sizes")
        if buckets > self.left // 16:
            raise self._damaged(f"{buckets} buckets")
        parts = []
        for _ in range(buckets):
            ids, size = self._vector(8, "the ids of a bucket")
            parts.append((self._vector(1, "the codes of a bucket", size * (bits // 8))[0], ids, size))
        return self._of_lists(bits, n, parts)

    def _hnsw(self, bits: int, n: int) -> Contents:
        for size in _HNSW:
            self._vector(size, "a graph")
        self._take(20, "a graph")
        return self.index(mapped=False)

    def _multi_hash(self, bits: int, n: int) -> Contents:
        self.open_end = True
        return self.index(mapped=False)

    def _of_lists(self, bits: int, n: int, parts: list[tuple[int, int, int]]) -> Contents:
        """Codes in the order of their ids, of lists (where codes are, where ids are, how many)."""
        sizes = np.array([size for _, _, size in parts], np.int64)
        if int(sizes.sum()) != n:
            raise self._damaged(f"its lists have {int(sizes.sum())} codes, its header says {n}")
        ids = np.concatenate([np.empty(0, np.int64), *(self._integers((place, size)) for _, place, size in parts)])
        within = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = np.repeat(np.array([begin for begin, _, _ in parts], np.int64), sizes) + within * (bits // 8)
        order = np.argsort(ids, kind="stable")
        ids, places = ids[order], places[order]
        return Contents(bits, n, self._image, places, None if np.array_equal(ids, np.arange(n)) else ids)

    def _header(self) -> tuple[bytes, int, int]:
        """Kind, bits and number of codes."""
        kind = self._image[self._place : self._place + 4].tobytes()
        if kind not in (*_MAPS, b"IBxF", b"IBwF", b"IBHf", b"IBHh", b"IBHm"):
            raise FormatError(self._other(kind))
        _, bits, width, n, trained, metric = HEADER.unpack(self._take(HEADER.size, "a header"))
        if not 8 <= bits <= MAX_BITS or bits % 8 or width != bits // 8:
            raise self._damaged(f"{bits} bits in {width} bytes; up to {MAX_BITS} bits can be read")
        if n < 0 or trained != _TRAINED or metric != _METRIC:
            raise self._damaged(f"its header has {n} codes, trained {trained}, metric {metric}")
        return kind, bits, n

    def _vector(self, size: int, what: str, count: int | None = None) -> tuple[int, int]:
        """Where the items of a vector begin, and how many there are."""
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size, f"the length of {what}"))
        if count is not None and length != count:
            raise self._damaged(f"{what} has {length} items, {count} were expected")
        return self._skip(length * size, what), length

    def _integers(self, vector: tuple[int, int]) -> NDArray[np.int64]:
        begin, count = vector
        return self._image[begin : begin + 8 * count].view("<i8").astype(np.int64)

    def _pairs(self, what: str) -> NDArray[np.int64]:
        """The second numbers of a vector of pairs."""
        numbers = self._integers(self._vector(8, what))
        if len(numbers) % 2:
            raise self._damaged(f"{what} has {len(numbers)} items, pairs were expected")
        return numbers[1::2]

    def _take(self, count: int, what: str) -> bytes:
        begin = self._skip(count, what)
        return self._image[begin : begin + count].tobytes()

    def _skip(self, count: int, what: str) -> int:
        """Where the next bytes begin, of so many that must be there."""
        if not 0 <= count <= self.left:
            raise FormatError(f"{self._name} is truncated: {count} bytes of {what} were expected, {self.left} are left")
        self._place += count
        return self._place - count

    def _damaged(self, why: str) -> FormatError:
        return FormatError(f"{self._name} is damaged: {why}")

    def _other(self, kind: bytes) -> str:
        if kind in _OTHERS:
            return (
                f"{self._name} holds a {_OTHERS[kind]}, whose file FAISS alone reads: "
                "from_faiss(faiss.read_index_binary(path)) takes it from there"
            )
        if kind[:1] == b"I":
            return f"{self._name} begins with {kind!r}: an index of FAISS whose codes are not binary, or a later one"
        return f"{self._name} is not an index of FAISS (its first bytes are {kind!r})"
