"""How raw images and texts become what a model's networks read: stored with the model, so that it encodes raw items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data import Dataset, Modality
from udsph.data.texts import splitter
from udsph.encoding.extractors import Extractors
from udsph.errors import InputError


@dataclass(frozen=True)
class Inputs:
    """The preparation of raw items.

    Attributes
    ----------
    side
        Side in pixels of the square to which images are resized; 0 where the model reads something else.
    words
        How texts are split into words (``udsph.data.texts.splitter``); empty where the model reads no tokens.
    vocabulary
        The known words; entry 0 is the padding.
    longest
        Words of a text that are read, from its beginning.
    extractors
        Of a model of features: what makes them from pictures and texts.
    """

    side: int = 0
    words: str = ""
    vocabulary: tuple[str, ...] = ()
    longest: int = 0
    extractors: Extractors = field(default_factory=Extractors)

    @classmethod
    def of(cls, dataset: Dataset) -> Inputs:
        """The preparation that gave a dataset's items."""
        image, text = dataset.image, dataset.text
        square = image.kind == "pixels" and image.shape[0] == image.shape[1]
        side = image.shape[0] if square else 0
        if text.kind != "tokens" or text.vocabulary is None:
            return cls(side, extractors=Extractors.of(dataset))
        return cls(side, text.words, tuple(text.vocabulary), text.shape[0], Extractors.of(dataset))

    def as_json(self) -> dict[str, Any]:
        """Without the place of what extractors learnt, which lies beside the file."""
        return asdict(replace(self, extractors=Extractors())) | {"extractors": dict(self.extractors.described)}

    @classmethod
    def from_json(cls, content: Any, where: str, place: Path | None = None, *, shared: bool = False) -> Inputs:
        """What :meth:`as_json` gave.

        Parameters
        ----------
        where
            Names the file in an error.
        place
            Of what extractors learnt.
        shared
            Whether the model comes from others (:meth:`Extractors.from_json`).
        """
        try:
            vocabulary = content["vocabulary"]
            extractors = Extractors.from_json(content.get("extractors", {}), where, place, shared=shared)
            made = cls(content["side"], content["words"], tuple(vocabulary), content["longest"], extractors)
        except (AttributeError, KeyError, TypeError):
            raise InputError(f"{where} does not describe the preparation of raw items") from None
        numbers = (made.side, made.longest)
        whole = all(isinstance(number, int) and 0 <= number <= 65_536 for number in numbers)
        if not whole or not isinstance(made.words, str) or not all(isinstance(word, str) for word in vocabulary):
            raise InputError(f"{where} does not describe the preparation of raw items")
        return made

    def take(self, name: str, kind: str) -> bool:
        """Whether pictures (``image``) or texts are read, by a network that takes items of this kind."""
        return name in self.extractors or (kind == "pixels" if name == "image" else bool(self.vocabulary))

    def texts(self, texts: Sequence[str]) -> tuple[Modality, int, int]:
        """Texts as the model reads them, how many were cut, and how many have no known word: tokens or features."""
        if self.vocabulary or "text" not in self.extractors:
            return self.tokens(texts)
        modality, cut = self.extractors.read(texts)
        known = modality.values.reshape(len(texts), -1).any(1) if modality.lengths is None else modality.lengths > 0
        return modality, cut, int((~known).sum())

    @property
    def most_words(self) -> int:
        """Words of a text that are read, from its beginning, as tokens or as regions."""
        return self.longest if self.vocabulary else int(self.extractors.described.get("text", {}).get("longest", 0))

    @cached_property
    def _places(self) -> dict[str, int]:
        """Where each word stands in the vocabulary: built once, since a stream of texts comes in many pieces."""
        return {word: position for position, word in enumerate(self.vocabulary) if position}

    def tokens(self, texts: Sequence[str]) -> tuple[Modality, int, int]:
        """Texts as the model reads them, how many were cut to ``longest`` words, and how many have no known word."""
        if not self.vocabulary:
            raise InputError("the model has no vocabulary: it takes arrays as it was trained on, not texts")
        split = splitter(self.words)
        place = self._places
        values = np.zeros((len(texts), max(1, self.longest)), np.int32)
        lengths = np.zeros(len(texts), np.int32)
        cut = 0
        for row, text in enumerate(texts):
            found = [place[word] for word in split(text) if word in place]
            cut += len(found) > self.longest
            lengths[row] = min(len(found), self.longest)
            values[row, : lengths[row]] = found[: self.longest]
        return Modality("tokens", values, lengths, self.vocabulary), cut, int((lengths == 0).sum())

    def remarks(self, cut: int, unknown: int) -> list[str]:
        """What is worth knowing of texts of which so many were cut, and so many have no known word."""
        found = []
        if cut:
            found.append(f"texts with more than {self.most_words} known words: {cut:,}; the first ones are read")
        if unknown:
            found.append(f"texts without a word of the vocabulary: {unknown:,}; they share one code")
        return found
