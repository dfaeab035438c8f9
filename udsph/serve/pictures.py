"""Pictures of visitors, which are decoded with care, and pictures of items, which are sent small."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from udsph.data.pixels import DamagedImage, as_rgb, pixels_of
from udsph.errors import InputError, MissingExtra
from udsph.serve.catalog import Item

_Value = TypeVar("_Value")
Pixels = NDArray[np.uint8]
Size = tuple[int, int]  # height and width

UPLOADED = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # forms that are decoded for anybody who sends them
SIDES = {"small": 320, "large": 1024}  # pixels, at most, of what is sent
_PLAIN = 160  # up to this side a picture is sent without loss


class Pictures(Protocol):
    """Where the pictures of items come from. What is asked of an item that has none is a LookupError."""

    def mark(self, item: Item) -> Hashable:
        """What differs when the picture of an item was changed."""

    def pixels(self, item: Item, size: Size) -> Pixels:
        """The picture as a model reads it, uint8 ``(height, width, 3)``."""

    def small(self, item: Item, side: int) -> Any:
        """The picture as one of Pillow, RGB, at most so large."""


class Folder:
    """Picture files in a folder; nothing outside it is reachable, by ``..``, an absolute name or a symbolic link.

    Parameters
    ----------
    root
        The folder.
    pixels
        How many a picture may have.

    Raises
    ------
    InputError
        It is no folder.
    """

    def __init__(self, root: Path, pixels: int) -> None:
        if not root.is_dir():
            raise InputError(f"images={root}: expected a folder")
        self._root, self._most = Path(os.path.realpath(root)), pixels

    def mark(self, item: Item) -> Hashable:
        try:
            found = os.stat(self._inside(item))
        except OSError:
            raise LookupError(item.name) from None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def pixels(self, item: Item, size: Size) -> Pixels:
        return self._with(item, lambda image: pixels_of(image, size, "the picture"), 2 * max(size))

    def small(self, item: Item, side: int) -> Any:
        def shrunk(image: Any) -> Any:
            found = as_rgb(image, "the picture")
            found.thumbnail((side, side))
            return found

        return self._with(item, shrunk, 2 * side)

    def _with(self, item: Item, use: Callable[[Any], _Value], least: int) -> _Value:
        try:
            # Not a pipe, nor a link that took the file's place a moment ago.
            number = os.open(self._inside(item), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | _WITHOUT_WAITING)
        except OSError:
            raise LookupError(item.name) from None
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise LookupError(item.name)
        with os.fdopen(number, "rb") as file:
            try:
                return _decoded(file, None, self._most, least, use)
            except InputError:
                raise LookupError(item.name) from None

    def _inside(self, item: Item) -> Path:
        """The file of an item, with links resolved; LookupError if it is elsewhere."""
        try:
            place = Path(os.path.realpath(self._root / item.file))
        except (OSError, ValueError):
            raise LookupError(item.name) from None
        if place == self._root or not place.is_relative_to(self._root):
            raise LookupError(item.name)
        return place


_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def uploaded(data: bytes, pixels: int, size: Size) -> Pixels:
    """The picture that somebody sent as a model reads it, uint8 ``(height, width, 3)``.

    Parameters
    ----------
    data
        A file of one of the forms ``UPLOADED``.
    pixels
        How many it may have; more are refused before anything is decoded.
    size
        Height and width of the result.

    Raises
    ------
    InputError
        It is no whole picture, of another form, or too large.
    """
    if not data:
        raise InputError("the picture is empty: send a file, as the body or as the field of a form")
    return _decoded(
        io.BytesIO(data), UPLOADED, pixels, 2 * max(size), lambda image: pixels_of(image, size, "the picture")
    )


def _decoded(file: Any, forms: tuple[str, ...] | None, pixels: int, least: int, use: Callable[[Any], _Value]) -> _Value:
    """What ``use`` makes of a picture that was looked at before it is decoded.

    A large JPEG is decoded at a fraction of its size, not below ``least``, as where it is read from its file.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("reading images", "train") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=forms)
    except Image.DecompressionBombError:
        raise InputError(f"the picture has more than {pixels:,} pixels; send a smaller one") from None
    except Exception:  # the plug-ins answer damage with anything
        known = ", ".join(forms or ())
        raise InputError(f"this is no picture that can be read; send {known or 'another'}") from None
    with image:
        if image.width * image.height > pixels:
            size = f"{image.width:,} x {image.height:,}"
            raise InputError(f"the picture has {size} pixels, more than {pixels:,}; send a smaller one")
        try:
            image.draft("RGB", (least, least))
        except Exception:
            raise InputError("the picture is no whole image; send another") from None
        try:
            return use(image)
        except DamagedImage as error:
            raise InputError(str(error)) from None


class Sent:
    """Pictures of items as files to send, the last ones kept in memory.

    Parameters
    ----------
    pictures
        Where they come from.
    most
        Bytes that are kept.
    """

    def __init__(self, pictures: Pictures, most: int) -> None:
        self._pictures, self._most = pictures, most
        self._kept: OrderedDict[Hashable, tuple[str, bytes]] = OrderedDict()
        self._bytes, self._lock = 0, Lock()

    def mark(self, item: Item) -> Hashable:
        """As of the pictures."""
        return self._pictures.mark(item)

    def file(self, item: Item, size: str) -> tuple[str, bytes]:
        """Media type and bytes of a picture; LookupError where it cannot be had."""
        key = (item.id, item.file, self._pictures.mark(item), size)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = _file_of(self._pictures.small(item, SIDES[size]))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += len(made[1])
            while self._bytes > self._most:
                self._bytes -= len(self._kept.popitem(last=False)[1][1])
        return made


def _file_of(image: Any) -> tuple[str, bytes]:
    """Media type and bytes of a picture: without loss where it is small."""
    stream = io.BytesIO()
    if max(image.size) <= _PLAIN:
        image.save(stream, "PNG", optimize=True)
        return "image/png", stream.getvalue()
    image.save(stream, "JPEG", quality=85)
    return "image/jpeg", stream.getvalue()
