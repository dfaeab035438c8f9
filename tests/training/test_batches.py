"""Mean and deviation of the columns of a modality, over the whole of it or over enough of it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch, of the extra train, is not installed")

from udsph.data import Modality
from udsph.training import batches


def test_statistics_over_the_valid_parts_of_the_named_items() -> None:
    values = np.random.default_rng(0).normal(3, 2, (40, 5, 4)).astype(np.float32)
    lengths = np.random.default_rng(1).integers(1, 6, 40).astype(np.int32)
    index = np.arange(0, 40, 3)
    found = batches.statistics(Modality("regions", values, lengths), index, size=4)
    assert found is not None
    rows = np.concatenate([values[item, : lengths[item]] for item in index]).astype(np.float64)
    np.testing.assert_allclose(found[0], rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found[1], rows.std(0), rtol=1e-5)
    assert batches.statistics(Modality("pixels", np.zeros((3, 8, 8, 3), np.uint8)), np.arange(3)) is None


def test_of_very_many_items_an_even_part_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "STATISTICS_ITEMS", 10)
    values = np.random.default_rng(0).normal(size=(35, 3)).astype(np.float32)
    found = batches.statistics(Modality("vectors", values), np.arange(35))
    assert found is not None
    np.testing.assert_allclose(found[0], values[::4].astype(np.float64).mean(0), rtol=1e-5)


@pytest.mark.parametrize("items", [1, 3, 4, 6, 7, 100, 129])
def test_the_pieces_are_as_many_as_planned_and_hold_every_item_once(items: int) -> None:
    made = batches.pieces(np.arange(items), 4)
    assert len(made) == batches.number_of_pieces(items, 4)
    np.testing.assert_array_equal(np.concatenate(made), np.arange(items))
    assert max(map(len, made)) - min(map(len, made)) <= 1
