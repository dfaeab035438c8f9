"""A user's text, such as a caption or the name of a method, in a table or a picture: shown, never interpreted."""

from __future__ import annotations

import re
import unicodedata

_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "`": r"\textasciigrave{}", "[": "{[}", "*": "{*}",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}  # fmt: skip
# What has a meaning anywhere in a line of Markdown; within a word an underscore has none.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_MOVES_THE_PEN = ("Cc", "Zl", "Zp")


def one_line(text: object) -> str:
    """A text without what moves the pen: control characters and line ends are spaces, a lone surrogate is U+FFFD."""
    signs = []
    for sign in str(text):
        kind = unicodedata.category(sign)
        signs.append("\ufffd" if kind == "Cs" else " " if kind in _MOVES_THE_PEN else sign)
    return "".join(signs)


def markdown(text: object) -> str:
    """For a line or a cell of Markdown."""
    return _MARKDOWN.sub(r"\\\g<0>", one_line(text))


def latex(text: object) -> str:
    """For LaTeX, outside mathematics."""
    found = "".join(_LATEX.get(sign, sign) for sign in one_line(text))
    return re.sub(r"([-'])(?=\1)", r"\1{}", found)  # two of them are another sign


def spreadsheet(text: object) -> str:
    """For a cell of CSV: a spreadsheet takes what begins like a formula for one, but not after an apostrophe."""
    found = one_line(text)
    return f"'{found}" if found[:1] in ("=", "+", "-", "@") else found
