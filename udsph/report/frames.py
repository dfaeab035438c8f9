"""What pictures of items are made of: frames that say what an item is, captions in lines, fonts with all signs."""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from typing import Any
from unicodedata import east_asian_width

from udsph.plotting import BLUE, INK, ORANGE, TEAL
from udsph.report.texts import one_line

LONGEST = 1000  # characters of a caption that are looked at; some 160 are shown
BOXES = "Last Resort"  # comes with matplotlib 3.11 and has a box for every character there is
QUERY, RIGHT, WRONG, OPEN = INK, TEAL, ORANGE, BLUE


def frame(axis: Any, title: str, colour: str) -> None:
    """A frame with a line above it, in place of what surrounds a plot."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(one_line(title), fontsize=8, color=colour, loc="center", fontweight="normal", pad=4)
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=2, visible=True)


def fonts_for(characters: str) -> list[str]:
    """The default font, and one that has most of the characters that it lacks, such as Chinese ones."""
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    default = FontProperties()
    has = get_font(fontManager.findfont(default)).get_char_index
    lacking = {sign for sign in characters if not sign.isspace() and not has(ord(sign))}
    if not lacking:
        return default.get_family()
    counts = {}
    for entry in fontManager.ttflist:
        if entry.name.startswith(BOXES):
            continue
        with contextlib.suppress(OSError, RuntimeError):  # a file that is gone or damaged since fonts were listed
            has = get_font(entry.fname).get_char_index
            counts[entry.name] = sum(has(ord(sign)) > 0 for sign in lacking)
    best = max(counts, key=lambda name: counts[name])  # the default font is one of them
    if counts[best] < len(lacking):
        warnings.warn(
            f"no font that is installed has all characters of the captions, {min(lacking)!r} for one; "
            f"boxes stand in their place",
            stacklevel=3,
        )
    return [*default.get_family(), best] if counts[best] else default.get_family()


def in_lines(caption: str) -> str:
    """The beginning of a caption, in lines that fit the frame; Chinese characters are twice as wide as letters."""
    caption = one_line(caption[:LONGEST])
    start = caption[:100]
    wide = 2 * sum(east_asian_width(sign) in "WF" for sign in start) > len(start)
    return textwrap.fill(caption, 10 if wide else 20, max_lines=8, placeholder=" ...", break_long_words=True)
