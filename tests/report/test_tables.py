"""Tables from rows that are made up here."""

import csv
import math
import subprocess
import sys

import pytest

from udsph.report.figures import draw_figures
from udsph.report.tables import latex_table, markdown_table, summarise, write_tables


def row(method, bits, seed, scores=(0.5, 0.6)):
    found = {"method": method, "bits": bits, "seed": seed, "kind": "deep", "train_seconds": 2.0}
    found["encode_microseconds_per_item"] = 5.0
    for direction, value in zip(("image_to_text", "text_to_image"), scores, strict=True):
        curve = {"ranks": [1, 10], "precision": [0.9, value], "recall": [0.1, 1.0]}
        found[direction] = {"map": value, "precision_at": {"1": 0.9, "10": value}, "curve": curve}
    return found


ROWS = [
    row("cvh", 16, 0, (0.2, 0.3)),
    row("cvh", 16, 1, (0.4, 0.3)),
    row("cvh", 32, 0, (0.25, 0.35)),
    row("a_b", 16, 0, (0.6, 0.1)),
    {"method": "a_b", "bits": 32, "seed": 0, "kind": "deep", "error": "ValueError: no"},
]


def test_means_and_deviations_over_seeds():
    first, second, third, failed = summarise(ROWS)
    assert first["image_to_text_map"] == pytest.approx(0.3) and first["seeds"] == 2
    assert first["image_to_text_deviation"] == pytest.approx(math.sqrt(0.02))
    assert math.isnan(second["image_to_text_deviation"])
    assert third["mean_map"] == pytest.approx(0.35)
    assert failed["errors"] == 1 and math.isnan(failed["mean_map"])
    assert first["mean_map"] == pytest.approx(0.3) and first["mean_deviation"] == pytest.approx(math.sqrt(0.005))


def test_times_by_clock_and_processor_even_where_earlier_rows_have_no_processor_time():
    first, second = summarise([row("cvh", 16, 0) | {"train_cpu_seconds": 3.0}, row("qch", 16, 0)])
    assert first["train_cpu_seconds"] == 3 and math.isnan(second["train_cpu_seconds"])
    lines = markdown_table([first, second], 0.1, "MAP").splitlines()
    assert lines[-2].endswith("| 1 | 2.0 | 3.0 |") and lines[-1].endswith("| 1 | 2.0 | - |")


def test_epochs_are_those_of_the_rows_that_say_them():
    known = [row("dcmh", 16, seed) | {"epochs": 40} for seed in (0, 1)]
    assert summarise(known)[0]["epochs"] == 40
    for unclear in (ROWS[:1], [known[0], row("dcmh", 16, 2) | {"epochs": 3}]):
        assert math.isnan(summarise(unclear)[0]["epochs"])


def test_markdown_has_the_best_in_bold_and_says_what_failed():
    table = markdown_table(summarise(ROWS), 0.111, "MAP on a set")
    assert table.startswith("MAP on a set; chance 0.111.")
    lines = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("|")}
    assert "**0.600**" in lines["a_b"] and "failed" in lines["a_b"]
    assert "0.300 ± 0.141" in lines["cvh"] and "**0.300** ± 0.000" in lines["cvh"]


def test_latex_escapes_and_has_as_many_cells_as_columns():
    table = latex_table(summarise(ROWS), 0.111, "50 % of it")
    assert r"a\_b & " in table and r"50 \% of it" in table
    body = [line for line in table.splitlines() if line.startswith(("cvh", "a\\_b"))]
    assert [line.count("&") for line in body] == [6, 6]
    assert table.count("{") == table.count("}")


def test_files_are_written(tmp_path):
    paths = write_tables(ROWS, 0.111, "MAP", tmp_path)
    assert sorted(path.name for path in paths) == ["results.csv", "results.md", "results.tex"]
    with (tmp_path / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["image_to_text_map"][:4] == "0.30" and rows[3]["mean_map"] == "" and rows[3]["errors"] == "1"
    pytest.importorskip("matplotlib")
    figures = draw_figures(ROWS, 0.111, "a set", tmp_path)
    assert len(figures) == 5 and all(path.read_bytes().startswith(b"\x89PNG") for path in figures)
    assert not list(tmp_path.glob(".*"))


def test_no_figures_where_everything_failed(tmp_path):
    assert draw_figures([ROWS[-1]], 0.1, "a set", tmp_path) == []


HOSTILE = ["a|b", "*a* _b_ __c__", "<b>&amp;", "[a](b)", "`a`", "~~a~~ $b$", "back\\slash \\| \\"]
HOSTILE += ["a_b", "1. # a", "\ud800"]


def test_no_name_or_caption_is_markdown():
    """A renderer shows each as it was written."""
    markdown_it = pytest.importorskip("markdown_it")
    renderer = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    rows = [row(name, 16, 0) for name in HOSTILE]
    for name in HOSTILE:
        text = markdown_table(summarise(rows), 0.1, f"MAP on {name}")
        shown = name.replace("\ud800", "\ufffd")
        blocks = [token for token in renderer.parse(text) if token.type == "inline"]
        plain = [block for block in blocks if "**" not in block.content]  # all but the best, which is in bold
        assert all(child.type == "text" for block in plain for child in block.children)
        cells = ["".join(child.content for child in block.children) for block in blocks]
        assert cells[0] == f"MAP on {shown}; chance 0.100."
        assert [cell for cell in cells if cell in HOSTILE] == HOSTILE[:-1] and "\ufffd" in cells


@pytest.mark.parametrize("sign", "&%$#_{}~^\\")
def test_latex_escapes_as_pandas_does(sign):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("jinja2")
    table = pandas.DataFrame([[f"a{sign}b"]]).style.format(escape="latex").to_latex()
    (line,) = [line for line in table.splitlines() if line.startswith("0 & ")]
    ours = latex_table(summarise([row(f"a{sign}b", 16, 0)]), 0.1, "").splitlines()[7].partition(" & ")[0]
    assert ours.replace("{}", " ") == line.removeprefix("0 & ").removesuffix(r" \\")


def test_latex_takes_no_name_for_an_option_or_another_sign():
    table = latex_table(summarise([row(name, 16, 0) for name in ("[1ex]", "*", "a--b''c")]), 0.1, "a\nb")
    for text in ("{[}1ex]", "{*}", "a-{}-b'{}'c", r"\caption{a b; "):
        assert text in table


def test_csv_keeps_names_in_their_cells_and_gives_no_formula(tmp_path):
    names = ["=1+1", "@a", "-1", "a,b", 'quote"', "line\nend", "\ud800"]
    write_tables([row(name, 16, 0) for name in names], 0.1, "MAP", tmp_path)
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as stream:
        found = [entry["method"] for entry in csv.DictReader(stream)]
    assert found == ["'=1+1", "'@a", "'-1", "a,b", 'quote"', "line end", "\ufffd"]


def test_the_room_needs_no_torch():
    script = "import sys, udsph.report.tables, udsph.report.figures, udsph.report.retrieval; "
    script += "print([name for name in ('torch', 'matplotlib', 'sklearn', 'scipy') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
