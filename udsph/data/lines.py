"""Text files, line by line, with one meaning at every door: lists of captions, of names, of numbers, and tables.

- A line ends with a newline, or a carriage return and a newline; a file without any newline but with carriage returns
  (older Mac programs) is parted by these. Nothing else parts lines: not the separators that Unicode has beside them
  (U+2028, U+0085, vertical tab, form feed and so on), which occur within captions.
- Line i is item i: empty lines count, at the beginning too.
- A byte-order mark says the encoding (UTF-8, UTF-16 as of PowerShell and Excel, UTF-32) whatever else was said, and is
  no part of the text.
- A line that is no text in its encoding is named, and does not move the others.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from udsph.data.quotes import shown
from udsph.errors import InputError

# Longer marks first: that of UTF-32 begins as that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_START_BYTES = 1 << 16  # in which the kind of the line ends is looked for
_UNDECODED = re.compile("[\udc80-\udcff\0]")  # what Python makes of bytes that are no text; and no text has a zero


class Line(NamedTuple):
    """One line of a text file.

    Attributes
    ----------
    number
        From 1.
    text
        Without blanks around it; empty where there is a fault.
    fault
        ``is empty``, or that it is not in the encoding of the file, as the end of a sentence; mostly empty.
    """

    number: int
    text: str
    fault: str


def read_each_line(path: Path, encoding: str = "utf-8") -> Iterator[Line]:
    """The lines of a text file one after the other, the faulty ones too, however large the file is.

    Raises
    ------
    InputError
        If the encoding is unknown, or one in which a wrong byte spoils all that follows (UTF-16) and has one.
    """
    for number, raw in enumerate(raw_lines(path, encoding), start=1):
        if is_undecoded(raw):
            yield Line(number, "", not_in(encoding))
        else:
            text = raw.strip()
            yield Line(number, text, "" if text else "is empty")


def raw_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines as they are, without their ends; wrong bytes as surrogates."""
    check_encoding(encoding)
    with io.BufferedReader(io.FileIO(path), _START_BYTES) as file:
        start = file.peek(_START_BYTES)  # and not read, since a pipe gives its bytes once
        codec = codec_of(start, encoding)
        seen = start.decode(codec, "ignore")
        end = "\r" if "\r" in seen and "\n" not in seen else "\n"
        try:
            for line in io.TextIOWrapper(file, encoding=codec, errors="surrogateescape", newline=end):
                yield line.removesuffix(end).removesuffix("\r")
        except UnicodeError:
            raise InputError(f"{path.name} {not_in(codec)}") from None


def codec_of(start: bytes, encoding: str) -> str:
    """The encoding that the file's first bytes say, or else the one given."""
    return next((codec for mark, codec in _MARKS if start.startswith(mark)), encoding)


def is_undecoded(text: str) -> bool:
    """Whether a raw line holds bytes that are no text."""
    return (not text.isascii() and bool(_UNDECODED.search(text))) or "\0" in text


def not_in(encoding: str) -> str:
    """The end of a sentence about something that is not in the encoding, and its mend."""
    return f"is not {encoding} (encoding=NAME for another)"


def check_encoding(encoding: str) -> None:
    """Refuse the name of an encoding that Python does not know, or that is none of text."""
    try:
        "".encode(encoding)
    except (LookupError, UnicodeError):
        raise InputError(f"encoding={encoding}: not known; for example utf-8, utf-16, gb18030, cp1252") from None


def decode_text(raw: bytes, encoding: str, name: str) -> tuple[str, str]:
    """A whole file as (text, fault), of which one is empty; the fault names the place."""
    try:
        return raw.decode(codec_of(raw, encoding)).strip(), ""
    except UnicodeDecodeError as error:
        return "", f"{name}, byte {error.start}"


def read_lines(path: Path, layout: str, encoding: str = "utf-8", *, least: int = 0) -> list[str]:
    """All lines of a list without which nothing can be loaded, stripped; empty ones stay, but for those at its end.

    Parameters
    ----------
    least
        How many lines are known to be items, the last of which may be empty.

    Raises
    ------
    InputError
        If the file is missing, or a line is not in the encoding.
    """
    if not path.is_file():
        raise InputError(f"{layout}: '{path.name}' is missing in '{path.parent}'")
    found = []
    for number, raw in enumerate(raw_lines(path, encoding), start=1):
        if is_undecoded(raw):
            raise InputError(f"{layout}: {path.name}, line {number}, {not_in(encoding)}")
        found.append(raw.strip())
    while len(found) > least and not found[-1]:
        found.pop()
    return found


def read_names(path: Path, layout: str, encoding: str = "utf-8", *, numbered: bool = False) -> tuple[str, ...]:
    """The names of a list, one a line, in which each stands once; empty lines are no names.

    Parameters
    ----------
    numbered
        Whether other files name them by their numbers: then an empty line before the last name is an error.

    Raises
    ------
    InputError
        As :func:`read_lines`, and if a name is repeated or there is none.
    """
    places: dict[str, int] = {}
    for number, line in enumerate(read_lines(path, layout, encoding), start=1):
        name = composed(line)
        if not name and numbered:
            raise InputError(f"{layout}: {path.name}, line {number}, is empty, so the numbers of the names are unclear")
        if name and places.setdefault(name, number) != number:
            raise InputError(f"{layout}: {path.name} names '{shown(name)}' in the lines {places[name]} and {number}")
    if not places:
        raise InputError(f"{layout}: {path.name} is empty")
    return tuple(places)


def composed(text: str) -> str:
    """The same text with letters and their accents in one sign each (NFC), so that equal names are equal."""
    import unicodedata

    return text if text.isascii() else unicodedata.normalize("NFC", text)
