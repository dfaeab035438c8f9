"""From a dataset to a feature folder: both modalities through their extractors, batch by batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data import Dataset, Modality
from udsph.data.prefetch import ahead
from udsph.errors import InputError
from udsph.features.base import ImageExtractor, TextExtractor
from udsph.features.folder import FeatureFolder

Report = Callable[[str, int, int], None]


def extract(
    dataset: Dataset,
    output: str | os.PathLike[str],
    *,
    image: ImageExtractor | None = None,
    text: TextExtractor | None = None,
    batch_size: int = 32,
    report: Report | None = None,
) -> dict[int, str]:
    """Write a dataset's features into a folder that the layout ``features`` reads memory-mapped.

    The same call continues an extraction that was interrupted, and does nothing where it is complete.

    Parameters
    ----------
    output
        The folder; it must be new, empty, or of the same extraction.
    image, text
        The extractors; without one the modality is written as it is: pixels, tokens, vectors or regions.
    batch_size
        Items at a time; without influence on the features beyond the rounding of the network.
    report
        Called with ``image`` or ``text``, the rows done, and all rows.

    Returns
    -------
    dict
        Items that could not be read and therefore are in none of the splits, with the reason.

    Raises
    ------
    InputError
        If the data do not fit the extractors, the folder holds something else, or features are not finite.
    """
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}: expected at least 1")
    if image is not None and dataset.image.kind != "pixels":
        raise InputError(f"{dataset.name}: its images are {dataset.image.kind}, not pixels; keep them as they are")
    texts = None if text is None else _texts(dataset, text.reads)
    folder = FeatureFolder(Path(output), _content(dataset, image, text))
    if folder.complete:
        return folder.spoilt
    folder.store("labels", dataset.labels)
    _write_images(folder, dataset, image, batch_size, report)
    if text is None or texts is None:
        _copy(folder, "text", dataset.text, batch_size, report)
    else:
        _write_texts(folder, texts, dataset.splits["train"], text, batch_size, report)
    spoilt = np.fromiter(folder.spoilt, np.int64, len(folder.spoilt))
    for split, index in dataset.splits.items():
        left = np.asarray(index, np.int64)[~np.isin(index, spoilt)]
        if not len(left):
            raise InputError(f"none of the items of the split '{split}' could be read")
        folder.store(split, left)
    folder.finish(dataset.captions)
    return folder.spoilt


def _content(dataset: Dataset, image: ImageExtractor | None, text: TextExtractor | None) -> dict[str, Any]:
    """What decides every number in the folder."""
    content: dict[str, Any] = {
        "source": {"name": dataset.name, "root": dataset.root, "settings": dict(dataset.settings)},
        "items": len(dataset),
        "classes": list(dataset.classes),
    }
    for view, extractor in (("image", image), ("text", text)):
        modality: Modality = getattr(dataset, view)
        if extractor is not None:
            content[view] = {"kind": extractor.form, **extractor.describe()}
        else:
            content[view] = {"kind": modality.kind}
            if modality.vocabulary is not None:
                content[view] |= {"vocabulary": list(modality.vocabulary), "words": modality.words}
    return content


def _pieces(start: int, count: int, size: int) -> list[np.ndarray]:
    return [np.arange(first, min(first + size, count)) for first in range(start, count, size)]


def _write_images(
    folder: FeatureFolder, dataset: Dataset, extractor: ImageExtractor | None, batch_size: int, report: Report | None
) -> None:
    values = dataset.image.values
    if extractor is None:
        _copy(folder, "image", dataset.image, batch_size, report)
        _note_spoilt(folder, values, np.arange(len(dataset)))
        return
    array, done = folder.array("image", (len(dataset), *extractor.shape), np.float32)
    pieces = _pieces(done, len(dataset), batch_size)
    for index, pixels in zip(pieces, ahead(values.__getitem__, pieces), strict=True):
        array[index[0] : index[-1] + 1] = _finite(extractor(pixels), "image", index)
        _note_spoilt(folder, values, index)
        folder.advance({"image": array}, int(index[-1]) + 1)
        if report is not None:
            report("image", int(index[-1]) + 1, len(dataset))


def _note_spoilt(folder: FeatureFolder, values: Any, index: np.ndarray) -> None:
    """Items that the reader of image files showed as grey pictures."""
    damaged = getattr(values, "damaged", None)
    if damaged:
        for item in index.tolist():
            if values.names[item] in damaged:
                folder.spoilt[item] = f"{values.names[item]} is no whole image"


def _write_texts(
    folder: FeatureFolder,
    texts: Sequence[Any],
    train: np.ndarray,
    extractor: TextExtractor,
    batch_size: int,
    report: Report | None,
) -> None:
    if not extractor.load(folder.folder):
        extractor.fit([texts[item] for item in train.tolist()])
        extractor.save(folder.folder)
    array, done = folder.array("text", (len(texts), *extractor.shape), np.float32)
    arrays = {"text": array}
    if extractor.form == "regions":
        arrays["text_lengths"], rows = folder.array("text_lengths", (len(texts),), np.int32)
        done = min(done, rows)
    for index in _pieces(done, len(texts), batch_size):
        values, lengths = extractor([texts[item] for item in index.tolist()])
        array[index[0] : index[-1] + 1] = _finite(values, "text", index)
        if lengths is not None:
            arrays["text_lengths"][index[0] : index[-1] + 1] = lengths
        folder.advance(arrays, int(index[-1]) + 1)
        if report is not None:
            report("text", int(index[-1]) + 1, len(texts))


def _copy(folder: FeatureFolder, view: str, modality: Modality, batch_size: int, report: Report | None) -> None:
    """A modality as it is; sparse vectors become dense."""
    count = len(modality)
    kept = {"pixels": np.uint8, "tokens": np.int32}.get(modality.kind, np.float32)
    array, done = folder.array(view, (count, *modality.shape), kept)
    pieces = _pieces(done, count, batch_size)
    for index, rows in zip(pieces, ahead(modality.values.__getitem__, pieces), strict=True):
        array[index[0] : index[-1] + 1] = rows.toarray() if hasattr(rows, "toarray") else rows
        folder.advance({view: array}, int(index[-1]) + 1)
        if report is not None:
            report(view, int(index[-1]) + 1, count)
    if modality.lengths is not None:
        folder.store(f"{view}_lengths", np.asarray(modality.lengths, np.int32))


def _finite(values: np.ndarray, view: str, index: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values).reshape(len(values), -1).all(1)
    if not finite.all():
        raise InputError(
            f"the {view} features of item {index[np.argmin(finite)]} are not finite; are the weights whole?"
        )
    return values


def _texts(dataset: Dataset, reads: str) -> Sequence[Any]:
    """The texts as an extractor reads them: as written, or as the dataset's own words."""
    if reads == "captions":
        if dataset.captions is None:
            raise InputError(f"{dataset.name} has no texts as written; give --text word2vec, doc2vec or keep")
        return dataset.captions
    if dataset.text.vocabulary is None or dataset.text.kind not in ("tokens", "vectors"):
        raise InputError(f"{dataset.name}: its text has no words (it is {dataset.text.describe()}); keep it as it is")
    return _ItemWords(dataset.text)


class _ItemWords(Sequence[list[str]]):
    """The words of each item: those of its tokens, or the names of its columns that are not zero (tags)."""

    def __init__(self, modality: Modality) -> None:
        self._modality, self._names = modality, modality.vocabulary or ()

    def __len__(self) -> int:
        return len(self._modality)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, slice):
            return [self[position] for position in range(*item.indices(len(self)))]
        row = self._modality.values[np.array([item])]
        row = (row.toarray() if hasattr(row, "toarray") else row)[0]
        places = row[row > 0] if self._modality.kind == "tokens" else np.flatnonzero(row)
        return [self._names[place] for place in places.tolist()]
