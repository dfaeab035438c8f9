"""Extractors by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from udsph.errors import InputError
from udsph.features.base import ImageExtractor, TextExtractor

IMAGE_EXTRACTORS = ("cnnf", "efficientnet-lite0", "huggingface", "timm")
"""Names that ``image_extractor`` takes."""
TEXT_EXTRACTORS = ("doc2vec", "word2vec", "glove", "wordllama", "minilm", "huggingface")
"""Names that ``text_extractor`` takes."""
LEARNING = ("efficientnet-lite0", "word2vec", "doc2vec")  # what they learnt lies in NAME.json and NAME.safetensors
PACKAGED = ("glove", "wordllama", "minilm")  # whose weights lie in a package, and nowhere else


def learns(described: Mapping[str, Any]) -> bool:
    """Whether an extractor that so describes itself has learnt something from the training items, and stores it."""
    kind = described["extractor"]
    return kind in LEARNING and not (kind == "efficientnet-lite0" and described.get("form") == "vectors")


def image_extractor(name: str, *, weights: str = "", form: str = "vectors", dims: int = 64) -> ImageExtractor:
    """An extractor of image features.

    Parameters
    ----------
    name
        One of ``IMAGE_EXTRACTORS``.
    weights
        ``imagenet-vgg-f.mat``; a folder or hub name of a Hugging Face model; the name of a timm model; a file for
        ``efficientnet-lite0`` if not that of its package.
    form
        ``vectors`` or ``regions``.
    dims
        Principal directions that are kept of the regions of ``efficientnet-lite0``.
    """
    if name == "cnnf":
        from udsph.features.cnnf import CnnfExtractor

        return CnnfExtractor(weights, form)
    if name == "efficientnet-lite0":
        from udsph.features.efficientnet import EfficientNetImages

        return EfficientNetImages(weights, form, dims=dims)
    if name == "huggingface":
        from udsph.features.huggingface import HuggingFaceImages

        return HuggingFaceImages(weights, form)
    if name == "timm":
        from udsph.features.timm import TimmImages

        return TimmImages(weights, form)
    raise InputError(f"unknown image features '{name}'; known: keep, {', '.join(IMAGE_EXTRACTORS)}")


def text_extractor(
    name: str, *, weights: str = "", form: str = "vectors", dims: int = 200, seed: int = 0
) -> TextExtractor:
    """An extractor of text features.

    Parameters
    ----------
    name
        One of ``TEXT_EXTRACTORS``.
    weights
        For ``word2vec`` a file of vectors, for ``huggingface`` a folder or hub name.
    form
        ``vectors`` or ``regions`` (words).
    dims, seed
        Length and seed of vectors that are learnt.
    """
    if name == "huggingface":
        from udsph.features.huggingface import HuggingFaceTexts

        return HuggingFaceTexts(weights, form)
    if name in PACKAGED:
        return _packaged(name, weights, form)
    from udsph.features.words import Doc2Vec, Word2Vec

    if name == "word2vec":
        return Word2Vec(weights, form, dims=dims, seed=seed)
    if name == "doc2vec":
        if weights or form != "vectors":
            raise InputError(
                "doc2vec learns from the training texts and gives one vector a text; no weights or regions"
            )
        return Doc2Vec(dims=dims, seed=seed)
    raise InputError(f"unknown text features '{name}'; known: keep, {', '.join(TEXT_EXTRACTORS)}")


def _packaged(name: str, weights: str, form: str) -> TextExtractor:
    if weights:
        raise InputError(f"text_weights={weights}: {name} takes its weights from its package; leave it out")
    if name == "minilm":
        from udsph.features.minilm import MiniLM

        return MiniLM(form)
    from udsph.features.word_tables import Glove, WordLlama

    return Glove(form) if name == "glove" else WordLlama(form)
