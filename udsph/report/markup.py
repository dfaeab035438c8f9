"""HTML from Python: whatever is not markup already is text, and is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from udsph.report.texts import one_line

VOID = ("img", "meta", "link", "br", "col")


class Html(str):
    """Text that is HTML."""

    __slots__ = ()


def h(tag: str, *children: object, **attributes: object) -> Html:
    """An element. A name of an attribute that Python keeps for itself ends with ``_``; a ``_`` within is a ``-``.

    True is an attribute without a value; None and False leave it out. Children that are no ``Html`` are text; None is
    nothing, and lists are taken apart.
    """
    given = []
    for name, value in attributes.items():
        name = name.rstrip("_").replace("_", "-")
        if value is True:
            given.append(f" {name}")
        elif value is not None and value is not False:
            given.append(f' {name}="{escape(one_line(value))}"')
    start = f"<{tag}{''.join(given)}>"
    return Html(start if tag in VOID else f"{start}{join(*children)}</{tag}>")


def join(*children: object) -> Html:
    """Children one behind the other."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str | int | float):
            parts.append(escape(one_line(child), quote=False))
        elif isinstance(child, Iterable):
            parts.append(join(*child))
    return Html("".join(parts))
