"""Queries of both directions with what was retrieved for them, as one picture."""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import numpy as np

from udsph.data.dataset import Dataset
from udsph.errors import InputError
from udsph.files import beside
from udsph.report.canvas import figure_class, plain_text
from udsph.report.texts import one_line

LONGEST = 1000  # characters of a caption that are looked at; some 160 are shown
BOXES = "Last Resort"  # comes with matplotlib 3.11 and has a box for every character there is
QUERY, RIGHT, WRONG, OPEN = "#333333", "#2a7f3f", "#b23a3a", "#2f5d8a"


def draw_retrieval(
    dataset: Dataset, queries: np.ndarray, database: np.ndarray, images: np.ndarray, texts: np.ndarray, path: Path
) -> None:
    """Draw two rows a query: its caption with the images found for it, its image with the captions found for it.

    Parameters
    ----------
    queries, database
        int64 item numbers of the queries and of the database, in the order in which it was indexed.
    images, texts
        int64 ``(len(queries), k)``, positions in `database` of the images found for the captions and of the texts
        found for the images; -1 is no answer.
    path
        PNG file.

    Raises
    ------
    InputError
        If the dataset has no pixels or no captions to show.
    MissingExtra
        If matplotlib is not installed.
    """
    check_drawable(dataset)
    with plain_text():
        figure = _figure_of(dataset, queries, database, images, texts)
        with beside(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # said once, by fonts_for
            figure.savefig(temporary, format="png", dpi=70)


def _figure_of(
    dataset: Dataset, queries: np.ndarray, database: np.ndarray, images: np.ndarray, texts: np.ndarray
) -> Any:
    columns = images.shape[1] + 1
    figure = figure_class()(figsize=(1.7 * columns, 3.6 * len(queries)), layout="constrained")
    axes = figure.subplots(2 * len(queries), columns, squeeze=False)
    drawn = [*queries, *database[texts[texts >= 0]]]
    fonts = fonts_for("".join(_lines(dataset, item) for item in drawn))
    for number, query in enumerate(queries):
        by_text, by_image = axes[2 * number], axes[2 * number + 1]
        _show_caption(by_text[0], dataset, query, "text query", QUERY)
        _show_pixels(by_image[0], dataset, query, "image query", QUERY)
        for show, row, found in ((_show_pixels, by_text, images[number]), (_show_caption, by_image, texts[number])):
            for axis, position in zip(row[1:], found, strict=True):
                if position < 0:
                    axis.axis("off")
                    continue
                item = database[position]
                show(axis, dataset, item, *_verdict(dataset, query, item))
    for text in (text for axis in axes.flat for text in axis.texts):
        text.set_family(fonts)
    return figure


def _verdict(dataset: Dataset, query: int, item: int) -> tuple[str, str]:
    """What stands above an answer, and its colour."""
    if not dataset.known[query] or not dataset.known[item]:
        return "labels not known" if dataset.labelled else "found", OPEN
    shared = int(np.count_nonzero(dataset.labels[query] & dataset.labels[item]))
    return "1 label shared" if shared == 1 else f"{shared} labels shared", RIGHT if shared else WRONG


def check_drawable(dataset: Dataset) -> None:
    """Refuse a dataset that has nothing to show."""
    if dataset.image.kind != "pixels" or dataset.captions is None:
        raise InputError(
            f"{dataset.name}: a picture of retrieved items needs pixels and captions; "
            f"its images are {dataset.image.kind}{'' if dataset.captions else ', and it has no captions'}"
        )


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


def _show_pixels(axis: Any, dataset: Dataset, item: int, title: str, colour: str) -> None:
    axis.imshow(dataset.image.values[np.array([item])][0])
    _frame(axis, title, colour)


def _show_caption(axis: Any, dataset: Dataset, item: int, title: str, colour: str) -> None:
    axis.text(0.5, 0.5, _lines(dataset, item), ha="center", va="center", fontsize=7, transform=axis.transAxes)
    axis.set_box_aspect(1)
    _frame(axis, title, colour)


def _lines(dataset: Dataset, item: int) -> str:
    assert dataset.captions is not None
    return in_lines(dataset.captions[item])


def in_lines(caption: str) -> str:
    """The beginning of a caption, in lines that fit the frame; Chinese characters are twice as wide as letters."""
    caption = one_line(caption[:LONGEST])
    start = caption[:100]
    wide = 2 * sum(east_asian_width(sign) in "WF" for sign in start) > len(start)
    return textwrap.fill(caption, 10 if wide else 20, max_lines=8, placeholder=" ...", break_long_words=True)


def _frame(axis: Any, title: str, colour: str) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=8, color=colour)
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=2)
