"""Small datasets that train in a second."""

from __future__ import annotations

import numpy as np
import pytest

from udsph.data import Dataset, Modality

CLASSES = ("ant", "bee", "cow", "dog")


def make_dataset(
    kinds: tuple[str, str] = ("vectors", "vectors"), n: int = 96, seed: int = 0, multi: bool = False
) -> Dataset:
    """Pairs whose views follow from their labels, a quarter of them queries."""
    random = np.random.default_rng(seed)
    labels = np.eye(len(CLASSES), dtype=np.uint8)[random.integers(len(CLASSES), size=n)]
    if multi:
        labels |= (random.random(labels.shape) < 0.2).astype(np.uint8)
    views = [make_view(kind, labels, random) for kind in kinds]
    order = np.arange(n)
    splits = {"query": order[: n // 4], "train": order[n // 4 :], "database": order[n // 4 :]}
    return Dataset("toy", *views, labels, CLASSES, splits)


def make_view(kind: str, labels: np.ndarray, random: np.random.Generator) -> Modality:
    n, classes = labels.shape
    if kind == "vectors":
        mixing = random.standard_normal((classes, 12))
        return Modality(kind, (labels @ mixing + 0.3 * random.standard_normal((n, 12))).astype(np.float32))
    if kind == "regions":
        regions = 0.3 * random.standard_normal((n, 5, classes)) + labels[:, None]
        return Modality(kind, regions.astype(np.float32), random.integers(1, 6, size=n).astype(np.int32))
    if kind == "pixels":
        colours = random.integers(60, 256, size=(classes, 3))
        flat = (labels / labels.sum(1, keepdims=True)) @ colours
        noise = random.integers(-30, 30, size=(n, 16, 16, 3))
        return Modality(kind, np.clip(flat[:, None, None] + noise, 0, 255).astype(np.uint8))
    words = random.integers(classes + 1, 10, size=(n, 6))
    words[:, 0] = labels.argmax(1) + 1
    lengths = random.integers(2, 7, size=n).astype(np.int32)
    words[np.arange(6) >= lengths[:, None]] = 0
    return Modality("tokens", words.astype(np.int32), lengths, ("<pad>", *(f"word{k}" for k in range(9))))


QUICK = {
    **{
        "bits": 16,
        "epochs": 4,
        "batch_size": 24,
        "label_steps": 60,
        "attention_pairs": 8,
        "part_width": 16,
        "width": 128,
    },
    **{"checkpoint_seconds": 0, "device": "cpu"},
}


@pytest.fixture(scope="session")
def toy() -> Dataset:
    return make_dataset()


@pytest.fixture(scope="session")
def scenes_like() -> Dataset:
    return make_dataset(("pixels", "tokens"), multi=True)
