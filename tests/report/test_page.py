"""The report as a page: one file, safe, accessible, with the numbers that were measured."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")

from PIL import Image

from udsph.evaluation import evaluate
from udsph.report.attended import looked_at
from udsph.report.content import Item
from udsph.report.curves import prevalence
from udsph.report.markup import Html, h, join
from udsph.report.page import write_report
from udsph.report.pictures import data_uri, item
from udsph.report.tabular import Cell, mark_best, table

from .pages import HOSTILE, Element, Page, example, rows_of, subject

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Element]:
    """The report of a subject all of whose texts are hostile."""
    path = tmp_path_factory.mktemp("one") / "a.html"
    classes = (HOSTILE, f"second {HOSTILE}", "third")
    given = subject(HOSTILE, classes=classes, title=HOSTILE, remarks=[HOSTILE])
    sides = [dataclasses.replace(side, examples=[example(*side.name.split(" to "), classes, HOSTILE)])
             for side in given.sides]  # fmt: skip
    facts = {HOSTILE: [dataclasses.replace(given.facts["Training"][0], name=HOSTILE, value=HOSTILE)]}
    size = write_report([dataclasses.replace(given, sides=sides, facts=facts)], path, date="2026-01-02")
    text = path.read_text(encoding="utf-8")
    assert size == path.stat().st_size == len(text.encode())
    return text, Page(text).root


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Element]:
    path = tmp_path_factory.mktemp("three") / "a.html"
    runs = [subject(name, seed) for seed, name in enumerate(("first", "second", "third"))]
    write_report(runs, path)
    return path, Page(path.read_text(encoding="utf-8")).root


@pytest.fixture(params=["one", "three"])
def root(request: pytest.FixtureRequest) -> Element:
    return request.getfixturevalue(request.param)[1]


def test_no_address_is_named_and_none_may_be_fetched(one) -> None:
    text, root = one
    for element in root.all():
        for name, value in element.attributes.items():
            if name in ("src", "href"):
                assert value is not None and value.startswith(("data:image/jpeg;base64,", "#")), f"{name}={value}"
            if name == "style":
                assert "url(" not in (value or "")
            assert not name.startswith("on"), f"<{element.tag} {name}>"
    assert not {element.tag for element in root.all()} & {"link", "iframe", "object", "embed", "base", "form", "use:"}
    assert not re.search(r"@import|url\((?!#)", text)
    (policy,) = [e.attributes["content"] or "" for e in root.all("meta") if "http-equiv" in e.attributes]
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;") and f"script-src 'sha256-{digest}'" in policy


def test_no_text_of_a_user_is_markup(one) -> None:
    _, root = one
    assert not [element for element in root.all("img") if element.attributes["src"] == "x"]
    assert len(root.all("script")) == len(root.all("style")) == 1
    said = " ".join(HOSTILE.replace("\ud800", "\ufffd").replace("\x00", " ").split())
    (title,) = root.all("title")
    assert title.text == f"Report on {said}"
    for where in (*root.all("h1"), root.by_id("settings"), root.by_id("result")):
        assert said in where.text
    clipped = said[:40]  # of a class and of a caption the beginning is shown
    for name in ("hardest", "examples", "classes"):
        assert clipped[:20] in root.by_id(name).text, name
    assert any((element.attributes["alt"] or "").startswith(clipped) for element in root.all("img"))


def test_headings_ids_and_links_are_in_order(root: Element) -> None:
    levels = [int(element.tag[1]) for element in root.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), "no level is left out"
    ids = [element.attributes["id"] for element in root.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in root.all():
        for name in ("href", "aria-labelledby"):
            for target in (element.attributes.get(name) or "").split():
                assert target.removeprefix("#") in ids, element.attributes
    menu = [element.attributes["href"] for nav in root.all("nav") for element in nav.all("a")]
    assert menu and all(target in [f"#{name}" for name in ids] for target in menu)


def test_what_is_seen_is_said(root: Element) -> None:
    assert all(element.attributes.get("alt") for element in root.all("img"))
    charts = root.all("svg")
    assert len(charts) >= 8
    assert all(chart.attributes["role"] == "img" and len(chart.attributes["aria-label"] or "") > 20 for chart in charts)
    for element in root.all("table"):
        (caption,) = element.all("caption")
        assert caption.text
        assert all(cell.attributes.get("scope") in ("row", "col") for cell in element.all("th"))
    (html,) = root.all("html")
    assert html.attributes["lang"] == "en"
    names = {element.attributes.get("name") for element in root.all("meta")}
    assert {"viewport", "color-scheme"} <= names


def test_the_numbers_are_those_that_were_measured(one, three) -> None:
    given = subject(classes=(HOSTILE, f"second {HOSTILE}", "third"))
    _, root = one
    (measures,) = [e for e in root.all("table") if "measures" in (e.attributes.get("class") or "")]
    found = {row[0]: row[1:] for row in rows_of(measures)}
    for title, key in (("MAP", "map"), ("R@5", "pair_recall@5")):
        assert found[title] == [f"{given.measure(side, key):.4f}" for side in given.sides]
    assert found["median rank"] == [f"{given.measure(side, 'pair_median_rank'):.1f}" for side in given.sides]
    tiles = [element.text for element in root.by_id("result").all("li")]
    assert tiles[0] == f"{given.measure(given.sides[0], 'map'):.3f} MAP image to text"
    assert tiles[3:] == ["0.900 label to label, the ceiling", "0.400 chance"]
    (classes,) = [e for e in root.all("table") if "classes" in (e.attributes.get("class") or "")]
    assert sorted(float(row[2]) for row in rows_of(classes)[1:]) == sorted(
        round(m, 4) for _, _, m in given.sides[0].classes
    )
    (curve,) = root.by_id("curves").all("table")
    last = rows_of(curve)[-1]
    side = given.sides[0].by_labels
    assert last[0] == "40" and last[1] == f"{side.precision_by_rank[-1]:.4f}" and last[3] == "1.0000"
    counted = rows_of(root.by_id("distances").all("table")[0])[1:]
    assert sum(int(row[1]) for row in counted) == given.sides[0].relevant.sum()
    assert sum(int(row[1]) + int(row[2]) for row in counted) == 20 * 40
    (bits,) = root.by_id("bits").all("table")
    assert [row[-1] for row in rows_of(bits)[1:]] == [f"{value:.4f}" for value in given.use["both"].entropy]


def test_runs_are_set_beside_each_other_and_the_best_is_bold(three) -> None:
    _, root = three
    (compared,) = [e for e in root.all("table") if "comparison" in (e.attributes.get("class") or "")]
    rows = rows_of(compared)
    assert [row[0] for row in rows[1:]] == ["first", "second", "third"]
    column = rows[0].index("MAP image to text")
    values = [subject(seed=seed).sides[0].by_labels["map"] for seed in range(3)]
    assert [row[column] for row in rows[1:]] == [f"{value:.4f}" for value in values]
    bold = [bool(row.all("th", "td")[column].all("strong")) for row in compared.all("tr")[1:]]
    assert bold == [value == max(values) for value in values]
    differences = root.by_id("comparison").all("table")[-1]
    assert rows_of(differences) == [["setting", "first", "second", "third"], ["Data: seed", "0", "1", "2"]]
    assert "do not compare" not in root.by_id("comparison").text
    assert len(root.by_id("run-2").all("h3")) == 9
    names = [part.attributes["aria-labelledby"] for part in root.all("section") if "aria-labelledby" in part.attributes]
    assert len(names) == len(set(names)) == 1 + 3 * 9


def test_runs_of_different_data_are_said_not_to_compare(tmp_path: Path) -> None:
    first, second = subject("first"), subject("second")
    others = [dataclasses.replace(second.facts["Data"][0], value="other")]
    bare = dict.fromkeys(("curves", "distances", "bits", "classes", "hardest", "examples", "training"), "left out")
    runs = [dataclasses.replace(first, missing=bare), dataclasses.replace(second, missing=bare, facts={"Data": others})]
    write_report(runs, tmp_path / "a.html")
    root = Page((tmp_path / "a.html").read_text(encoding="utf-8")).root
    assert "different data (other, toy): their figures do not compare" in root.by_id("comparison").text


def test_what_is_missing_is_said_in_its_place(tmp_path: Path) -> None:
    names = ("curves", "distances", "bits", "classes", "hardest", "examples", "training")
    sides = [dataclasses.replace(side, by_labels=None) for side in subject().sides]
    given = subject(missing={name: f"No {name} here." for name in names}, sides=sides, references={})
    write_report([given], tmp_path / "a.html")
    root = Page((tmp_path / "a.html").read_text(encoding="utf-8")).root
    for name in names:
        assert root.by_id(name).all("p")[0].text == f"No {name} here."
    assert root.by_id("result").all("li")[0].text.endswith("R@10 image to text")
    assert not root.by_id("result").all("svg")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_sorts_a_table_by_a_click(three, tmp_path: Path) -> None:
    """The script is the page's own; the policy is taken out, since it would forbid the one that clicks."""
    path, _ = three
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text(encoding="utf-8"))
    click = "document.querySelectorAll('table.comparison th button')[2].click();"
    for times in (1, 2):
        (tmp_path / "b.html").write_text(text.replace("</body>", f"<script>{click * times}</script></body>"))
        done = subprocess.run(
            [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{tmp_path}/b.html"],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        (compared,) = [
            e for e in Page(done.stdout).root.all("table") if "comparison" in (e.attributes.get("class") or "")
        ]
        values = [float(row[2]) for row in rows_of(compared)[1:]]
        assert values == sorted(values, reverse=times == 1)
        heads = [cell.attributes.get("aria-sort") for cell in compared.all("th") if cell.all("button")]
        assert heads[2] == ("descending" if times == 1 else "ascending") and heads.count(None) == len(heads) - 1


def test_the_level_of_a_curve_is_the_precision_of_any_order_that_says_nothing() -> None:
    codes, labels = np.arange(8, dtype=np.uint8)[:, None], np.array([0, 0, 0, 1, 1, 2, 2, 2])
    blank = evaluate(np.zeros_like(codes), np.zeros_like(codes), labels, labels, metrics=["map"], ranks=[1, 5, 8])
    assert blank.precision_by_rank == pytest.approx([prevalence([blank])] * 3)
    other = evaluate(codes[:1], codes, labels[:1], labels, metrics=["map"])
    assert prevalence([blank, other]) is None and prevalence([]) is None


# -- its parts --------------------------------------------------------------------------------------------------------


def test_markup_escapes_all_that_is_not_markup() -> None:
    assert h("p", "a<b>&", class_="x\"'", data_value=1, hidden=True, title=None) == (
        '<p class="x&quot;&#x27;" data-value="1" hidden>a&lt;b&gt;&amp;</p>'
    )
    assert h("p", h("b", "<"), ["a", None, [Html("<i>")]]) == "<p><b>&lt;</b>a<i></p>"
    assert h("img", src="a") == '<img src="a">' and join("\x00a\nb", 1) == " a b1"


def test_a_picture_is_made_smaller_and_keeps_its_shape() -> None:
    pixels = np.zeros((400, 200, 3), np.uint8)
    pixels[:200] = (200, 30, 30)
    image = Image.open(io.BytesIO(base64.b64decode(data_uri(pixels).partition(",")[2])))
    assert image.size == (80, 160) and image.format == "JPEG"
    assert np.abs(np.asarray(image)[20, 40].astype(int) - (200, 30, 30)).max() < 12
    small = Image.open(io.BytesIO(base64.b64decode(data_uri(pixels[:9, :5]).partition(",")[2])))
    assert small.size == (5, 9), "none is made larger"


def test_only_what_a_class_looked_at_keeps_its_light_and_colour() -> None:
    pixels = np.full((5, 7, 3), (200, 100, 0), np.uint8)
    seen = looked_at(pixels, np.array([0.0, 0.5, 0.25, 0.0]), (2, 2))
    assert seen.shape == (5, 7, 3)
    assert seen[0, 6].tolist() == [200, 100, 0], "the greatest weight, of the cell at the top right"
    assert seen[0, 0].tolist() == [28, 28, 28] and seen[4, 6].tolist() == [28, 28, 28]
    assert seen[4, 0].tolist() == [114, 64, 14], "half of the greatest"


def test_what_cannot_be_shown_is_named() -> None:
    assert item(Item("item 7")) == '<p class="text muted">item 7</p>'
    assert "(an empty text)" in item(Item("text 1", None, ""))
    long = item(Item("text 1", None, "word " * 1_000_000))
    assert len(long) < 400 and " ..." in long


def test_the_best_of_a_column_is_marked_once_there_is_something_to_compare() -> None:
    assert mark_best([[0.1, 0.3, None], [4.0, 2.0, float("nan")], [1.0, None, None]], least=[False, True]) == [
        [False, True, False],
        [False, True, False],
        [False, False, False],
    ]


def test_a_number_that_is_not_known_is_a_dash_and_sorts_last() -> None:
    shown = Page(table(["a", "b"], [["x", Cell(None)], ["y", Cell(0.5)]], "c", sortable=True)).root
    cells = shown.all("td")
    assert [cell.text for cell in cells] == ["\u2013", "0.5000"]
    assert [cell.attributes["data-value"] for cell in cells] == ["", "0.5"]
