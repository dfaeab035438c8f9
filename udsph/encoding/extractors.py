"""Pictures and texts for a model of features: through the extractors that made the features of its training.

``udsph extract`` says in its folder which extractors it ran; a run keeps that in ``inputs.json``, and what they learnt
from the training items in ``extractors/``. An extractor is made when the first raw item comes.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from udsph.data import Dataset, Modality
from udsph.data.directions import MODALITIES
from udsph.data.mapped import DESCRIPTION, read_description
from udsph.data.quotes import reason_of
from udsph.data.texts import splitter
from udsph.errors import InputError, MissingExtra
from udsph.files import write_bytes

if TYPE_CHECKING:
    from udsph.features.base import ImageExtractor, TextExtractor

log = logging.getLogger(__name__)
FOLDER = "extractors"
_OF_THE_FOLDER = ("kind", "words")  # what a description says beside what the extractor says of itself
_SETTINGS = {"image": ("weights", "form", "dims"), "text": ("weights", "form", "dims", "seed")}
_KINDS = {"form": str, "weights": str, "words": str, "dims": int, "seed": int, "grid": int, "longest": int}
_MOST = 65_536  # of numbers that are sizes
# Names that stand for the same weights on every machine. Prefixes of timm lead to folders, and to files with code.
_PUBLIC = {"huggingface": re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII), "timm": re.compile(r"\w[\w.-]*", re.ASCII)}
_MAKING = threading.RLock()  # the thread that asks first makes an extractor, others wait for it


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
        described = {name: content[name] for name in chosen if _is_description(name, content.get(name))}
        return cls.from_json(described, str(root / DESCRIPTION), root)

    @classmethod
    def from_json(cls, content: Any, where: str, place: Path | None, *, shared: bool = False) -> Extractors:
        """What a model's folder keeps of them; ``where`` names the file in an error.

        Parameters
        ----------
        shared
            Whether it comes from others: weights must then be those of a package or of a public name.
        """
        if not isinstance(content, dict) or not all(_is_description(name, one) for name, one in content.items()):
            raise InputError(f"{where} does not describe the extractors of raw items")
        for name, one in content.items():
            if shared and not _is_public(one):
                raise InputError(
                    f"{where}: the weights of {name}s are '{one['weights']}'; a shared model names only weights that "
                    "others can have, by a name on the hub or of a package"
                )
        return cls(content, None if place is None else Path(os.path.abspath(place)))  # also after a change of folder

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

    def made(self) -> tuple[Extractors, list[str]]:
        """Those that can be made here, made; and what hinders the others, a sentence each."""
        kept, hindered = {}, []
        for name, described in self.described.items():
            try:
                getattr(self, f"{name}s")
                kept[name] = described
            except (InputError, MissingExtra) as error:
                hindered.append(f"{name}s are not read: {error}")
        return (Extractors(kept, self.place) if hindered else self), hindered

    def _made(self, name: str, make: Any) -> Any:
        with _MAKING:
            if f"{name}s" not in self.__dict__:
                self.__dict__[f"{name}s"] = self._new(name, make)
            return self.__dict__[f"{name}s"]

    def _new(self, name: str, make: Any) -> Any:
        from udsph.features.registry import learns

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
        if learns(described) and not (self.place is not None and _load(extractor, kind, self.place)):
            raise InputError(f"{name}s: what {kind} learnt from the training items is missing in {self.place}")
        return extractor

    def read(self, texts: Sequence[str]) -> tuple[Modality, int]:
        """The features of texts as written, and how many were cut to their first words, where words are regions."""
        extractor: Any = self.texts
        if extractor.reads == "captions":
            values, lengths = extractor(texts)
            return Modality(extractor.form, values, lengths), 0
        split = self._split(texts)
        values, lengths = extractor(split)
        full = [] if lengths is None else np.flatnonzero(lengths == extractor.longest).tolist()
        cut = sum(sum(bool(extractor.kept([word])) for word in split[row]) > extractor.longest for row in full)
        return Modality(extractor.form, values, lengths), cut

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
        """Copy what they learnt into a model's folder; what is no longer there is remarked on."""
        from udsph.features.registry import learns

        for name, described in self.described.items():
            kind, target = described["extractor"], folder / FOLDER
            if not learns(described):
                continue
            sources = [Path(self.place or "", kind + suffix) for suffix in (".json", ".safetensors")]
            if self.place is not None and all(source.is_file() for source in sources):
                for source in sources:
                    if source.resolve() != (target / source.name).resolve():
                        target.mkdir(exist_ok=True)
                        write_bytes(target / source.name, source.read_bytes())
            elif (made := self.__dict__.get(f"{name}s")) is not None:
                target.mkdir(exist_ok=True)
                made.save(target)
            else:
                log.warning(
                    f"what {kind} learnt from the training items is missing in {self.place}: of {name}s, the model in "
                    f"{folder} will take features only"
                )

    def without_places(self) -> Extractors:
        """Those of which nothing lies at a place of this machine: another one can make them."""
        kept = Extractors({name: one for name, one in self.described.items() if _is_public(one)}, self.place)
        kept.__dict__.update({f"{name}s": self.__dict__[f"{name}s"] for name in kept.described
                              if f"{name}s" in self.__dict__})  # fmt: skip
        return kept


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


def _is_description(name: str, described: Any) -> bool:
    """Whether this describes a known extractor of a modality, with settings of the right kinds."""
    from udsph.features import IMAGE_EXTRACTORS, TEXT_EXTRACTORS

    if name not in MODALITIES or not isinstance(described, dict):
        return False
    return described.get("extractor") in (IMAGE_EXTRACTORS if name == "image" else TEXT_EXTRACTORS) and all(
        type(described[key]) is kind and (kind is str or key == "seed" or 1 <= described[key] <= _MOST)
        for key, kind in _KINDS.items()
        if key in described
    )


def _is_public(described: Mapping[str, Any]) -> bool:
    """Whether others can have the weights of an extractor: they lie in its package, or have a name on the hub."""
    weights, form = described.get("weights", ""), _PUBLIC.get(described["extractor"])
    return not weights or (form is not None and form.fullmatch(weights) is not None and ".." not in weights)


def _load(extractor: Any, kind: str, place: Path) -> bool:
    """Give an extractor what it learnt; False where that is missing."""
    try:
        return bool(extractor.load(place))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"what {kind} learnt is damaged in {place} ({reason_of(error)})") from None
