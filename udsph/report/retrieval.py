"""Queries of both directions with what was retrieved for them, as one picture."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.dataset import Dataset
from udsph.errors import InputError, MissingExtra

QUERY, RIGHT, WRONG = "#333333", "#2a7f3f", "#b23a3a"


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
        PNG file, written beside and renamed into place.

    Raises
    ------
    InputError
        If the dataset has no pixels or no captions to show.
    MissingExtra
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("a picture", "report") from None
    if dataset.image.kind != "pixels" or dataset.captions is None:
        raise InputError(f"{dataset.name}: a picture of retrieved items needs pixels and captions")
    columns = images.shape[1] + 1
    figure = Figure(figsize=(1.7 * columns, 3.6 * len(queries)), layout="constrained")
    axes = figure.subplots(2 * len(queries), columns, squeeze=False)
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
                shared = int(np.count_nonzero(dataset.labels[query] & dataset.labels[item]))
                show(axis, dataset, item, f"{shared} labels shared", RIGHT if shared else WRONG)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, format="png", dpi=70)
    part.replace(path)


def _show_pixels(axis: Any, dataset: Dataset, item: int, title: str, colour: str) -> None:
    axis.imshow(dataset.image.values[np.array([item])][0])
    _frame(axis, title, colour)


def _show_caption(axis: Any, dataset: Dataset, item: int, title: str, colour: str) -> None:
    assert dataset.captions is not None
    lines = textwrap.fill(str(dataset.captions[item]), 20)
    axis.text(0.5, 0.5, lines, ha="center", va="center", fontsize=7, transform=axis.transAxes)
    axis.set_box_aspect(1)
    _frame(axis, title, colour)


def _frame(axis: Any, title: str, colour: str) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=8, color=colour)
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=2)
