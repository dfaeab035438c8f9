"""Values of users as a message quotes them."""

from __future__ import annotations

MOST_SHOWN = 200  # characters


def shown(value: object) -> str:
    """A value as a message quotes it: on one line, and of bounded length however long it is."""
    text = value if isinstance(value, str) else repr(value)
    start = text[:MOST_SHOWN] if len(text) > MOST_SHOWN else text
    if not start.isprintable():
        start = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in start)
    return start if len(text) <= MOST_SHOWN >= len(start) else f"{start[:MOST_SHOWN]}... ({len(text):,} characters)"


def reason_of(error: BaseException) -> str:
    """What an error of another library says, as a message quotes it: its first line; else its kind."""
    return shown(str(error).strip().partition("\n")[0].strip() or type(error).__name__)
