"""Emotions: 593 songs, two views of their sound, six emotions of which several may hold.

K. Trohidis et al., "Multilabel classification of music into emotions", ISMIR 2008. The rhythm (8 features) stands for
the image, the timbre (64 features) for the text. The file ``emotions.mat`` holds ``view`` (a cell of the two views)
and ``label``, where a row of -1 is that of a song without labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.cells import read_mat
from udsph.data.checks import as_class_labels, as_float32
from udsph.data.dataset import Dataset, Modality
from udsph.data.protocols import MOST_SEED, seeded_fifth
from udsph.data.registry import Layout
from udsph.data.settings import Setting
from udsph.errors import InputError

SOURCE = "emotions.mat, with the two views in the cell 'view' and the emotions in 'label'"
SETTINGS = {"seed": Setting(0, int, "seed of the split, 0", least=0, most=MOST_SEED)}
# Their order in the published file; the class sizes are those of the publication's table.
CLASSES = ("amazed-surprised", "happy-pleased", "relaxing-calm", "quiet-still", "sad-lonely", "angry-fearful")


def load(root: Path, *, seed: int) -> Dataset:
    """A fifth of the songs, drawn by the seed, are queries; the others are training set and database.

    ``root`` is the file or the folder that holds it. Values are as in the file, not standardised.
    """
    path = root / "emotions.mat" if root.is_dir() else root
    if not path.is_file():
        raise InputError(f"emotions: '{path.name}' is missing in '{path.parent}'; give its folder as root")
    arrays = read_mat(path, ("view", "label"), "emotions")
    views = arrays["view"].reshape(-1)
    if len(views) != 2:
        raise InputError(f"emotions: 'view' in {path.name} holds {len(views)} views; expected 2")
    rhythm, timbre = (_view(values, f"emotions: view {number}") for number, values in enumerate(views, start=1))
    labels, classes, known = as_class_labels(arrays["label"], "emotions: 'label'")
    return Dataset(
        name="emotions",
        image=Modality("vectors", rhythm),
        text=Modality("vectors", timbre),
        labels=labels,
        classes=CLASSES if len(classes) == len(CLASSES) else classes,
        splits=seeded_fifth(len(labels), seed, "emotions"),
        known=known,
    )


def _view(values: Any, what: str) -> np.ndarray:
    if not isinstance(values, np.ndarray) or values.ndim != 2:
        raise InputError(f"{what} is no table of numbers")
    table: np.ndarray = as_float32(values, what)
    return table


LAYOUT = Layout(load, SETTINGS, SOURCE)
