"""One style for every figure of the project, and how a figure becomes a file or a part of a page.

Six hues that stay apart for every form of colour blindness, on a light and on a dark ground; labels beside lines rather
than legends; a title to the left, few lines around the data. A figure in SVG follows the reader's light or dark theme.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph import files
from udsph.errors import MissingExtra

# By name: on a light and on a dark ground. Each hue can be read as text (contrast 4.5 and more), and any two hues of
# a ground differ by 15 and more in CAM02-UCS, as most of us see them and as those with no red, green or blue cones do.
COLOURS = {
    "blue": ("#1a478c", "#8ab4ea"),
    "orange": ("#c44f0b", "#f4a02f"),
    "teal": ("#2a826e", "#9dfcc0"),
    "red": ("#7d1410", "#f4506e"),
    "violet": ("#9a45e8", "#b463f8"),
    "plum": ("#38122c", "#f9d9f8"),
    "ink": ("#1a1d21", "#e8eaed"),
    "muted": ("#5f6772", "#a0a8b3"),
    "rule": ("#e2e5e9", "#333a43"),
    "surface": ("#ffffff", "#14181d"),
}
BLUE, ORANGE, TEAL, RED, VIOLET, PLUM, INK, MUTED, RULE, SURFACE = (light for light, _ in COLOURS.values())
HUES = (BLUE, ORANGE, TEAL, RED, VIOLET, PLUM)
MARKERS = "osD^vPX"  # 7 and 6 hues: 42 lines differ

_SETTINGS: Any = {
    "text.parse_math": False,  # no "$" of a user's text begins mathematics, whatever the user's matplotlibrc says
    "text.usetex": False,
    "text.color": INK,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: a figure has the same layout everywhere
    "font.size": 9,
    "figure.facecolor": SURFACE,
    "figure.edgecolor": SURFACE,
    "figure.titlesize": 10,
    "savefig.facecolor": "auto",
    "savefig.edgecolor": "auto",
    "savefig.transparent": False,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlepad": 8,
    "axes.grid": True,
    "axes.grid.axis": "both",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "grid.linestyle": "-",
    "grid.alpha": 1,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "errorbar.capsize": 2,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.06,
}
_BETWEEN_LABELS = 1.25  # lines of text, from one label's middle to the next


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


@contextlib.contextmanager
def style() -> Iterator[None]:
    """In here figures are drawn in the style of the project, and no text of a user is interpreted.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    figure_class()
    from matplotlib import rc_context, rcdefaults

    with rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some defaults of matplotlib are deprecated by itself
            rcdefaults()
        with rc_context(_SETTINGS):
            yield


def figure(width: float, height: float) -> Any:
    """A figure of so many inches whose parts find their places by themselves; to be called within ``style``."""
    return figure_class()(figsize=(width, height), layout="constrained")


def plain_numbers(axis: Any) -> None:
    """Ticks of a logarithmic axis as plain numbers: those of matplotlib are mathematics."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1000 else f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def label_ends(axes: Any, labels: Sequence[tuple[str, float, float, str]], size: float = 8.5) -> list[Any]:
    """Write each line's name beside its end, with those that would meet moved apart.

    Parameters
    ----------
    axes
        Whose lines and scales are set already.
    labels
        Text, x and y of the end in data, colour.
    size
        Of the text in points.

    Returns
    -------
    list of matplotlib annotations
    """
    texts = [
        axes.annotate(
            text, (x, y), xytext=(7, 0), textcoords="offset points", va="center", ha="left", fontsize=size,
            color=colour, annotation_clip=False,
        )
        for text, x, y, colour in labels
    ]  # fmt: skip
    if len(texts) < 2:
        return texts
    axes.figure.draw_without_rendering()  # now the places in pixels are known
    points = 72 / axes.figure.dpi
    ends = axes.transData.transform([(x, y) for _, x, y, _ in labels])[:, 1] * points
    low, high = (edge * points for edge in axes.get_window_extent().intervaly)
    moves = apart(ends, _BETWEEN_LABELS * size, low, high) - ends
    if np.abs(moves).max() > 1:
        for text, move in zip(texts, moves, strict=True):
            text.xyann = (16, move)
            axes.annotate(
                "", text.xy, xytext=(15, move), textcoords="offset points", annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": text.get_color(), "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4},
            )  # fmt: skip
    return texts


def label_along(axes: Any, labels: Sequence[tuple[str, np.ndarray, np.ndarray, str]], size: float = 8.5) -> list[Any]:
    """Write each line's name beside it, at that place along x where all of them are furthest apart.

    Where three lines and more are too near to one another everywhere, nothing is written.

    Parameters
    ----------
    axes
        Whose lines and scales are set already.
    labels
        Text, ascending x and their y in data, colour.
    size
        Of the text in points.

    Returns
    -------
    list of matplotlib annotations
    """
    axes.figure.draw_without_rendering()
    box = axes.get_window_extent()
    columns = box.x0 + box.width * np.linspace(0.2, 0.8, 25)
    lines = [axes.transData.transform(np.column_stack([x, y])) for _, x, y, _ in labels]
    heights = np.array([np.interp(columns, line[:, 0], line[:, 1]) for line in lines])
    gaps = np.diff(np.sort(heights, axis=0), axis=0).min(axis=0) if len(lines) > 1 else box.y1 - heights[0]
    column = int(np.argmax(np.nan_to_num(gaps, nan=-1)))
    if len(lines) > 2 and not gaps[column] * 72 / axes.figure.dpi >= _BETWEEN_LABELS * size:
        return []
    lowest = int(np.argmin(heights[:, column]))
    texts = []
    for number, (text, _, _, colour) in enumerate(labels):
        under = len(labels) > 1 and number == lowest
        falls = heights[number, -1] < heights[number, 0]  # a name stands where the line leaves room
        place = axes.transData.inverted().transform((columns[column], heights[number, column]))
        texts.append(
            axes.annotate(
                text, place, xytext=(0, -5 if under else 5), textcoords="offset points", fontsize=size, color=colour,
                va="top" if under else "bottom", ha="right" if under == falls else "left",
            )
        )  # fmt: skip
    return texts


def apart(places: Sequence[float], gap: float, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """Places near those given, in their order, each ``gap`` and more from the next, between two bounds if they fit.

    Those that would meet share what they move by: the sum of squares is the least that there is.
    """
    wanted = np.asarray(places, float)
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    blocks: list[list[float]] = []  # mean and size; ascending means, by pooling those that are not
    for value in wanted[order] - steps:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, size = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + mean * size) / (before[1] + size)
            before[1] += size
    found = np.repeat([mean for mean, _ in blocks], [int(size) for _, size in blocks])
    if len(found):
        found = np.maximum(np.minimum(found, high - steps[-1]), low) + steps
    result = np.empty(len(found))
    result[order] = found
    return result


def save(drawn: Any, path: Path, *, dpi: int = 120) -> Path:
    """Write a figure as ``.png``, ``.pdf`` or ``.svg``, whole or not at all; returns the path.

    An SVG follows the light or dark theme of whoever looks at it, on a ground of its own.
    """
    kind = path.suffix[1:].lower()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # said once, where fonts are chosen
        if kind == "svg":
            files.write_text(path, _standing_alone(svg(drawn, path.stem)))
            return path
        with files.beside(path) as temporary:
            drawn.savefig(temporary, format=kind, dpi=dpi)
    return path


def svg(drawn: Any, name: str, title: str = "") -> str:
    """A figure as an ``<svg>`` element for a page: no address in it, and colours that are the page's variables.

    Parameters
    ----------
    drawn
        The figure.
    name
        Of letters, digits and hyphens, no two figures of a page having the same: ids begin with it.
    title
        What a screen reader says in its place.
    """
    from matplotlib import rc_context

    stream, none = io.StringIO(), dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "savefig.transparent": True}):
        drawn.savefig(stream, format="svg", metadata=none)
    text = stream.getvalue()
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.S)
    used = set(re.findall(r"(?:url\(|href=\")#([^\")]+)", body))
    body = re.sub(r"<[^>]*>", lambda found: _tag(found[0], name, used), body)  # and no text of a user's
    body = re.sub(r">\s*\n\s*<", ">\n<", body)
    head = f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
    label = f' aria-label="{_escaped(title)}"' if title else ' aria-hidden="true"'
    return f"{head}{label}>{body.strip()}"


def theme_css(dark: bool) -> str:
    """The colours as variables of CSS, ``--blue: #1a478c; ...``."""
    return " ".join(f"--{name}: {both[dark]};" for name, both in COLOURS.items())


def _tag(tag: str, name: str, used: set[str]) -> str:
    """A tag of matplotlib's with numbers to a hundredth, ids of its own where they are used, and the page's colours."""
    tag = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), tag)
    tag = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", tag)
    tag = re.sub(r"(url\(|href=\")#", rf"\g<1>#{name}-", tag).replace("xlink:href", "href")
    tag = re.sub(r"font: (?:([\w ]+?) )?([\d.]+)px [^;\"]*", _font, tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    for hue, (light, _) in COLOURS.items():
        tag = tag.replace(light, f"var(--{hue})")
    return " ".join(tag.split())


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}px"


def _escaped(text: str) -> str:
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(sign, name)
    return text


def _standing_alone(element: str) -> str:
    """An element as a file: with its name space, its colours by theme, fonts and a ground."""
    light, dark = (f"svg {{ {theme_css(theme)} }}" for theme in (False, True))
    css = (
        f"{light} @media (prefers-color-scheme: dark) {{ {dark} }} "
        "* { stroke-linejoin: round; stroke-linecap: butt; } text { font-family: 'DejaVu Sans', sans-serif; }"
    )
    start = element.index(">") + 1
    head = element[: start - 1].replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"')
    ground = '<rect width="100%" height="100%" fill="var(--surface)"/>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}>\n<style>{css}</style>\n{ground}\n{element[start:]}\n'
