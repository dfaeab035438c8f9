"""One picture as pixels of a given size, from a file, an opened picture or an array, in the same way at every door.

What is decided here, once:

- The whole picture is stretched to the size asked for, averaging (Pillow's ``BILINEAR``).
- It stands upright: the orientation that a camera noted (EXIF) is applied, as by OpenCV and every viewer.
- Transparent places show a white ground, like paper.
- Grey of 16 bits is read by its high byte, as by OpenCV. Floating-point grey runs from 0 to 1. Whole numbers of 32
  bits, and floats beyond 0 to 1, have no range that can be known, and are refused by name.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from udsph.data.quotes import reason_of
from udsph.errors import InputError, MissingExtra

_ORIENTATION = 0x0112  # the EXIF tag
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


class DamagedImage(Exception):
    """A file that is no whole image, or of a form that is not read; the text names it and says why."""


def pixels_of(item: Any, size: int | tuple[int, int], what: str = "image") -> np.ndarray:
    """One picture as uint8 ``(height, width, 3)``, RGB, exactly as a dataset's loader makes it from a file.

    A large JPEG is decoded from its file at a fraction of its size, which the same picture opened before, or given as
    an array, is not: its pixels may then differ by a step or two.

    Parameters
    ----------
    item : path, bytes, PIL.Image.Image or array
        A file, or what is in one; an opened picture of any mode; or whole numbers 0 to 255 of shape ``(h, w, 3)`` in
        RGB order, ``(h, w, 4)`` with an alpha channel, ``(h, w)`` or ``(h, w, 1)`` grey.
    size : int or (height, width)
        Of the result; one number is the side of a square.
    what : str
        What an error calls the item.

    Raises
    ------
    DamagedImage
        If a file cannot be read or decoded to its end, or is of a form without a known range.
    InputError
        If an array is of another shape, or its values are not whole numbers 0 to 255.
    TypeError
        If the item is something else.
    """
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    if isinstance(item, str | os.PathLike):
        path = Path(item)
        with open_image(path.parent, path.name, os.fspath(item)) as image:
            return _stretched(as_rgb(image, os.fspath(item), least=2 * max(height, width)), height, width)
    if isinstance(item, bytes):
        image = _read(io.BytesIO(item), what)
        return _stretched(as_rgb(image, what, least=2 * max(height, width)), height, width)
    if hasattr(item, "convert") and hasattr(item, "getbands"):  # without importing Pillow for an array
        return _stretched(as_rgb(item, what), height, width)
    if isinstance(item, np.ndarray) or hasattr(item, "__array__"):
        array = checked_pixels(np.asarray(item), what)
        if array.shape == (height, width, 3):
            return array
        pillow = _pillow()
        return _stretched(as_rgb(pillow.fromarray(np.ascontiguousarray(array)), what), height, width)
    raise TypeError(f"{what} is {type(item).__name__}; expected a path, a PIL image, or an array of pixels")


def checked_pixels(array: np.ndarray, what: str) -> np.ndarray:
    """Whole numbers 0 to 255 of one picture, or an error; uint8 ``(h, w)`` or ``(h, w, 3 or 4)``."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        shape = " x ".join(map(str, array.shape)) or "a single value"
        raise InputError(f"{what} is {shape}; expected height x width x 3 (RGB), x 4 (with alpha), or height x width")
    return as_bytes(array, what)


def as_bytes(array: np.ndarray, what: str) -> np.ndarray:
    """Whole numbers 0 to 255 of any integer type as uint8; other values are refused, never cut off."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iu":
        mend = "; of 0 to 1: (255 * values).round().astype('uint8')" if array.dtype.kind == "f" else ""
        raise InputError(f"{what} has {array.dtype} values; pixels are whole numbers 0 to 255 (uint8){mend}")
    if array.size and (array.min() < 0 or array.max() > 255):
        mend = "; of 16 bits: values // 256" if 255 < array.max() < 65536 and array.min() >= 0 else ""
        raise InputError(f"{what} has values from {array.min()} to {array.max()}; pixels are 0 to 255{mend}")
    return array.astype(np.uint8)


def decode(root: Path, name: str, size: int) -> np.ndarray:
    """One file below ``root`` as uint8 ``(size, size, 3)``; see :func:`pixels_of`. An error gives ``name``."""
    with open_image(root, name) as image:
        return _stretched(as_rgb(image, name, least=2 * size), size, size)


@contextmanager
def open_image(root: Path, name: str, called: str = "") -> Iterator[Any]:
    """The file's header, read and understood; the pixels come with :func:`as_rgb`. An error calls it ``called``."""
    called = called or name
    with ExitStack() as stack:
        try:
            # Not by its name: Pillow would map some TIFF files, and mixes up the rows of those that a camera turned.
            file = stack.enter_context((root / name).open("rb"))
        except FileNotFoundError:
            raise DamagedImage(f"{called} does not exist") from None
        except Exception as error:
            raise DamagedImage(f"{called} is no whole image ({reason_of(error)})") from error
        yield _read(file, called)


def _read(file: BinaryIO, name: str) -> Any:
    """The header of a picture."""
    pillow = _pillow()
    try:
        return pillow.open(file)
    except Exception as error:  # Pillow's plug-ins answer damage with anything: SyntaxError, struct.error
        reason = reason_of(error).partition(" <_io.")[0]  # what follows is the file object
        raise DamagedImage(f"{name} is no whole image ({reason})") from error


def as_rgb(image: Any, name: str, least: int | None = None) -> Any:
    """An opened picture upright in RGB, 8 bits a colour; a JPEG at a fraction of its size, where ``least`` allows."""
    try:
        if least is not None:
            image.draft("RGB", (least, least))  # a JPEG is decoded at half, quarter or eighth size
        image.load()  # to the end of the file
        return _opaque(_of_eight_bits(_upright(image), image.format, name))
    except DamagedImage:
        raise
    except Exception as error:
        raise DamagedImage(f"{name} is no whole image ({reason_of(error)})") from error


def shrink(image: Any, box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """A box (left, top, right, bottom) of an RGB picture, averaged to uint8 ``(size, size, 3)``."""
    return np.asarray(image.resize((size, size), _pillow().Resampling.BILINEAR, box=box))


def _stretched(image: Any, height: int, width: int) -> np.ndarray:
    return np.asarray(image.resize((width, height), _pillow().Resampling.BILINEAR))


def _upright(image: Any) -> Any:
    """Turned and mirrored as the EXIF orientation of the file says."""
    transpose = _pillow().Transpose
    steps = {
        2: transpose.FLIP_LEFT_RIGHT, 3: transpose.ROTATE_180, 4: transpose.FLIP_TOP_BOTTOM, 5: transpose.TRANSPOSE,
        6: transpose.ROTATE_270, 7: transpose.TRANSVERSE, 8: transpose.ROTATE_90,
    }  # fmt: skip
    try:
        step = steps.get(image.getexif().get(_ORIENTATION))
    except Exception:  # a damaged note beside a whole picture
        return image
    return image if step is None else image.transpose(step)


def _of_eight_bits(image: Any, form: str | None, name: str) -> Any:
    """Pictures whose numbers are wider than a byte as bytes; the others as they are. ``form`` is that of the file."""
    # Older versions of Pillow give PNG of 16 bits, and all give PPM of 16 bits, as whole numbers of 32.
    sixteen = image.mode in _SIXTEEN_BITS or (image.mode == "I" and form in ("PNG", "PPM"))
    if sixteen:
        numbers = np.asarray(image)
        return _pillow().fromarray((numbers >> 8).astype(np.uint8))
    if image.mode == "I":
        raise DamagedImage(f"{name} holds whole numbers of 32 bits, of no known range; save it with 8 or 16 bits")
    if image.mode == "F":
        numbers = np.asarray(image)
        if not (numbers.min() >= 0 and numbers.max() <= 1):  # NaN fails too
            raise DamagedImage(f"{name} holds numbers from {numbers.min():g} to {numbers.max():g}, not from 0 to 1")
        return _pillow().fromarray(np.rint(numbers * 255).astype(np.uint8))
    return image


def _opaque(image: Any) -> Any:
    """RGB, with a white ground where the picture is transparent."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode not in _WITH_ALPHA and "transparency" not in image.info:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    ground = _pillow().new("RGBA", layered.size, (255, 255, 255, 255))
    return _pillow().alpha_composite(ground, layered).convert("RGB")


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("reading images", "train") from error
    return Image
