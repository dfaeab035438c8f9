"""Codes that hardly differ are remarked on, and only these."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from udsph.data import Dataset
from udsph.encoding import encode_file
from udsph.encoding.collapse import Collapse
from udsph.training import UDSPH


def remarks(codes: np.ndarray, classes: int, bits: int = 64) -> list[str]:
    collapse = Collapse("image", classes, bits)
    for part in np.array_split(codes, 3):
        collapse.add(part)
    return collapse.remarks()


def different(count: int, items: int) -> np.ndarray:
    return (np.arange(items, dtype=np.uint64) % count)[:, None].view(np.uint8)


@pytest.mark.parametrize(
    ("found", "items", "classes", "bits", "collapsed"),
    [
        (2, 159, 24, 64, True),
        (1, 32, 2, 64, True),
        (2, 100, 2, 64, False),  # a code for each class
        (2, 100, 4, 64, True),
        (3, 100, 4, 64, False),
        (20, 5000, 80, 64, True),
        (21, 5000, 80, 64, False),
        (1, 31, 24, 64, False),  # too few items to tell
        (15, 40, 80, 64, False),
        (2, 100, 24, 1, False),  # a bit tells no more apart
        (1, 100, 24, 1, True),
        (25, 100, 0, 64, True),  # without labels every pair is like no other
        (26, 100, 0, 64, False),
        (257, 5000, 0, 64, False),
        (3, 100, 0, 2, False),
    ],
)
def test_few_codes_for_items_classes_and_bits(found: int, items: int, classes: int, bits: int, collapsed: bool) -> None:
    said = remarks(different(found, items), classes, bits)
    assert bool(said) == collapsed
    if said:
        codes = "one code" if found == 1 else f"{found} different codes"
        assert said[0].startswith(f"{items:,} images have {codes} of {bits} bits")


def test_many_codes_are_not_all_remembered() -> None:
    collapse = Collapse("text", 24, 64)
    collapse.add(different(100_000, 100_000))
    assert len(collapse._seen) < 2000 and not collapse.remarks()


def test_every_door_remarks_on_it(
    model: UDSPH, scenes: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    same = np.repeat(scenes.image.values[:1], 159, axis=0)
    model.encode_image(same)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.getMessage().startswith("159 images have one code of 16 bits")
    np.save(tmp_path / "in.npy", same)
    tally = encode_file(model, tmp_path / "in.npy", tmp_path / "codes.npy", modality="image")
    assert tally.remarks == [record.getMessage()]
