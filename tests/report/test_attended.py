"""The picture of where classes looked: what is shaded, for pictures and for words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")

from PIL import Image  # noqa: E402

from udsph.report.attended import Looks, draw_attended, shades  # noqa: E402


def drawn(items: list[Looks], path: Path, classes: tuple[str, ...] = ("ant", "bee", "cow")) -> np.ndarray:
    draw_attended(items, classes, path, k=2)
    return np.asarray(Image.open(path).convert("RGB"))


def test_a_picture_stays_visible_where_its_surest_class_looked(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4] = (200, 0, 0)
    picture[4:] = (0, 0, 200)
    weights = np.full((3, 4), 0.25)
    weights[1] = [0.5, 0.5, 0, 0]  # the bee looked at the upper half, which is red
    found = drawn([Looks(picture, weights, np.array([0.1, 0.9, 0.2]), (2, 2))], tmp_path / "a.png")
    third = found[:, found.shape[1] // 3 : 2 * found.shape[1] // 3]
    assert (third == (200, 0, 0)).all(2).any() and not (third == (0, 0, 200)).all(2).any()
    assert (found == (0, 0, 200)).all(2).any(), "the item itself is shown as it is"


def test_the_words_that_were_looked_at_have_the_darkest_ground(tmp_path: Path) -> None:
    weights = np.zeros((3, 6))
    weights[0, 1] = weights[2, 0] = 1.0
    item = Looks(("a", "dog", "runs", "$x$"), weights, np.array([0.9, 0.1, 0.5]))
    shaded = drawn([item, item], tmp_path / "a.png")
    plain = drawn([Looks(item.shown, np.zeros((3, 6)), item.scores)] * 2, tmp_path / "b.png")
    assert (shaded != plain).any(2).mean() > 1e-3


def test_shades_are_shares_of_the_greatest_weight() -> None:
    assert shades(np.array([0.1, 0.2, 0.0])).tolist() == [0.5, 1.0, 0.0]
    assert shades(np.zeros(2)).tolist() == [0, 0] and shades(np.zeros(0)).tolist() == []
