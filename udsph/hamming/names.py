"""What codes are called by: integers or strings, in columns, and the 64-bit keys by which they are looked up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from udsph.errors import InputError
from udsph.hamming.arrays import as_array


class FormatError(ValueError):
    """A file is damaged, truncated, or not an index; the message says what is wrong."""


MAX_ID = np.iinfo(np.int64).max

Keys = NDArray[np.int64]
Places = NDArray[np.int64]

_FEW = 16  # ids that are looked at one by one
_BYTES_PER_STEP = 1 << 22  # of strings that are gathered at a time


class Integers:
    """Integer ids. Each is its own key."""

    kind: ClassVar[str] = "integers"
    dtype: ClassVar[Any] = np.int64
    missing: ClassVar[Any] = -1
    __slots__ = ("values",)

    def __init__(self, values: NDArray[np.int64]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes of the ids."""
        return self.values.nbytes

    def keys(self) -> Keys:
        """One key per id."""
        return self.values

    def take(self, places: Places) -> NDArray[Any]:
        """Ids at places."""
        return self.values[places]

    def ordered(self) -> None:
        """Somebody keeps the keys in order: the ids are theirs all the same."""

    def tolist(self) -> list[Any]:
        """All ids, as Python has them."""
        return self.values.tolist()

    def array(self) -> NDArray[Any]:
        """All ids, in an array of its own."""
        return self.values.copy()

    def subset(self, places: Places) -> Integers:
        """A column of the ids at places."""
        return Integers(self.values[places])

    def between(self, begin: int, end: int) -> Integers:
        """A column of the ids from one place to another, in the memory of this one."""
        return Integers(self.values[begin:end])

    def column(self) -> Integers:
        """The ids in memory of their own."""
        return Integers(self.values.copy())

    def same(self, places: Places, wanted: Any, which: Places) -> NDArray[np.bool_] | None:
        """Whether ids at places are those of ``wanted`` with the same keys; None: all."""
        return None

    @staticmethod
    def joined(columns: Sequence[Any]) -> Integers:
        """One column of several."""
        return Integers(np.concatenate([column.values for column in columns]))


class Strings:
    """String ids as Arrow keeps them: UTF-8, one after the other, and where each begins.

    The key of a string is Python's hash of it, which is cached in the string and differs from process to process, so
    that nobody can choose ids that collide. Those that do are told apart by ``same``.
    """

    kind: ClassVar[str] = "strings"
    dtype: ClassVar[Any] = object
    missing: ClassVar[Any] = None
    __slots__ = ("_keys", "data", "offsets")

    def __init__(self, offsets: NDArray[np.int64], data: NDArray[np.uint8], keys: Keys | None = None) -> None:
        self.offsets = offsets  # (n + 1,): string i is data[offsets[i] : offsets[i + 1]]
        self.data = data
        self._keys = keys

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the strings, their offsets and keys."""
        return self.offsets.nbytes + self.data.nbytes + (0 if self._keys is None else self._keys.nbytes)

    def keys(self) -> Keys:
        """One key per string. They are kept until an order of them is, which is all that is asked for later."""
        keys = self._keys
        return np.fromiter(map(hash, self.tolist()), np.int64, len(self)) if keys is None else keys

    def ordered(self) -> None:
        """Somebody keeps the keys in order."""
        self._keys = None

    def take(self, places: Places) -> NDArray[Any]:
        """Strings at places, an array of objects."""
        out = np.empty(places.shape, object)
        out.reshape(-1)[:] = self._texts(places.reshape(-1))
        return out

    def tolist(self) -> list[str]:
        """All strings."""
        if len(self) and (int(self.offsets[0]) < 0 or bool((self.offsets[1:] < self.offsets[:-1]).any())):
            raise _damaged()
        text = self.data.tobytes()
        offsets = self.offsets.tolist()
        if text.isascii():
            ascii_text = text.decode("ascii")
            return [ascii_text[begin:end] for begin, end in itertools.pairwise(offsets)]
        return [text[begin:end].decode() for begin, end in itertools.pairwise(offsets)]

    def array(self) -> NDArray[Any]:
        """All strings, an array of objects."""
        out = np.empty(len(self), object)
        out[:] = self.tolist()
        return out

    def subset(self, places: Places) -> Strings:
        """A column of the strings at places."""
        lengths = self.offsets[places + 1] - self.offsets[places]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        if len(places):  # of a mapped file, perhaps a damaged one, which is not to make this take any memory and time
            least, most = int(self.offsets[places].min()), int(self.offsets[places + 1].max())
            too_long = int(offsets[-1]) > len(self.data) and bool((places[1:] > places[:-1]).all())
            if least < 0 or most > len(self.data) or int(lengths.min()) < 0 or too_long:
                raise _damaged()
        data = np.empty(offsets[-1], np.uint8)
        begin = 0
        while begin < len(places):
            end = max(begin + 1, int(np.searchsorted(offsets, offsets[begin] + _BYTES_PER_STEP)) - 1)
            moves = np.repeat(self.offsets[places[begin:end]] - offsets[begin:end], lengths[begin:end])
            here = np.arange(offsets[begin], offsets[end])
            data[here] = self.data[here + moves]
            begin = end
        return Strings(offsets, data)

    def between(self, begin: int, end: int) -> Strings:
        """A column of the strings from one place to another, in the memory of this one."""
        offsets = self.offsets[begin : end + 1]
        if offsets[0] < 0 or offsets[-1] > len(self.data) or bool((offsets[1:] < offsets[:-1]).any()):
            raise _damaged()
        return Strings(offsets - offsets[0], self.data[offsets[0] : offsets[-1]])

    def text(self, place: int) -> str:
        """The string at a place."""
        begin, end = int(self.offsets[place]), int(self.offsets[place + 1])
        if not 0 <= begin <= end <= len(self.data):
            raise _damaged()
        return self.data[begin:end].tobytes().decode()

    def column(self) -> Strings:
        """The strings, which nobody else writes to."""
        return self

    def same(self, places: Places, wanted: Texts, which: Places) -> NDArray[np.bool_]:
        """Whether the strings at places are those of ``wanted`` at ``which``."""
        values = wanted.values
        texts = self._texts(places)
        return np.fromiter(
            (text == values[i] for text, i in zip(texts, which.tolist(), strict=True)), np.bool_, len(texts)
        )

    @staticmethod
    def joined(columns: Sequence[Any]) -> Strings:
        """One column of several."""
        ends = np.cumsum([0, *(len(column.data) for column in columns)])
        offsets = [column.offsets[1:] + end for column, end in zip(columns, ends, strict=False)]
        data = np.concatenate([column.data for column in columns])
        return Strings(np.concatenate([np.zeros(1, np.int64), *offsets]), data)

    def _texts(self, places: Places) -> list[str]:
        data, size, texts = self.data, len(self.data), []
        for begin, end in zip(self.offsets[places].tolist(), self.offsets[places + 1].tolist(), strict=True):
            if not 0 <= begin <= end <= size:
                raise _damaged()
            texts.append(data[begin:end].tobytes().decode())
        return texts


def _damaged() -> FormatError:
    return FormatError("the file of these ids is damaged: strings do not lie one behind the other (verify() names it)")


class Texts:
    """A caller's strings: what is looked up or added."""

    kind: ClassVar[str] = "strings"
    __slots__ = ("_keys", "values")

    def __init__(self, values: list[str]) -> None:
        self.values = values
        self._keys: Keys | None = None

    def __len__(self) -> int:
        return len(self.values)

    def keys(self) -> Keys:
        """One key per string."""
        if self._keys is None:
            self._keys = np.fromiter(map(hash, self.values), np.int64, len(self.values))
        return self._keys

    def tolist(self) -> list[str]:
        """The strings."""
        return self.values

    def column(self) -> Strings:
        """The strings in the form in which they are kept."""
        joined = "".join(self.values)
        if joined.isascii():
            data, lengths = joined.encode("ascii"), map(len, self.values)
        else:
            rows = [value.encode() for value in self.values]
            data, lengths = b"".join(rows), map(len, rows)
        offsets = np.zeros(len(self.values) + 1, np.int64)
        np.cumsum(np.fromiter(lengths, np.int64, len(self.values)), out=offsets[1:])
        return Strings(offsets, np.frombuffer(data, np.uint8), self.keys())


Column = Integers | Strings
Wanted = Integers | Texts


def check_ids(ids: Any, name: str = "ids") -> Wanted:
    """Return a caller's ids: integers of 0 or more, or strings, in one dimension.

    Raises
    ------
    TypeError, ValueError
        Something else, both kinds at once, or strings that UTF-8 has no form for.
    """
    if isinstance(ids, (list, tuple)):
        texts = sum(isinstance(value, str) for value in ids)
        if texts:
            if texts < len(ids):
                other = next(type(value).__name__ for value in ids if not isinstance(value, str))
                raise TypeError(f"{name} holds {other} and str; give ids of one kind")
            return _checked_texts(list(ids), name)
        if len(ids) <= _FEW and all(type(value) is int and 0 <= value <= MAX_ID for value in ids):
            return Integers(np.array(ids, np.int64))
    array = as_array(ids, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    if array.size == 0:
        return Integers(np.empty(0, np.int64))  # an empty list is an array of floats
    if array.dtype.kind in "UTO":
        values = array.tolist()
        kinds = {type(value) for value in values}
        if all(issubclass(kind, str) for kind in kinds):
            return _checked_texts(values, name)
        if not all(issubclass(kind, (int, np.integer)) and kind is not bool for kind in kinds):
            names = " and ".join(sorted(kind.__name__ for kind in kinds))
            mask = ", or a mask that says True or False of each code" if bool in kinds else ""
            raise TypeError(
                f"{name} holds {names}; give ids of one kind{mask}"
                if len(kinds) > 1
                else f"{name} must be integers or strings, it holds {names}"
            )
        least, most = min(values), max(values)
    elif array.dtype.kind in "iu":
        least, most = array.min(), array.max()
    else:
        raise TypeError(f"{name} must be integers or strings, got dtype {array.dtype}")
    if most > MAX_ID or least < 0:
        raise ValueError(f"{name} must be from 0 to 2**63 - 1, got {least} to {most}")
    return Integers(np.ascontiguousarray(array, np.int64))


def _checked_texts(values: list[Any], name: str) -> Texts:
    texts = [value if type(value) is str else str(value) for value in values]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        wrong = next(i for i, text in enumerate(texts) if any(0xD800 <= ord(c) < 0xE000 for c in text))
        raise InputError(f"{name} must be text that UTF-8 can hold, item {wrong} is {texts[wrong]!a:.80}") from None
    return Texts(texts)
