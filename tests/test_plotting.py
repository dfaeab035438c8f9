"""The one style of the figures: colours that everybody tells apart, labels that do not meet, SVG for a page."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")

from udsph import plotting  # noqa: E402
from udsph.plotting import COLOURS, HUES, apart, label_along, label_ends, save, style, svg  # noqa: E402


def rgb(colour: str) -> np.ndarray:
    return np.array(matplotlib.colors.to_rgb(colour))


def contrast(one: str, other: str) -> float:
    """WCAG 2."""
    parts = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (rgb(one), rgb(other))]
    low, high = sorted(float(part @ [0.2126, 0.7152, 0.0722]) for part in parts)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_everybody_tells_the_hues_apart_on_both_grounds(theme: int) -> None:
    colorspacious = pytest.importorskip("colorspacious")
    hues = [COLOURS[name][theme] for name in list(COLOURS)[: len(HUES)]]
    for kind in (None, "deuteranomaly", "protanomaly", "tritanomaly"):
        seen = np.array([rgb(hue) for hue in hues])
        if kind is not None:
            space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
            seen = np.clip(colorspacious.cspace_convert(seen, space, "sRGB1"), 0, 1)
        places = colorspacious.cspace_convert(seen, "sRGB1", "CAM02-UCS")
        least = min(np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2))
        assert least >= 15, kind
    ground = COLOURS["surface"][theme]
    texts = [*hues, COLOURS["ink"][theme], COLOURS["muted"][theme]]
    assert all(contrast(colour, ground) >= 4.5 for colour in texts), "all of them are colours of text"


def test_labels_that_would_meet_move_by_the_least_squares() -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    random = np.random.default_rng(0)
    for n in (1, 2, 9, 40):
        wanted = random.random(n) * 20
        found = apart(wanted, 1.5)
        order = np.argsort(wanted, kind="stable")
        steps = 1.5 * np.arange(n)
        assert (np.diff(found[order]) >= 1.5 - 1e-9).all()
        assert found[order] == pytest.approx(isotonic.isotonic_regression(wanted[order] - steps) + steps)
    assert apart([], 1).tolist() == [] and apart([5, 1], 1).tolist() == [5, 1]


def test_labels_stay_between_the_bounds_where_they_fit() -> None:
    assert apart([9, 9.5, 10], 2, 0, 10).tolist() == [6, 8, 10]
    assert apart([0, 0.1], 2, 0, 10).tolist() == [0, 2]
    assert np.diff(apart([1, 1, 1], 2, 0, 3)).tolist() == [2, 2], "those that do not fit stay apart"


def drawn(names: tuple[str, ...] = ("first", "second", "third")) -> object:
    figure = plotting.figure(4, 3)
    axes = figure.subplots()
    ends = []
    for name, hue, marker in zip(names, HUES, plotting.MARKERS, strict=False):
        axes.plot([0, 1, 2], [1, 2, 1.5], color=hue, marker=marker)
        ends.append((name, 2, 1.5, hue))
    axes.set(title=names[0], xlim=(0, 2))
    label_ends(axes, ends)
    return figure


def test_names_of_lines_that_end_at_one_point_do_not_cover_one_another() -> None:
    with style():
        figure = drawn()
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_names_along_lines_stand_where_these_are_furthest_apart() -> None:
    with style():
        axes = plotting.figure(4, 3).subplots()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        x = np.linspace(0, 1, 50)
        lines = {"over": 0.5 + 0.4 * np.sin(np.pi * x), "under": np.full(50, 0.5)}
        texts = label_along(axes, [(name, x, y, HUES[0]) for name, y in lines.items()])
    assert [text.xy[0] for text in texts] == pytest.approx([0.5, 0.5], abs=0.03)
    assert [text.xy[1] for text in texts] == pytest.approx([0.9, 0.5], abs=0.01)


HOSTILE = 'a <script>alert(1)</script> & $x_{$ " id="x" #1a478c --> href="#y"'


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # the name is wider than the figure
def test_an_svg_for_a_page_names_no_address_and_takes_its_colours() -> None:
    with style():
        text = svg(drawn((HOSTILE, "second")), "one", "precision <&> recall")
    tree = ElementTree.fromstring(text)
    assert HOSTILE in {element.text for element in tree.iter("text")}, "as it was given"
    assert tree.attrib["role"] == "img" and tree.attrib["aria-label"] == "precision <&> recall"
    tags = "".join(re.findall(r"<[^>]*>", text))
    assert "//" not in tags and "<script" not in tags and "<style" not in tags and "font-family" not in tags
    assert not re.search(r"#[0-9a-f]{6}\b", tags), "colours are variables"
    assert "var(--blue)" in tags and "var(--muted)" in tags


def test_ids_are_those_that_are_used_and_are_of_one_figure() -> None:
    with style():
        texts = [svg(drawn(), name) for name in ("one", "two", "one")]
    assert texts[0] == texts[2], "the same figure has the same bytes"
    ids = [re.findall(r' id="([^"]*)"', text) for text in texts[:2]]
    assert ids[0] and not set(ids[0]) & set(ids[1])
    for text, own in zip(texts, ids, strict=False):
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) == set(own) and len(set(own)) == len(own)


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_figures_are_written_whole(tmp_path: Path, suffix: str, begins: bytes) -> None:
    with style():
        path = save(drawn(), tmp_path / f"a.{suffix}")
    assert path.read_bytes().startswith(begins)
    assert [file.name for file in tmp_path.iterdir()] == [f"a.{suffix}"]


def test_an_svg_file_has_both_themes_and_a_ground(tmp_path: Path) -> None:
    with style():
        text = save(drawn(), tmp_path / "a.svg").read_text(encoding="utf-8")
    space = "{http://www.w3.org/2000/svg}"
    root = ElementTree.fromstring(text.encode())
    (css,) = [element.text or "" for element in root.iter(f"{space}style")]
    light, dark = css.split("prefers-color-scheme: dark")
    for name, (on_light, on_dark) in COLOURS.items():
        assert f"--{name}: {on_light};" in light and f"--{name}: {on_dark};" in dark
    assert root[1].tag == f"{space}rect" and root[1].attrib["fill"] == "var(--surface)"
    assert re.findall(r"\w+://[^\s\"'<]+", text) == ["http://www.w3.org/2000/svg"]


def test_the_settings_of_the_user_are_left_alone_and_do_not_reach_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "text.usetex", True)
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9.0)
    with style():
        assert not matplotlib.rcParams["text.usetex"] and matplotlib.rcParams["lines.linewidth"] < 3
    assert matplotlib.rcParams["text.usetex"] and matplotlib.rcParams["lines.linewidth"] == 9
