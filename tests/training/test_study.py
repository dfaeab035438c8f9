"""The study: which runs it makes, that it continues, and what its tables say."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from udsph.errors import InputError

SCRIPT = Path(__file__).parents[2] / "bench" / "study.py"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location("study", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "study", module)
    monkeypatch.syspath_prepend(SCRIPT.parent)  # as for a script that is run
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shown(study):
    """The tables, as the study imports them."""
    return importlib.import_module("study_tables")


def tables(study, rows) -> str:
    return study.tables(rows, study.CASES, study.VARIANTS)


def row(run, image: float, text: float) -> dict:
    metrics = {"image_to_text": {"map": image}, "text_to_image": {"map": text}, "chance": 0.111,
               "label_to_label": 1.0, "n_query": 693, "n_database": 2173}  # fmt: skip
    return {
        **{"case": run.case, "variant": run.variant, "bits": run.bits, "seed": run.seed},
        **{"database": metrics, "query": metrics, "machine": "M", "date": "2026-11-25", "processor_seconds": 10.0},
    }


def no_data(*_) -> None:
    """In the place of the dataset of a case."""


def rows_in(study, folder: Path) -> list[dict]:
    return study.Runner(folder, None).rows()


def test_it_makes_each_run_once_continues_and_tries_again_what_failed(study, tmp_path):
    wanted = list(study.runs_of(["wiki"], ["full", "attention=none"], [16], 2))
    assert [(r.variant, r.seed) for r in wanted] == [
        ("full", 0), ("attention=none", 0), ("full", 1), ("attention=none", 1)
    ]  # fmt: skip
    made = []

    def make(run, dataset, extra):
        made.append(run)
        if run.seed == 1 and len(made) <= 4:
            raise ValueError("no luck")
        return row(run, 0.4, 0.8)

    study.make, study.dataset_of = make, no_data
    assert study.conduct(wanted, tmp_path, None, 0, {}) == 2
    assert made == wanted
    assert sum("error" in found for found in rows_in(study, tmp_path)) == 2
    assert "Failed and left out: wiki" in tables(study, rows_in(study, tmp_path))
    assert study.conduct(wanted, tmp_path, None, 0, {}) == 0
    assert made[4:] == [run for run in wanted if run.seed == 1], "only what was missing"
    assert not any("error" in found for found in rows_in(study, tmp_path))


def test_a_run_trains_scores_and_stands_in_the_table(study, tmp_path):
    values = np.random.default_rng(0).random((40, 5)).astype(np.float32)
    np.savez(tmp_path / "f.npz", image=values, text=values, labels=np.arange(40) % 2)
    study.CASES["tiny"] = study.Case("Tiny", "features", (8,), 1, ("full",), place="f.npz")
    wanted = list(study.runs_of(["tiny"], [], [], 0))
    extra = {"epochs": "1", "label_steps": "5", "device": "cpu"}
    assert study.conduct(wanted, tmp_path / "out", str(tmp_path), 0, extra) == 0
    (row,) = rows_in(study, tmp_path / "out")
    assert row["training"]["epochs"] == 1 and row["training"]["bits"] == 8 and row["processor_seconds"] > 0
    assert row["machine"].endswith("CPUs") and 0 < row["query"]["image_to_text"]["map"] <= 1
    assert "**Tiny** (8 queries, 32 items" in tables(study, [row])


def old_row(study, folder: Path, run, **more) -> None:
    """As the study wrote rows before it had a file of its settings."""
    (folder / "rows").mkdir(exist_ok=True, parents=True)
    content = {**row(run, 0.4, 0.8), "training": {"precision": "bf16-mixed", "bits": run.bits}, **more}
    (folder / "rows" / run.file).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def test_an_old_folder_goes_on_with_its_settings_only(study, tmp_path):
    first, second = list(study.runs_of(["wiki"], ["full"], [16], 2))
    old_row(study, tmp_path, first)
    study.dataset_of = no_data
    study.make = lambda run, dataset, extra: row(run, 0.4, 0.8)
    with pytest.raises(InputError, match="holds runs with precision bf16-mixed, not 32-true; choose another output"):
        study.conduct([first, second], tmp_path, None, 0, {"precision": "32-true"})
    assert study.conduct([first, second], tmp_path, None, 0, {"precision": "bf16-mixed"}) == 0
    assert "training" in rows_in(study, tmp_path)[0] and "training" not in rows_in(study, tmp_path)[1]
    with pytest.raises(InputError, match="holds a study with training"):
        study.conduct([first, second], tmp_path, None, 0, {})


def test_the_table_gives_mean_spread_and_paired_significance(study):
    full = {0: (0.40, 0.86), 1: (0.42, 0.88), 2: (0.41, 0.90)}
    other = {0: (0.39, 0.84), 1: (0.40, 0.87), 2: (0.38, 0.86)}
    rows = [
        row(study.Run("wiki", variant, 16, seed), *found)
        for variant, seeds in (("full", full), ("attention=none", other))
        for seed, found in seeds.items()
    ]
    lines = tables(study, rows).splitlines()
    first, second = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[-2:])
    assert first[:3] == ["16", "full", "3"] and first[3] == "0.410 ± 0.010" and first[8] == ""
    means = [[(a + b) / 2 for a, b in seeds.values()] for seeds in (full, other)]
    difference = sum(means[0]) / 3 - sum(means[1]) / 3
    assert second[1] == "`attention=none`" and second[8:10] == ["full minus this", f"{difference:+.4f}"]
    assert second[10:12] == [f"{ttest_rel(*means).pvalue:.2g}"] * 2, "one test: nothing to correct for"


def test_only_seeds_that_both_have_are_compared(study):
    rows = [row(study.Run("wiki", "full", 16, seed), 0.5, 0.5) for seed in (0, 1)]
    rows += [row(study.Run("wiki", "label_net=false", 16, seed), 0.4, 0.4) for seed in (1, 2)]
    cells = tables(study, rows).splitlines()[-1].split("|")
    assert cells[10].strip() == "+0.1000" and cells[11].strip() == "", "no test on one pair"


def test_a_step_is_compared_with_the_one_before_it_and_the_tests_are_corrected(study, shown):
    maps = {"labelled alone": 0.5, "pairing": 0.6, "pairing attention": 0.64, "full": 0.65}
    rows = [
        row(study.Run("scenes-100-labels", variant, 32, seed), value + noise, value + noise)
        for k, (variant, value) in enumerate(maps.items())
        for seed, noise in enumerate(np.random.default_rng(k).normal(0, 0.01, 4))
    ]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in tables(study, rows).splitlines()[4:]]
    cells = {line[1].strip("`"): line for line in lines}
    assert cells["full"][8] == "this minus `pairing attention`" and cells["labelled alone"][8] == "full minus this"
    for variant, other in (("pairing", "labelled alone"), ("full", "pairing attention")):
        a, b = ([shown.mean_map(r) for r in rows if r["variant"] == name] for name in (variant, other))
        assert cells[variant][9] == f"{np.mean(a) - np.mean(b):+.4f}"
        assert cells[variant][10] == f"{ttest_rel(a, b).pvalue:.2g}"
    plain, corrected = ([float(line[k]) for line in lines] for k in (10, 11))
    least = min(plain)
    assert corrected[plain.index(least)] == pytest.approx(4 * least, rel=0.06) and corrected != plain


def test_rows_are_kept_from_one_folder_to_the_next(study, shown, tmp_path):
    path, wanted = tmp_path / "study.jsonl", list(study.runs_of(["wiki"], ["full"], [16], 2))
    first, second = ({**row(run, 0.4, 0.8), "training": {"bits": 16, "epochs": 9}} for run in wanted)
    defaults = {"bits": 64, "epochs": 9}
    assert shown.keep(path, [second], defaults) == [second | {"training": {"bits": 16}}]
    both = shown.keep(path, [first, {**row(wanted[1], 0, 0), "error": "no luck"}], defaults)
    assert [found["seed"] for found in both] == [0, 1] and tables(study, both) == tables(study, [first, second])
    again = {**first, "processor_seconds": 20.0}
    assert shown.keep(path, [again], defaults)[0]["processor_seconds"] == 20.0, "in the place of the old one"


def test_what_is_kept_in_the_repository_is_what_the_page_shows(study, shown):
    rows = shown.kept(study.KEPT)
    page = (SCRIPT.parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    assert rows and f"{shown.BEGIN}\n\n{tables(study, rows)}\n{shown.END}" in page


def test_the_tables_go_between_the_marks_of_the_page(shown, tmp_path):
    page = tmp_path / "results.md"
    page.write_text(f"above\n{shown.BEGIN}\nold\n{shown.END}\nbelow\n", encoding="utf-8")
    shown.write_into(page, "new\n")
    assert page.read_text(encoding="utf-8") == f"above\n{shown.BEGIN}\n\nnew\n\n{shown.END}\nbelow\n"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(SystemExit, match="has no lines"):
        shown.write_into(page, "new\n")
