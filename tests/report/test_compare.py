"""Tables and figures from rows that are made up here."""

import csv
import math

import pytest

from udsph.report.compare import draw_figures, latex_table, markdown_table, summarise, write_tables


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


def test_every_method_has_a_line_of_its_own():
    from udsph.baselines import methods
    from udsph.report.compare import _styles

    styles = _styles({name: method.kind for name, method in methods().items()})
    looks = {(tuple(style["color"]), style["marker"], str(style["linestyle"])) for style in styles.values()}
    assert len(looks) == len(methods())


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
    figures = draw_figures(ROWS, 0.111, tmp_path)
    assert len(figures) == 5 and all(path.read_bytes().startswith(b"\x89PNG") for path in figures)
    assert not list(tmp_path.glob(".*"))


def test_no_figures_where_everything_failed(tmp_path):
    assert draw_figures([ROWS[-1]], 0.1, tmp_path) == []
