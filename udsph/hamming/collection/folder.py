"""The names in a collection's folder, and which of its files nobody needs."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

LOCK = "lock"

_GENERATION = re.compile(r"(\d{12})\.manifest")
_SEGMENT = re.compile(r"[0-9a-f]{16}\.segment")
_UNFINISHED = re.compile(r"\.(\d{12}|[0-9a-f]{16})\.[0-9a-f]{16}\.part\.(manifest|segment)")  # see files.beside


def manifest_name(generation: int) -> str:
    """The file of a generation."""
    return f"{generation:012d}.manifest"


def new_segment_name() -> str:
    """A name that no file had before or will have: a file under a name never changes."""
    return f"{secrets.token_hex(8)}.segment"


def is_segment(name: str) -> bool:
    """Whether a file of codes may be called so."""
    return _SEGMENT.fullmatch(name) is not None


def generations(folder: Path) -> list[int]:
    """Generations that have a manifest, ascending.

    Raises
    ------
    OSError
        The folder is missing or may not be read.
    """
    found = (_GENERATION.fullmatch(name) for name in os.listdir(folder))
    return sorted(int(match[1]) for match in found if match)


def is_vacant(folder: Path) -> bool:
    """Whether nothing is there but what a collection leaves that was never finished."""
    return all(name == LOCK or is_segment(name) or _UNFINISHED.fullmatch(name) for name in os.listdir(folder))


def clean(folder: Path, needed: Iterable[str]) -> None:
    """Remove what is not needed of the files that collections make; of others none.

    A file that cannot be removed stays for the next time: on Windows one that somebody has mapped.
    """
    keep = set(needed)
    for name in os.listdir(folder):
        ours = _GENERATION.fullmatch(name) or is_segment(name) or _UNFINISHED.fullmatch(name)
        if ours and name not in keep:
            with contextlib.suppress(OSError):
                os.unlink(folder / name)
