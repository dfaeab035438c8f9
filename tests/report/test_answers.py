"""The picture of answers to a search: no text of a user is interpreted or ends the drawing."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")

from PIL import Image  # noqa: E402

from udsph.report import answers  # noqa: E402


def test_names_and_texts_are_drawn_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "text.usetex", True)  # as a matplotlibrc may have it
    drawn = []
    whole = answers._figure_of
    monkeypatch.setattr(answers, "_figure_of", lambda *given: drawn.append(whole(*given)) or drawn[0])
    picture = np.full((8, 8, 3), 200, np.uint8)
    found = [[("$x_{$ costs", "a\udcff$_{.png\n3"), (picture, "\x00")], [(picture, "b")]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers.draw_answers(["\\frac{1$ $", picture], found, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
    texts = [text for axis in drawn[0].axes for text in (*axis.texts, axis.title)]
    assert {"$x_{$ costs", "a\ufffd$_{.png 3", "\\frac{1$ $", "query"} <= {text.get_text() for text in texts}
    assert not any(text.get_parse_math() or text.get_usetex() for text in texts)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
