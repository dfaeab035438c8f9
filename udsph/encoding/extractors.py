"""Pictures and texts for a model of features: through the extractors that made the features of its training.

``udsph extract`` says in its folder which extractors it ran; a run keeps that in ``inputs.json``, and what they learnt
from the training items in ``extractors/``. An extractor is made when the first raw item comes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from udsph.data import Dataset, Modality
from udsph.data.directions import MODALITIES
from udsph.data.mapped import DESCRIPTION, read_description
from udsph.data.texts import splitter
from udsph.errors import InputError
from udsph.files import write_bytes

if TYPE_CHECKING:
    from udsph.features.base import ImageExtractor, TextExtractor

FOLDER = "extractors"
_LEARNING = ("efficientnet-lite0", "word2vec", "doc2vec")
_OF_THE_FOLDER = ("kind", "words")  # what a description says beside what the extractor says of itself
_SETTINGS = {"image": ("weights", "form", "dims"), "text": ("weights", "form", "dims", "seed")}


@dataclass(frozen=True)
class Extractors:
    """The extractors of a model's training, by modality; none of a modality that was not extracted.

    Attributes
    ----------
    described
        For each modality what ``features.json`` says of it.
    place
        Folder of what they learnt.
    """

    described: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    place: Path | None = field(default=None, compare=False)

    @classmethod
    def of(cls, dataset: Dataset) -> Extractors:
        """Those that made a dataset's features, if its folder says so."""
        root = Path(dataset.root or "")
        if dataset.name != "features" or not (root / DESCRIPTION).is_file():
            return cls()
        content = read_description(root / DESCRIPTION)
        chosen = [name for name in MODALITIES if dataset.settings.get(name, name) == name]
        return cls({name: content[name] for name in chosen if "extractor" in content.get(name, {})}, root)

    @classmethod
    def from_json(cls, content: Any, where: str, place: Path | None) -> Extractors:
        """What a model's folder keeps of them; ``where`` names the file in an error."""
        known = isinstance(content, dict) and all(
            name in MODALITIES and isinstance(one, dict) and isinstance(one.get("extractor"), str)
            for name, one in content.items()
        )
        if not known:
            raise InputError(f"{where} does not describe the extractors of raw items")
        return cls(content, place)

    def __contains__(self, name: object) -> bool:
        return name in self.described

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the cells of a picture, where its regions are such."""
        cells = self.described.get("image", {}).get("grid")
        return None if cells is None else (int(cells), int(cells))

    @cached_property
    def images(self) -> ImageExtractor:
        """The extractor of pictures.

        Raises
        ------
        InputError
            If it is not as it was in training, or what it learnt is missing.
        MissingExtra
            If its package is not installed.
        """
        from udsph.features import image_extractor

        return self._made("image", image_extractor)

    @cached_property
    def texts(self) -> TextExtractor:
        """The extractor of texts; raises as :attr:`images` does."""
        from udsph.features import text_extractor

        return self._made("text", text_extractor)

    def _made(self, name: str, make: Any) -> Any:
        described = self.described[name]
        kind = described["extractor"]
        extractor = make(kind, **{key: described[key] for key in _SETTINGS[name] if key in described})
        now = json.loads(json.dumps(extractor.describe()))
        then = {key: value for key, value in described.items() if key not in _OF_THE_FOLDER}
        for key in {**then, **now}:
            if then.get(key) != now.get(key):
                raise InputError(
                    f"{name}s: {kind} is not as it was when the training's features were made: "
                    f"its {key} is {now.get(key)}, was {then.get(key)}"
                )
        if kind in _LEARNING and not (self.place is not None and extractor.load(self.place)):
            raise InputError(f"{name}s: what {kind} learnt from the training items is missing in {self.place}")
        return extractor

    def read(self, texts: Sequence[str]) -> Modality:
        """The features of texts as written."""
        extractor = self.texts
        values, lengths = extractor(texts if extractor.reads == "captions" else self._split(texts))
        return Modality(extractor.form, values, lengths)

    def words(self, texts: Sequence[str]) -> tuple[tuple[str, ...], ...] | None:
        """The words that are the regions of texts as written; None where regions are something else."""
        kept = getattr(self.texts, "kept", None)
        if kept is None or self.texts.form != "regions":
            return None
        return tuple(tuple(kept(words)) for words in self._split(texts))

    def _split(self, texts: Sequence[str]) -> list[list[str]]:
        words = self.described["text"].get("words")
        if words is None:
            raise InputError(
                "texts: the folder of features was written before it said how words are split; extract it again"
            )
        split = splitter(words)
        return [split(text) for text in texts]

    def store(self, folder: Path) -> None:
        """Copy what they learnt into a model's folder."""
        for described in self.described.values() if self.place is not None else ():
            for suffix in (".json", ".safetensors"):
                source = Path(self.place or "", described["extractor"] + suffix)
                target = folder / FOLDER / source.name
                if source.is_file() and source.resolve() != target.resolve():
                    target.parent.mkdir(exist_ok=True)
                    write_bytes(target, source.read_bytes())

    def without_places(self) -> Extractors:
        """Those of which nothing lies at a place of this machine: another one can make them."""
        return Extractors({name: one for name, one in self.described.items() if not _is_local(one)}, self.place)


class ExtractedRows:
    """Features of pictures as rows, made when a batch asks for them.

    Parameters
    ----------
    pictures
        uint8 rows ``(n, height, width, 3)`` of the extractor's size.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, pictures: Any, extractor: ImageExtractor) -> None:
        self._pictures, self._extractor = pictures, extractor
        self.shape = (pictures.shape[0], *extractor.shape)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self._extractor(self._pictures[index])


def _is_local(described: Mapping[str, Any]) -> bool:
    """Whether the weights of an extractor are a file or a folder of this machine; timm says ``NAME=FILE``."""
    return any(Path(part).is_absolute() for part in str(described.get("weights", "")).split("="))
