"""Wiki: Wikipedia featured articles with their pictures, as features.

N. Rasiwasia et al., "A new approach to cross-modal multimedia retrieval", ACM Multimedia 2010. 2173 training and 693
test pairs of 10 classes. The folder holds ``raw_features.mat``, ``trainset_txt_img_cat.list``,
``testset_txt_img_cat.list`` and ``categories.list``. The class -1 is one that is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from udsph.data.arrays import Arrays
from udsph.data.checks import as_float32
from udsph.data.dataset import Dataset, Modality
from udsph.data.lines import read_lines, read_names
from udsph.data.quotes import shown
from udsph.data.registry import Layout
from udsph.data.settings import Setting
from udsph.data.supervision import UNKNOWN
from udsph.errors import InputError

SETTINGS = {
    "text": Setting("lda+tfidf", str, "the text features, lda+tfidf or lda", choices=("lda+tfidf", "lda")),
}
_FEATURES = "raw_features.mat"
_TEXT_KEYS = {"lda": "T", "tfidf": "T_tfidf"}


def load(root: Path, *, text: str) -> Dataset:
    """Queries are the test pairs, training set and database are the training pairs.

    Returns
    -------
    Dataset
        Training pairs first, in the order of their list. Images: ``vectors`` ``(2866, 128)``, a histogram of SIFT words
        with sum 1. Texts: 10 LDA topics with sum 1, then, with ``lda+tfidf``, 1000 TF-IDF words with Euclidean norm 1.
        Everything as it is in the file, not standardised.
    """
    for name in (_FEATURES, "categories.list", "trainset_txt_img_cat.list", "testset_txt_img_cat.list"):
        if not (root / name).is_file():
            raise InputError(f"wiki: '{name}' is missing in '{root}'; give the folder that holds it as root")
    classes = read_names(root / "categories.list", "wiki", numbered=True)
    numbers = {
        split: _class_numbers(root / f"{split}set_txt_img_cat.list", len(classes)) for split in ("train", "test")
    }
    with Arrays(root / _FEATURES) as arrays:
        image = _rows(arrays, "I", numbers)
        words = np.concatenate([_rows(arrays, _TEXT_KEYS[part], numbers) for part in text.split("+")], axis=1)
    n_train, n_test = len(numbers["train"]), len(numbers["test"])
    labels = np.zeros((n_train + n_test, len(classes)), dtype=np.uint8)
    classed = np.concatenate([numbers["train"], numbers["test"]])
    known = classed != UNKNOWN
    labels[known, classed[known] - 1] = 1
    return Dataset(
        name="wiki",
        image=Modality("vectors", image),
        text=Modality("vectors", words),
        labels=labels,
        classes=classes,
        splits={
            "train": np.arange(n_train),
            "database": np.arange(n_train),
            "query": np.arange(n_train, n_train + n_test),
        },
        known=known,
    )


def _rows(arrays: Arrays, key: str, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Training rows, then test rows, of one kind of features."""
    parts = []
    for split, suffix in (("train", "tr"), ("test", "te")):
        part = as_float32(arrays.read(f"{key}_{suffix}"), f"wiki: {_FEATURES}: '{key}_{suffix}'")
        if part.ndim != 2 or len(part) != len(numbers[split]):
            raise InputError(
                f"wiki: '{key}_{suffix}' is {' x '.join(map(str, part.shape))} "
                f"but {split}set_txt_img_cat.list has {len(numbers[split])} lines; they must be the same items, "
                f"and one without a class keeps its line, with -1"
            )
        parts.append(part)
    if parts[0].shape[1] != parts[1].shape[1]:
        raise InputError(f"wiki: '{key}_tr' has {parts[0].shape[1]} columns but '{key}_te' {parts[1].shape[1]}")
    return np.concatenate(parts)


def _class_numbers(path: Path, classes: int) -> np.ndarray:
    """The third column of a list, 1 to ``classes``, or -1: int64 ``(n,)``."""
    numbers = []
    for line_number, line in enumerate(read_lines(path, "wiki"), start=1):
        fields = line.split("\t")
        number = fields[2].strip() if len(fields) == 3 else ""
        if number != str(UNKNOWN) and (not number.isdecimal() or not 1 <= int(number) <= classes):
            raise InputError(
                f"wiki: line {line_number} of {path.name} is '{shown(line)}'; "
                f"expected text, image and a class from 1 to {classes}, parted by tabs"
            )
        numbers.append(int(number))
    return np.array(numbers, dtype=np.int64)


LAYOUT = Layout(load, SETTINGS)
