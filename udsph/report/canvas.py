"""What every picture of this room begins with: matplotlib, asked for by name, and text that is nothing but text."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from udsph import files
from udsph.errors import MissingExtra


def figure_class() -> Any:
    """matplotlib's ``Figure``, which needs no window and touches no figure of the user's.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtra("a picture", "report") from None
    return Figure


@contextmanager
def plain_text() -> Iterator[None]:
    """In here no ``$`` of a user's text begins mathematics, whatever the user's matplotlibrc says."""
    figure_class()
    from matplotlib import rc_context

    with rc_context({"text.parse_math": False, "text.usetex": False}):
        yield


def write_png(figure: Any, path: Path, *, dpi: int) -> None:
    """Write a figure, whole or not at all. That a font lacks a sign has been said once, by ``fonts_for``."""
    with warnings.catch_warnings(), files.beside(path) as temporary:
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(temporary, format="png", dpi=dpi)
