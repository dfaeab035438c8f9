"""The picture of retrieved items: what is drawn, in which font, and what cannot be drawn."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")

from PIL import Image  # noqa: E402

from udsph import data  # noqa: E402
from udsph.data import Dataset, Modality  # noqa: E402
from udsph.errors import InputError  # noqa: E402
from udsph.report import frames, retrieval  # noqa: E402
from udsph.report.retrieval import draw_retrieval  # noqa: E402


def dataset(captions: tuple[str, ...] | None = None, kind: str = "pixels") -> Dataset:
    n = 6
    pixels = np.full((n, 8, 8, 3), 40, np.uint8)
    pixels[:, :, :, 0] = 40 * np.arange(n)[:, None, None]
    image = Modality("pixels", pixels) if kind == "pixels" else Modality("vectors", np.ones((n, 3), np.float32))
    splits = {"query": np.array([0, 1]), "train": np.arange(2, n), "database": np.arange(2, n)}
    text = Modality("vectors", np.ones((n, 3), np.float32))
    return Dataset("mine", image, text, np.eye(2, dtype=np.uint8)[np.arange(n) % 2], ("a", "b"), splits, {}, captions)


def draw(found: Dataset, path: Path) -> np.ndarray:
    answers = np.array([[0, 1], [3, -1]])
    draw_retrieval(found, found.splits["query"], found.splits["database"], answers, answers, path)
    return np.asarray(Image.open(path).convert("RGB"))


def test_queries_and_answers_are_drawn(tmp_path: Path) -> None:
    picture = draw(dataset(tuple(f"caption {k}" for k in range(6))), tmp_path / "a.png")
    colours = set(map(tuple, picture.reshape(-1, 3).tolist()))
    # The queries 0 and 1 and the items that were found for them: 2, 3 and 5, but not 4.
    assert {(40 * k, 40, 40) for k in (0, 1, 2, 3, 5)} <= colours
    assert (160, 40, 40) not in colours
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_characters_that_no_font_has_are_said_once(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        draw(dataset(("\U0001f9ff\u4e2d" * 90,) * 6), tmp_path / "a.png")
    assert sum("boxes stand in their place" in str(one.message) for one in seen) == len(seen) <= 1


def test_long_captions_are_cut() -> None:
    from udsph.report.retrieval import _lines

    for caption, width in (("word " * 200, 20), ("中国" * 200, 10)):
        lines = _lines(dataset((caption,) * 6), 0).splitlines()
        assert len(lines) == 8
        assert max(map(len, lines)) <= width
        assert lines[-1].endswith("...")


@pytest.mark.parametrize(("kind", "captions"), [("vectors", ("a",) * 6), ("pixels", None)])
def test_a_dataset_without_pixels_or_captions(tmp_path: Path, kind: str, captions: tuple[str, ...] | None) -> None:
    with pytest.raises(InputError, match=f"mine: a picture of retrieved items needs .* its images are {kind}"):
        draw(dataset(captions, kind), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_the_scenes_can_be_drawn(tmp_path: Path) -> None:
    assert draw(data.load("scenes", pairs=20, workers=1), tmp_path / "a.png").std() > 10


@pytest.mark.filterwarnings("ignore:no font that is installed")
def test_no_caption_is_interpreted_or_ends_the_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = (
        "it costs $5 or $\\frac{1$",
        "$x_{$",
        "a\x00b\x07\x1b[31m\r\n\u2028c",
        "\ud800 lone",
        "",
        "x" * 10_000_000,
    )
    drawn = []
    whole = retrieval._figure_of
    monkeypatch.setattr(retrieval, "_figure_of", lambda *given: drawn.append(whole(*given)) or drawn[0])
    draw(dataset(captions), tmp_path / "a.png")
    texts = [text for axis in drawn[0].axes for text in axis.texts]
    assert not any(text.get_parse_math() for text in texts)
    shown = {text.get_text().replace("\n", " ") for text in texts}
    assert {"it costs $5 or $\\frac{1$", "$x_{$"} <= shown


def test_captions_are_in_one_line_before_they_are_wrapped() -> None:
    lines = [retrieval._lines(dataset((text,) * 6), 0) for text in ("a\x00b\r\nc\u2028d", "a\ud800b", "")]
    assert lines == ["a b  c d", "a\ufffdb", ""]


def test_mathematics_is_drawn_as_it_is_written(tmp_path: Path) -> None:
    """The picture of ``$x$`` is wider than that of ``x``, since dollars are signs like others."""
    found = [draw(dataset((text,) * 6), tmp_path / "a.png") for text in ("$x$", "x", "#x#")]
    dark = [int((picture.sum(axis=2) < 300).sum()) for picture in found]
    assert dark[0] > dark[1] and dark[2] > dark[1]


def test_a_damaged_font_file_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.font_manager import FontEntry, fontManager

    (tmp_path / "broken.ttf").write_bytes(b"no font")
    bad = [FontEntry(fname=str(tmp_path / name), name=name) for name in ("broken.ttf", "gone.ttf")]
    monkeypatch.setattr(fontManager, "ttflist", [*bad, *fontManager.ttflist])
    with pytest.warns(UserWarning, match=r"no font that is installed has all characters .*'\\u0378' for one"):
        draw(dataset(("\u0378",) * 6), tmp_path / "a.png")  # no character


def test_a_font_of_boxes_stands_for_no_other() -> None:
    """Last Resort, which comes with matplotlib, has every character, as a box."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not any("Last Resort" in font for font in frames.fonts_for("\u4e2d\U0001f9ff"))


def test_an_answer_is_right_or_wrong_only_where_labels_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    whole = retrieval._figure_of
    monkeypatch.setattr(retrieval, "_figure_of", lambda *given: drawn.append(whole(*given)) or drawn[-1])
    known = dataset(("a",) * 6)
    labels = known.labels.astype(int)
    labels[[1, 2]] = -1
    for found in (known, replace(known, labels=labels), replace(known, labels=None, classes=())):
        draw(found, tmp_path / "a.png")
    titles = [[axis.get_title() for axis in figure.axes if axis.get_title()] for figure in drawn]
    titles = [[title for title in each if "query" not in title] for each in titles]
    assert titles == [
        ["1 label shared", "0 labels shared"] * 2 + ["1 label shared"] * 2,
        ["labels not known", "0 labels shared"] * 2 + ["labels not known"] * 2,
        ["found"] * 6,
    ]
