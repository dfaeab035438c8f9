"""Queries of both directions with what was retrieved for them, as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.dataset import Dataset
from udsph.errors import InputError
from udsph.plotting import figure, save, style
from udsph.report.frames import OPEN, QUERY, RIGHT, WRONG, fonts_for, frame, in_lines


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
    with style():
        save(_figure_of(dataset, queries, database, images, texts), path, dpi=70)


def _figure_of(
    dataset: Dataset, queries: np.ndarray, database: np.ndarray, images: np.ndarray, texts: np.ndarray
) -> Any:
    columns = images.shape[1] + 1
    drawing = figure(1.7 * columns, 3.6 * len(queries))
    axes = drawing.subplots(2 * len(queries), columns, squeeze=False)
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
    return drawing


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


def _show_pixels(axis: Any, dataset: Dataset, item: int, title: str, colour: str) -> None:
    axis.imshow(dataset.image.values[np.array([item])][0])
    frame(axis, title, colour)


def _show_caption(axis: Any, dataset: Dataset, item: int, title: str, colour: str) -> None:
    axis.text(0.5, 0.5, _lines(dataset, item), ha="center", va="center", fontsize=7, transform=axis.transAxes)
    axis.set_box_aspect(1)
    frame(axis, title, colour)


def _lines(dataset: Dataset, item: int) -> str:
    assert dataset.captions is not None
    return in_lines(dataset.captions[item])
