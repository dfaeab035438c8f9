"""What every dataset loader returns: two modalities, labels, splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from udsph.errors import InputError

Kind = Literal["pixels", "vectors", "regions", "tokens"]


@dataclass(frozen=True)
class Modality:
    """One view of all items.

    Attributes
    ----------
    kind
        ``pixels``: ``values`` is uint8 ``(n, height, width, 3)``.
        ``vectors``: float32 ``(n, dims)``, dense or ``scipy.sparse.csr_array``; no local parts.
        ``regions``: float32 ``(n, parts, dims)``, sets of local features, ``lengths`` of them valid.
        ``tokens``: int32 ``(n, longest)``, indices into ``vocabulary``; index 0 is padding.
    values
        Anything that answers ``values[int64 index array]`` with a NumPy (or CSR) array of those rows:
        an array, a memory map, or a lazy reader.
    lengths
        int32 ``(n,)``, the number of valid parts (``regions``, ``tokens``), or None where all are.
    vocabulary
        Names of the tokens (``tokens``) or of the columns (``vectors``), or None.
    """

    kind: Kind
    values: Any
    lengths: np.ndarray | None = None
    vocabulary: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item."""
        return tuple(int(s) for s in self.values.shape[1:])

    def take(self, index: np.ndarray) -> Modality:
        """The same modality for the items of ``index`` only."""
        lengths = None if self.lengths is None else self.lengths[index]
        return Modality(self.kind, self.values[index], lengths, self.vocabulary)


@dataclass(frozen=True)
class Dataset:
    """Paired images and texts with labels and the splits of a retrieval protocol.

    Attributes
    ----------
    labels
        uint8 ``(n, classes)``, multi-hot.
    splits
        int64 index arrays ``train``, ``database``, ``query``. Queries are in neither of the others;
        train is usually inside database.
    settings
        What the loader was given, as stored with a run.
    """

    name: str
    image: Modality
    text: Modality
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: Mapping[str, np.ndarray]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.labels)
        for view, values in (("image", self.image), ("text", self.text)):
            if len(values) != n:
                raise InputError(
                    f"{self.name}: {len(values)} {view} rows but {n} label rows; they must be the same items"
                )
        for name in ("train", "database", "query"):
            if name not in self.splits:
                raise InputError(f"{self.name}: the split '{name}' is missing")
            index = self.splits[name]
            if len(index) == 0:
                raise InputError(f"{self.name}: the split '{name}' is empty")
            if index.min() < 0 or index.max() >= n:
                raise InputError(f"{self.name}: the split '{name}' names item {index.max()} of {n} items")

    def __len__(self) -> int:
        return len(self.labels)


def split_validation(train: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Part a training split into (fitted, validation), both sorted, by a seeded permutation."""
    order = np.random.default_rng(seed).permutation(len(train))
    held = max(1, round(fraction * len(train)))
    return np.sort(train[order[held:]]), np.sort(train[order[:held]])
