"""What a server knows and answers, without HTTP: a trained model, the newest view of an index, pictures of its items.

Every method may be called from any threads at once. Each takes one view at its beginning and stays with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.encoding import Hasher
from udsph.encoding.attended import Attended
from udsph.encoding.items import as_modality, picture_size
from udsph.errors import InputError
from udsph.hamming import Bitmap
from udsph.serve.catalog import Item
from udsph.serve.follow import Follower, View
from udsph.serve.limits import Limits
from udsph.serve.pictures import Pictures, Sent, uploaded
from udsph.serve.refusal import Refused

MISSING = 2**31 - 1  # the distance where there is no neighbour
CLASSES = 8  # the surest ones, whose attention is told
SPREAD = 200  # items that stand for all
_MASKS = 64  # filters that are kept for a view


@dataclass(frozen=True)
class Wanted:
    """Which results a query asks for: at most ``k``, within ``radius`` where it is given, that have all ``labels``."""

    k: int = 10
    radius: int | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a query found.

    Attributes
    ----------
    code
        uint8, the query's code, little bit order.
    items, distances
        Nearest first, then in insertion order.
    generation, codes, allowed
        Of the index that was searched; its codes; how many of them the filter left.
    seconds
        By what was done: ``encode``, ``search``.
    remarks
        What the model did not read of the query.
    """

    code: NDArray[np.uint8]
    items: list[Item]
    distances: list[int]
    generation: int
    codes: int
    allowed: int
    seconds: dict[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class State:
    """A trained model and the index of its codes.

    Parameters
    ----------
    hasher
        The model.
    follower
        The index, as it is now.
    pictures
        Of the items; None: there are none to show.
    limits
        What a request may take.

    Raises
    ------
    InputError
        The codes of the index are of another width than the model's.
    """

    def __init__(
        self, hasher: Hasher, follower: Follower, pictures: Pictures | None = None, limits: Limits | None = None
    ) -> None:
        if follower.view.index.bits != hasher.bits:
            bits = follower.view.index.bits
            raise InputError(f"the index has codes of {bits} bits, the model makes codes of {hasher.bits}")
        self.hasher, self.follower, self.limits = hasher, follower, limits or Limits()
        self.pictures = pictures
        self.sent = None if pictures is None else Sent(pictures, self.limits.kept)
        self._masks: tuple[View | None, dict[tuple[str, ...], Bitmap]] = (None, {})
        self._spread: tuple[View | None, list[Any]] = (None, [])

    @property
    def view(self) -> View:
        """The newest view."""
        return self.follower.view

    # -- searches -------------------------------------------------------------------------------------------------

    def search_text(self, text: str, wanted: Wanted) -> Found:
        """Items whose codes are near that of a text."""
        self._check_text(text)
        return self._encoded_and_searched("text", text, wanted)

    def search_image(self, data: bytes, wanted: Wanted) -> Found:
        """Items whose codes are near that of a picture, given as the bytes of its file."""
        return self._encoded_and_searched("image", self._picture(data), wanted)

    def search_code(self, code: str, wanted: Wanted) -> Found:
        """Items whose codes are near a packed code in hexadecimal, little bit order."""
        width = -(-self.hasher.bits // 8)
        try:
            row = np.frombuffer(bytes.fromhex(code), np.uint8)
        except ValueError:
            raise InputError("code: expected hexadecimal digits, two a byte") from None
        if len(row) != width:
            raise InputError(f"code: expected {width} bytes ({self.hasher.bits} bits), got {len(row)}")
        if self.hasher.bits % 8 and row[-1] >> self.hasher.bits % 8:
            raise InputError(f"code: bits beyond the {self.hasher.bits} of a code are set")
        return self._searched(self.view, row, wanted, {}, ())

    def search_item(self, id: str, wanted: Wanted) -> Found:
        """Items whose codes are near that of an item."""
        view = self.view
        return self._searched(view, code_of(view, identity(view, id)), wanted, {}, ())

    def _encoded_and_searched(self, name: str, item: Any, wanted: Wanted) -> Found:
        began = time.perf_counter()
        modality, said = as_modality([item], name, self.hasher.model.spec(name), self.hasher.inputs)
        code = self.hasher.codes_of(name, modality)[0]
        seconds = {"encode": time.perf_counter() - began}
        remarks = []
        if said:
            known = modality.values.any() if modality.lengths is None else modality.lengths[0] > 0
            first = f"only the first {self.hasher.inputs.most_words} known words are read"
            remarks = [first if known else "the model knows none of these words"]
        return self._searched(self.view, code, wanted, seconds, remarks)

    def _searched(
        self, view: View, code: NDArray[np.uint8], wanted: Wanted, seconds: dict[str, float], remarks: Sequence[str]
    ) -> Found:
        if not 1 <= wanted.k <= self.limits.k:
            raise InputError(f"k={wanted.k}: expected 1 to {self.limits.k}")
        bits = view.index.bits
        if wanted.radius is not None and not 0 <= wanted.radius <= bits:
            raise InputError(f"radius={wanted.radius}: expected 0 to {bits}")
        began = time.perf_counter()
        where = self._mask(view, wanted.labels)
        distances, ids = view.index.search(in_order(view, code), wanted.k, where=where)
        most = bits if wanted.radius is None else wanted.radius
        kept = int(np.searchsorted(distances, most, side="right"))
        seconds["search"] = time.perf_counter() - began
        items = [view.catalog.item(id) for id in ids[:kept].tolist()]
        codes = len(view.index)
        allowed = codes if where is None else int(np.unpackbits(where.data).sum())
        return Found(code, items, distances[:kept].tolist(), view.generation, codes, allowed, seconds, tuple(remarks))

    def _mask(self, view: View, labels: tuple[str, ...]) -> Bitmap | None:
        if not labels:
            return None
        labels = tuple(sorted(set(labels)))
        of, masks = self._masks
        if of is not view:
            masks = {}
            self._masks = (view, masks)
        if labels not in masks:
            while len(masks) >= _MASKS:
                masks.pop(next(iter(masks)), None)
            masks[labels] = Bitmap.from_mask(view.facets.mask(labels))
        return masks[labels]

    # -- items ----------------------------------------------------------------------------------------------------

    def item(self, id: str) -> tuple[Item, NDArray[np.uint8]]:
        """What is known of an item, and its code."""
        view = self.view
        known = identity(view, id)
        return view.catalog.item(known), code_of(view, known)

    def sample(self, count: int) -> list[Item]:
        """At most so many items, spread evenly over the index; of more than ``SPREAD`` the first."""
        view = self.view
        of, spread = self._spread
        if of is not view:
            ids = view.index.ids
            spread = ids[np.unique(np.linspace(0, max(0, len(ids) - 1), SPREAD).astype(np.int64))[: len(ids)]].tolist()
            self._spread = (view, spread)
        step = max(1, len(spread) // count)
        return [view.catalog.item(id) for id in spread[::step][:count]]

    def picture(self, id: str, size: str) -> tuple[str, bytes]:
        """Media type and bytes of the picture of an item."""
        view = self.view
        item = view.catalog.item(identity(view, id))
        try:
            if self.sent is not None:
                return self.sent.file(item, size)
        except LookupError:
            pass
        raise Refused(404, "there is no picture of this item")

    # -- attention ------------------------------------------------------------------------------------------------

    def attends(self, name: str) -> bool:
        """Whether classes look at local parts in ``image`` or ``text``; without labels there are none."""
        return bool(self.hasher.classes) and getattr(self.hasher.model.pair, name).attention is not None

    def attended_text(self, text: str) -> Attended:
        """Where the classes looked in a text."""
        self._check_text(text)
        return self._attended("text", text)

    def attended_image(self, data: bytes) -> Attended:
        """Where the classes looked in a picture, given as the bytes of its file."""
        return self._attended("image", self._picture(data))

    def attended_item(self, id: str) -> Attended:
        """Where the classes looked in the picture or the caption of an item, whichever its code was made of."""
        view = self.view
        item = view.catalog.item(identity(view, id))
        if view.catalog.modality == "text":
            if not item.caption:
                raise Refused(404, "there is no text of this item")
            return self._attended("text", item.caption)
        try:
            if self.pictures is not None:
                return self._attended("image", self.pictures.pixels(item, self._size()))
        except LookupError:
            pass
        raise Refused(404, "there is no picture of this item")

    def _attended(self, name: str, item: Any) -> Attended:
        if not self.attends(name):
            raise InputError(f"the model does not attend to parts of {name}s")
        return self.hasher.attended(name, [item])

    # -- input ----------------------------------------------------------------------------------------------------

    def _check_text(self, text: str) -> None:
        if not text.strip():
            raise InputError("q: expected a text, it is empty")
        if len(text) > self.limits.text:
            raise InputError(f"q: expected at most {self.limits.text:,} characters, got {len(text):,}")

    def _picture(self, data: bytes) -> Any:
        if not self.hasher.inputs.take("image", self.hasher.model.spec("image").kind):
            raise InputError("the model was trained on features of images: it cannot read pictures")
        return uploaded(data, self.limits.pixels, self._size())

    def _size(self) -> tuple[int, int]:
        """Height and width of the pictures that the model, or its extractor, reads."""
        return picture_size(self.hasher.model.spec("image"), self.hasher.inputs)


def identity(view: View, id: str) -> int | str:
    """The id that an index has, from its text; a refusal where it has none of this name."""
    known: int | str | None = id if id in view.index else None
    if known is None and id.isascii() and id.isdecimal() and len(id) < 20 and int(id) in view.index:
        known = int(id)
    if known is None:
        raise Refused(404, "there is no item of this id")
    return known


def code_of(view: View, id: int | str) -> NDArray[np.uint8]:
    """The code of an item, little bit order; the first where it has several."""
    return in_order(view, view.index.reconstruct([id])[0])


def in_order(view: View, code: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A packed code in the bit order of the index from the little one, or back."""
    if view.index.bitorder == "little":
        return code
    return np.packbits(np.unpackbits(code, bitorder="little"))
