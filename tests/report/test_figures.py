"""Figures of a comparison: which line is whose, error bars, captions, and names that look like mathematics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")

from udsph.plotting import style  # noqa: E402
from udsph.report import figures  # noqa: E402
from udsph.report.figures import draw_figures, styles_of  # noqa: E402

from .test_tables import ROWS, row  # noqa: E402

KINDS = {"random": "floor", "cvh": "unsupervised", "scm-seq": "supervised", "dcmh": "deep", "udsph": "deep"}


@pytest.fixture
def drawn(monkeypatch):
    """The figures as matplotlib has them, by the name of their file."""
    found = {}
    monkeypatch.setattr(figures, "save", lambda figure, path: found.update({path.name: figure}) or path)
    return found


def test_methods_differ_in_every_selection():
    for size in range(1, len(KINDS) + 1):
        for names in itertools.combinations(KINDS, size):
            styles = styles_of({name: KINDS[name] for name in names}).values()
            assert len({tuple(matplotlib.colors.to_rgba(line["color"])) for line in styles}) == size, names
            assert len({line["marker"] for line in styles}) == size, names


def test_a_hundred_methods_differ_too():
    styles = styles_of({f"method {k}": "deep" for k in range(100)}).values()
    assert len({(line["color"], line["marker"], line["markerfacecolor"]) for line in styles}) == 100


def test_the_dashes_tell_the_kind():
    lines = {name: line["linestyle"] for name, line in styles_of(KINDS).items()}
    assert lines["dcmh"] == lines["udsph"] == "-" and len(set(map(str, lines.values()))) == 4


def test_points_have_the_deviation_over_seeds_as_bars_and_one_seed_has_none(drawn, tmp_path):
    scores = {("cvh", 16): [0.2, 0.4], ("cvh", 32): [0.3, 0.3], ("dcmh", 16): [0.5]}
    rows = [
        row(name, bits, seed, (value, value))
        for (name, bits), values in scores.items()
        for seed, value in enumerate(values)
    ]
    draw_figures(rows, 0.1, "a set", tmp_path)
    first, second = drawn["map_by_bits.png"].axes[0].containers
    heights = [np.ptp(segment[:, 1]) for segment in first[2][0].get_segments() if len(segment)]
    assert heights == pytest.approx([2 * np.std([0.2, 0.4], ddof=1)])
    assert first[0].get_ydata() == pytest.approx([0.3, 0.3]) and second[0].get_ydata() == pytest.approx([0.5])
    assert not any(len(segment) for segment in second[2][0].get_segments())
    assert "mean and standard deviation over seeds" in drawn["map_by_bits.png"].get_suptitle().replace("\n", " ")


def test_times_have_bars_over_seeds_that_stay_above_zero(drawn, tmp_path):
    rows = [row("cvh", 16, seed) | {"train_seconds": seconds} for seed, seconds in enumerate([0.01, 10.0, 0.01])]
    draw_figures(rows, 0.1, "a set", tmp_path)
    (panel,) = drawn["train_seconds.png"].axes
    bars = next(container for container in panel.containers if hasattr(container, "has_xerr"))
    ((left, _), (right, _)) = bars[2][0].get_segments()[0]
    assert panel.get_xlim()[0] == pytest.approx(np.mean([0.01, 10, 0.01]) / 3), "the bars are not squeezed by it"
    assert 0 < left < right == pytest.approx(np.mean([0.01, 10, 0.01]) + np.std([0.01, 10, 0.01], ddof=1))


def test_every_figure_has_the_caption(drawn, tmp_path):
    draw_figures(ROWS[-2:], 0.1, "scenes; deep methods with 40 epochs " + "very long " * 100, tmp_path)
    for figure in drawn.values():
        words = figure.get_suptitle().replace("\n", " ")
        assert words.startswith("scenes; deep methods with 40 epochs") and words.endswith("...")
        assert "standard deviation" not in words, "of one seed"


HOSTILE = "$x_{$ $\\frac{1$ <b> \ud800 \x00\n\u4e2d" * 2


@pytest.mark.filterwarnings("ignore:Glyph")
def test_no_text_of_a_user_is_interpreted(drawn, tmp_path, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "text.usetex", True)  # as a matplotlibrc may have it
    rows = [row(HOSTILE, bits, seed, (0.2, 0.3)) for bits in (16, 32) for seed in (0, 1)]
    draw_figures(rows, 0.1, HOSTILE, tmp_path)
    with style():
        drawn["map_by_bits.png"].savefig(tmp_path / "a.png")
    texts = [text for figure in drawn.values() for text in figure.findobj(matplotlib.text.Text)]
    texts = [text for text in texts if "$x_{$ $\\frac{1$ <b> \ufffd" in text.get_text().replace("\n", " ")]
    assert len(texts) >= 8, "five captions, two panels and two legends with names, ticks of bars"
    assert not any(text.get_parse_math() or text.get_usetex() for text in texts)
    assert matplotlib.rcParams["text.usetex"] and matplotlib.rcParams["text.parse_math"], "the user's are as before"
    # Powers of ten are not left to mathematics either.
    ticks = [label.get_text() for axis in drawn["precision_at_n.png"].axes for label in axis.get_xticklabels()]
    assert "10" in ticks and not any("$" in tick for tick in ticks)
