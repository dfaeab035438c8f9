"""``udsph report``, and the curves of ``udsph evaluate RUN --plot``: the figures are those of ``udsph evaluate``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.report.pages import Element, Page, rows_of
from udsph import data, hamming
from udsph.cli.gather import hardest_of, read_log
from udsph.cli.report import names_of
from udsph.errors import InputError
from udsph.evaluation import evaluate

from .command import SMALL, SMALL_SCENES, udsph

pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with pictures, texts, labels and attention."""
    folder = tmp_path_factory.mktemp("runs") / "scenes"
    assert udsph("train", "--data", "scenes", "--output", folder, *SMALL_SCENES).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of rows of numbers without labels: nothing can be shown of them but their places."""
    folder = tmp_path_factory.mktemp("features")
    values = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    np.savez(folder / "f.npz", image=values, text=values)
    done = udsph("train", "--data", "features", "--root", folder / "f.npz", "--output", folder / "vectors", *SMALL,
                 "--set", "labels=none")  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder / "vectors"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    labels = {part: random.integers(0, 3, n) + 40 for part, n in (("query", 9), ("database", 50))}
    means = random.standard_normal((3, 12))
    bits = {part: (means[own - 40] + random.standard_normal((len(own), 12))) > 0 for part, own in labels.items()}
    arrays = {f"{part}_labels": own for part, own in labels.items()} | {
        f"{part}_codes": own for part, own in bits.items()
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return arrays


def flags(folder: Path, *names: str) -> list[str]:
    return [part for name in names for part in (f"--{name.replace('_', '-')}", str(folder / f"{name}.npy"))]


ALL = ("query_codes", "database_codes", "query_labels", "database_labels")


def page(path: Path) -> Element:
    return Page(path.read_text(encoding="utf-8")).root


def measures(root: Element) -> dict[str, list[str]]:
    (found,) = [e for e in root.all("table") if "measures" in (e.attributes.get("class") or "")]
    return {row[0]: row[1:] for row in rows_of(found)}


def test_the_report_of_a_run_has_the_figures_of_evaluate_and_leaves_the_run_as_it_was(
    scenes: Path, tmp_path: Path
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in scenes.iterdir()}
    done = udsph("report", scenes, "--output", tmp_path / "a.html", "--queries", 2, "-k", 3, "--json")
    assert done.exit_code == 0, done.output
    assert {path.name: path.stat().st_mtime_ns for path in scenes.iterdir()} == before
    assert json.loads(done.stdout)["bytes"] == (tmp_path / "a.html").stat().st_size < 5_000_000
    found = json.loads(udsph("evaluate", scenes, "--json", "--output", tmp_path / "a.json").stdout)
    root = page(tmp_path / "a.html")
    shown = measures(root)
    directions = ("image_to_text", "text_to_image")
    for title, key in (("MAP", "map"), ("NDCG@100", "ndcg_linear@100"), ("R@10", "pair_recall@10")):
        assert shown[title] == [f"{found[direction][key]:.4f}" for direction in directions]
    tiles = {element.all("span")[0].text: element.all("b")[0].text for element in root.by_id("result").all("li")}
    assert tiles["chance"] == f"{found['chance']:.3f}"
    assert tiles["label to label, the ceiling"] == f"{found['label_to_label']:.3f}"
    assert f"entropy of a bit {found['codes']['bit_entropy']:.4f}" in root.by_id("bits").text
    examples = root.by_id("examples").all("article")
    assert len(examples) == 4 and all(len(one.all("ol")[0].all("li")) == 3 for one in examples)
    assert all("distance" in answer.text for answer in examples[0].all("ol")[0].all("li"))
    looks = [[part for part in one.all("div") if part.attributes["class"] == "looks"] for one in examples]
    assert all(len(one) == 1 for one in looks)
    assert len(looks[0][0].all("img")) == 4 and not looks[3][0].all("img"), "cells of pictures, and words"
    assert [row[0] for row in rows_of(root.by_id("training").all("table")[-1])] == ["phase", "label", "select"]
    assert str(scenes.parent) not in (tmp_path / "a.html").read_text(encoding="utf-8"), "no path of this machine"


def test_a_run_without_labels_and_pictures_says_what_there_is_not(vectors: Path, tmp_path: Path) -> None:
    done = udsph("report", vectors, "--output", tmp_path / "a.html", "--queries", 2)
    assert done.exit_code == 0, done.output
    root = page(tmp_path / "a.html")
    for name in ("curves", "classes", "hardest"):
        assert root.by_id(name).all("p")[0].text == "There are no labels to measure this by."
    found = json.loads(udsph("evaluate", vectors, "--json", "--output", tmp_path / "a.json").stdout)
    assert measures(root)["R@1"] == [f"{found[d]['pair_recall@1']:.4f}" for d in ("image_to_text", "text_to_image")]
    assert "Where the classes looked in images is not shown: they are vectors" in root.by_id("examples").text
    assert "Its images are vectors, which cannot be shown." in root.by_id("result").text
    assert not root.all("img") and "item" not in measures(root)
    distances = rows_of(root.by_id("distances").all("table")[0])
    assert distances[0] == ["distance", "partners", "others"]
    n = found["n_pairs"]
    assert sum(int(row[1]) for row in distances[1:]) == n
    assert sum(int(row[1]) + int(row[2]) for row in distances[1:]) == n * n


def test_why_nothing_says_where_classes_looked_is_the_models_word(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from udsph.cli.gather import _looks
    from udsph.encoding import Hasher
    from udsph.training.scoring import load_run

    def refuse(*_: object) -> None:
        raise InputError("the image network has no attention: train with attention=label")

    model, arguments, _ = load_run(scenes)
    monkeypatch.setattr(Hasher, "attended", refuse)
    looks, why = _looks(model, data.load(**arguments), "image", np.array([1, 2]))
    assert looks == [None, None]
    assert (
        why == "Where the classes looked is not shown: the image network has no attention: train with attention=label."
    )


def test_several_runs_are_compared(scenes: Path, vectors: Path, tmp_path: Path) -> None:
    other = tmp_path / "scenes"
    shutil.copytree(scenes, other)
    (other / "log.csv").unlink()
    done = udsph("report", scenes, other, "--output", tmp_path / "a.html", "--queries", 1, "-k", 1)
    assert done.exit_code == 0, done.output
    root = page(tmp_path / "a.html")
    first, second = names_of([scenes, other])
    assert (first, second) == (f"{scenes.parent.name}/scenes", f"{tmp_path.name}/scenes")
    (compared,) = [e for e in root.all("table") if "comparison" in (e.attributes.get("class") or "")]
    assert [row[0] for row in rows_of(compared)[1:]] == [first, second]
    assert "same settings and data" in root.by_id("comparison").text
    assert root.by_id("run-2-training").all("p")[0].text == "The run has no log.csv."
    assert not [e for e in root.by_id("run-1-training").all("p") if "log.csv" in e.text]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_curves_of_a_run_are_drawn(scenes: Path, vectors: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    done = udsph("evaluate", scenes, "--plot", path)
    assert done.exit_code == 0, done.output
    assert str(path) in done.stdout and "metrics.json" in done.stdout
    if suffix == "svg":
        text = path.read_text(encoding="utf-8")
        assert all(said in text for said in (">image to text<", ">text to image<", ">chance<", ">recall<"))
    none = udsph("evaluate", vectors, "--plot", path)
    assert none.exit_code == 2 and "has no labels, and so no precision to draw" in none.stderr


@pytest.mark.parametrize("form", ["values", "packed"])
def test_the_report_of_files_has_the_figures_of_evaluate(
    files: dict[str, np.ndarray], tmp_path: Path, form: str
) -> None:
    given = flags(tmp_path, *ALL)
    if form == "packed":
        for part in ("query", "database"):
            np.save(tmp_path / f"{part}_codes.npy", hamming.pack(files[f"{part}_codes"]))
    more = ["--convention", "dcmh", "--cutoffs", "3,7"]
    done = udsph("report", *given, *more, "--output", tmp_path / "a.html")
    assert done.exit_code == 0, done.output
    root = page(tmp_path / "a.html")
    found = json.loads(udsph("evaluate", *given, *more, "--json").stdout)["metrics"]
    shown = measures(root)
    assert {name: values[0] for name, values in shown.items() if name != "metric"} == {
        {"map": "MAP", "ndcg_linear@100": "NDCG@100"}.get(name, name): f"{value:.4f}" for name, value in found.items()
    }
    bits = 12 if form == "values" else 16
    assert len(rows_of(root.by_id("bits").all("table")[0])) == bits + 1
    assert ("4 of 16 bits are the same" in root.by_id("bits").text) == (form == "packed")
    (classes,) = [e for e in root.all("table") if "classes" in (e.attributes.get("class") or "")]
    own = {str(number) for number in np.unique(files["query_labels"])}
    assert {row[0] for row in rows_of(classes)[1:]} == own
    assert "ties insertion" in root.by_id("curves").text or "convention" in root.by_id("settings").text
    assert "no items to show" in root.by_id("examples").text and "run does" in root.by_id("training").text
    assert str(tmp_path) not in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_the_hardest_queries_are_those_with_the_least_precision(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    assert udsph("report", *flags(tmp_path, *ALL), "--output", tmp_path / "a.html", "-k", 2).exit_code == 0
    codes = [hamming.pack(files[name]) for name in ALL[:2]]
    found = evaluate(*codes, *(files[name] for name in ALL[2:]), metrics=["map"])
    order = np.argsort(found.per_query["map"], kind="stable")[:4]
    shown = page(tmp_path / "a.html").by_id("hardest").all("article")
    for one, row in zip(shown, order, strict=True):
        relevant = int((files["database_labels"] == files["query_labels"][row]).sum())
        precision = found.per_query["map"][row]
        assert f"query {row} · average precision {precision:.3f} · {relevant} relevant items" in one.text
        nearest = hamming.search(codes[0][[row]], codes[1], 2)
        expected = zip(nearest.ids[0], nearest.distances[0], strict=True)
        assert [answer.text for answer in one.all("li")] == [f"item {item} distance {near}" for item, near in expected]


def test_queries_without_a_relevant_item_are_not_among_the_hardest() -> None:
    codes, labels = np.arange(4, dtype=np.uint8)[:, None], np.array([1, 9, 1, 2])
    found = evaluate(codes, codes, labels, np.array([1, 1, 2, 2]), metrics=["map"])
    assert set(hardest_of(found).tolist()) == {0, 2, 3}


def test_pairs_are_reported_without_labels(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.save(tmp_path / "database_codes.npy", files["database_codes"][:9])
    given = [*flags(tmp_path, *ALL[:2]), "--pairs"]
    done = udsph("report", *given, "--output", tmp_path / "a.html")
    assert done.exit_code == 0, done.output
    root = page(tmp_path / "a.html")
    found = json.loads(udsph("evaluate", *given, "--json").stdout)["metrics"]
    assert measures(root)["R@5"] == [f"{one['pair_recall@5']:.4f}" for one in found.values()]
    assert root.by_id("hardest").all("p")[0].text == "There are no labels to measure this by."


def test_metrics_without_map_leave_out_what_needs_it(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    given = [*flags(tmp_path, *ALL), "--metrics", "precision@5"]
    assert udsph("report", *given, "--output", tmp_path / "a.html").exit_code == 0
    root = page(tmp_path / "a.html")
    assert list(measures(root)) == ["metric", "precision@5"]
    assert "MAP is not among the metrics" in root.by_id("classes").text


def test_what_cannot_be_reported_is_one_line(scenes: Path, files: dict[str, np.ndarray], tmp_path: Path) -> None:
    codes = flags(tmp_path, *ALL)
    output = ["--output", tmp_path / "a.html"]
    for arguments, said in (
        (output, "give the folder of a run, or all four files (missing: --query-codes, --database-codes"),
        ([scenes, *codes, *output], "a run is reported by its own definition"),
        ([scenes, "--codes", "packed", *output], "a run is reported by its own definition"),
        ([scenes, scenes, *output], "is given twice"),
        ([tmp_path, *output], "is not a run"),
        ([scenes, "--output", tmp_path / "a.pdf"], "expected a file that ends with .html"),
        ([scenes, "--output", tmp_path / "none" / "a.html"], "does not exist"),
        ([*codes[:2], "--pairs", *output], "both files of codes (missing: --database-codes)"),
        ([*codes, "--pairs", *output], "--pairs takes --query-codes and --database-codes"),
    ):
        done = udsph("report", *arguments, "--quiet")
        assert done.exit_code == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1 and not (tmp_path / "a.html").exists()


def test_a_damaged_log_is_named_and_an_empty_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    assert read_log(path) == {}
    path.write_text("phase,epoch\n")
    assert read_log(path) == {}
    path.write_text("phase,epoch,seconds,loss\nselect,1,2.0,\n")
    assert read_log(path)["epoch"] == [1.0] and np.isnan(read_log(path)["loss"][0])
    for damaged in ("phase,epoch\nselect,one\n", "phase,epoch\nselect,1,2,3\n"):
        path.write_text(damaged)
        with pytest.raises(InputError, match=r"log\.csv is damaged"):
            read_log(path)
