"""UDSPH itself and SSAH, through UDSPH's own trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from udsph.baselines.base import Kind, Method
from udsph.baselines.inputs import UNKNOWN, Range, check_labels, labelled_rows
from udsph.baselines.networks import as_many_steps, as_modality, check_varied
from udsph.data import Dataset, Modality
from udsph.errors import InputError
from udsph.training import UDSPH, Config
from udsph.training.plan import default_epochs

BATCH = Config().batch_size


class FullUDSPH(Method):
    """UDSPH as ``udsph train`` trains it; see ``docs/model.md``.

    Parameters
    ----------
    bits, random_state
        Length of the codes; seed.
    epochs
        Passes over the pairs; 0 chooses by the kind of data.
    device, precision
        As :class:`~udsph.training.Config` has them.
    """

    kind: ClassVar[Kind] = "deep"
    supervised: ClassVar[bool] = True
    semi_supervised: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, Range]] = {"epochs": Range(0, whole=True)}
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        bits: int = 64,
        random_state: int = 0,
        epochs: int = 0,
        device: str = "auto",
        precision: str = "32-true",
    ) -> None:
        self.bits = bits
        self.random_state = random_state
        self.epochs = epochs
        self.device = device
        self.precision = precision

    def fit(self, images: Any, texts: Any, labels: Any = None) -> FullUDSPH:
        """Learn from pairs, of which some or none may have labels; nothing but these pairs is looked at, the
        validation part is cut from them.
        """
        self._check_settings()
        image, text = as_modality(images, "images"), as_modality(texts, "texts")
        if len(image) != len(text):
            raise InputError(f"{len(image)} images but {len(text)} texts; row i of both must be one pair")
        check_varied(image, "images")
        check_varied(text, "texts")
        pairs, known, epochs = len(image), self._labelled(labels, len(image)), self.epochs
        if known is not None:
            image, text, labels = image.take(known), text.take(known), np.asarray(labels)[known]
            epochs = as_many_steps(epochs or default_epochs(image, text, pairs, BATCH), pairs, len(image), BATCH)
        config = Config(
            bits=int(self.bits),
            seed=int(self.random_state),
            epochs=epochs,
            device=self.device,
            precision=self.precision,
            **self.settings,
        )
        self.model_ = UDSPH(config=config).fit(as_dataset(image, text, labels), progress=False)
        self.fitted_ = True
        return self

    def encode_image(self, images: Any) -> np.ndarray:
        """Packed codes of images alone: uint8 ``(n, ceil(bits / 8))``."""
        self._check_fitted()
        return self.model_.encode_image(as_modality(images, "images", empty=True))

    def encode_text(self, texts: Any) -> np.ndarray:
        """Packed codes of texts alone: uint8 ``(n, ceil(bits / 8))``."""
        self._check_fitted()
        return self.model_.encode_text(as_modality(texts, "texts", empty=True))


def as_dataset(image: Modality, text: Modality, labels: Any) -> Dataset:
    """Pairs to train on, as the trainer takes them.

    A dataset needs a query that is not trained on, though training never reads it: the first pair once more.
    """
    pairs, known = len(image), labelled_rows(labels)
    marks = np.zeros((pairs, 0), np.int8)
    if known is not None and len(np.asarray(labels)) == pairs:
        found = check_labels(np.asarray(labels)[known], len(known))
        marks = np.full((pairs, found.shape[1]), UNKNOWN, np.int8)
        marks[known] = found
    elif known is not None:
        check_labels(labels, pairs)
    everything, rows = np.arange(pairs), np.append(np.arange(pairs), 0)
    return Dataset(
        name="pairs",
        image=image.take(rows),
        text=text.take(rows),
        labels=marks[rows],
        classes=tuple(f"class {number}" for number in range(marks.shape[1])),
        splits={"train": everything, "database": everything, "query": rows[-1:] + pairs},
    )


class SSAH(FullUDSPH):
    """Self-supervised adversarial hashing: a label network teaches both modality networks, against discriminators.

    Source: C. Li, C. Deng, N. Li, W. Liu, X. Gao, D. Tao, "Self-supervised adversarial hashing networks for cross-modal
    retrieval", CVPR 2018.

    Objective: pairwise likelihood of the features and of the codes of each modality against those of the label network,
    quantisation, classification, and a discriminator per modality between its features and the label network's. These
    are UDSPH's losses without cross-modal attention and without the balance of the codes (``weight_match`` and
    ``weight_equal`` are 0), each with weight 1 but for the adversarial one.

    Deviations: the adversarial loss has weight 0.05; the label network is trained first and then fixed; losses are
    means, the likelihood is linear in the logarithm, and the adversarial loss reaches the modality networks (the
    published code squares the one and cuts off the other); discriminators use cross-entropy; the encoders are those of
    the whole comparison; the epoch is chosen on a part of the training pairs, not on the queries.
    """

    semi_supervised: ClassVar[bool] = False
    settings: ClassVar[dict[str, Any]] = {
        "attention": "none",
        "adversarial": "features",
        "label_loss": "pairwise",
        "weight_match": 0.0,
        "weight_equal": 0.0,
        "weight_pairwise": 1.0,
        "weight_feature": 1.0,
        "weight_bit": 1.0,
        "weight_classify": 1.0,
        "weight_adversary": 0.05,
    }


METHODS = {"ssah": SSAH, "udsph": FullUDSPH}
