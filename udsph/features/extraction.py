"""From a dataset to a feature folder: both modalities through their extractors, batch by batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data import Dataset, Modality
from udsph.data.supervision import with_minus_one
from udsph.data.texts import splitter
from udsph.errors import InputError
from udsph.features.base import ImageExtractor, Learning, TextExtractor
from udsph.features.folder import FeatureFolder, Report


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
    labels = with_minus_one(dataset)
    pictures = Kept(dataset.image) if image is None else Pictures(dataset, image)
    texts = Kept(dataset.text) if text is None else Texts(dataset, text)
    description = {
        "source": {"name": dataset.name, "root": dataset.root, "settings": dict(dataset.settings)},
        "items": len(dataset),
        "classes": list(dataset.classes),
        "image": pictures.description,
        "text": texts.description,
    }
    folder = FeatureFolder(Path(output), description)
    if not folder.complete:
        pictures.prepare(folder.folder)
        folder.fill("image", pictures, len(dataset), batch_size, report)
        texts.prepare(folder.folder)
        folder.fill("text", texts, len(dataset), batch_size, report)
        folder.finish(labels, dataset.splits, dataset.captions)
    return folder.spoilt


class Kept:
    """A modality as it is; sparse vectors become dense. What follows shares its methods.

    Attributes
    ----------
    description
        What decides every number of the view, as JSON.
    arrays
        Shape of a row and type of each array, by what stands behind the name of the view.
    """

    def __init__(self, modality: Modality) -> None:
        self._modality = modality
        self.description: dict[str, Any] = {"kind": modality.kind}
        if modality.vocabulary is not None:
            self.description |= {"vocabulary": list(modality.vocabulary), "words": modality.words}
        kind = {"pixels": np.uint8, "tokens": np.int32}.get(modality.kind, np.float32)
        self.arrays: dict[str, tuple[tuple[int, ...], Any]] = {"": (modality.shape, kind)}
        if modality.lengths is not None:
            self.arrays["_lengths"] = ((), np.int32)

    def prepare(self, folder: Path) -> None:
        """Nothing is to be learnt."""

    def read(self, index: np.ndarray) -> Any:
        """The items as they come from the dataset, which may take reading files."""
        return self._modality.values[index]

    def features(self, items: Any, index: np.ndarray) -> dict[str, np.ndarray]:
        """The rows of each array."""
        found = {"": items.toarray() if hasattr(items, "toarray") else items}
        return found if self._modality.lengths is None else {**found, "_lengths": self._modality.lengths[index]}

    def spoilt(self, index: np.ndarray) -> dict[int, str]:
        """Items that the reader of image files showed as grey pictures."""
        values = self._modality.values
        damaged = getattr(values, "damaged", None) or ()
        bad = [item for item in index.tolist() if damaged and values.names[item] in damaged]
        return {item: f"{values.names[item]} is no whole image" for item in bad}


class Pictures(Kept):
    """Pixels through an extractor."""

    def __init__(self, dataset: Dataset, extractor: ImageExtractor) -> None:
        if dataset.image.kind != "pixels":
            raise InputError(f"{dataset.name}: its images are {dataset.image.kind}, not pixels; keep them as they are")
        self._modality, self._extractor, self._train = dataset.image, extractor, dataset.splits["train"]
        self.description = {"kind": extractor.form, **extractor.describe()}
        self.arrays = {"": (extractor.shape, np.float32)}

    def prepare(self, folder: Path) -> None:
        if isinstance(self._extractor, Learning) and not self._extractor.load(folder):
            self._extractor.fit(self.read, self._train)
            self._extractor.save(folder)

    def features(self, items: Any, index: np.ndarray) -> dict[str, np.ndarray]:
        return {"": _finite(self._extractor(items), "image", index)}


class Texts(Kept):
    """Texts, as written or as words, through an extractor, which may have to learn from the training texts first."""

    def __init__(self, dataset: Dataset, extractor: TextExtractor) -> None:
        self._modality, self._extractor = dataset.text, extractor
        self._texts, self._train = _texts(dataset, extractor.reads), dataset.splits["train"]
        self.description = {"kind": extractor.form, "words": dataset.text.words, **extractor.describe()}

    def prepare(self, folder: Path) -> None:
        if not self._extractor.load(folder):
            self._extractor.fit([self._texts[item] for item in self._train.tolist()])
            self._extractor.save(folder)
        self.arrays = {"": (self._extractor.shape, np.float32)}
        if self._extractor.form == "regions":
            self.arrays["_lengths"] = ((), np.int32)

    def read(self, index: np.ndarray) -> Any:
        return [self._texts[item] for item in index.tolist()]

    def features(self, items: Any, index: np.ndarray) -> dict[str, np.ndarray]:
        values, lengths = self._extractor(items)
        found = {"": _finite(values, "text", index)}
        return found if lengths is None else {**found, "_lengths": lengths}

    def spoilt(self, index: np.ndarray) -> dict[int, str]:
        return {}


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
            raise InputError(
                f"{dataset.name} has no texts as written; give text=word2vec or text=doc2vec, or keep its text"
            )
        return dataset.captions
    if reads == "open words" and dataset.captions is not None:
        return _WrittenWords(dataset.captions, splitter(dataset.text.words))
    if dataset.text.vocabulary is None or dataset.text.kind not in ("tokens", "vectors"):
        raise InputError(f"{dataset.name}: its text has no words (it is {dataset.text.describe()}); keep it as it is")
    return _ItemWords(dataset.text)


class _WrittenWords(Sequence[list[str]]):
    """The words of each text as written, split as the dataset splits its texts."""

    def __init__(self, texts: Sequence[str], split: Callable[[str], list[str]]) -> None:
        self._texts, self._split = texts, split

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, item: Any) -> Any:
        return (
            [self._split(text) for text in self._texts[item]]
            if isinstance(item, slice)
            else self._split(self._texts[item])
        )


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
