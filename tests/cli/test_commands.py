"""The commands as a user types them: what they write, and how they refuse."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from udsph import hamming

from .command import SMALL_SCENES, udsph


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "scenes"
    done = udsph("train", "--data", "scenes", "--output", folder, *SMALL_SCENES)
    assert done.exit_code == 0, done.output
    return folder


def test_evaluate_writes_the_metrics_of_both_databases(run: Path) -> None:
    for database, name in (("database", "metrics.json"), ("query", "metrics-query.json")):
        done = udsph("evaluate", run, "--database", database)
        assert done.exit_code == 0, done.output
        metrics = json.loads((run / name).read_text())
        assert {"image_to_text", "text_to_image", "bits", "n_query", "n_database", "ties"} <= set(metrics)
        assert 0 < metrics["image_to_text"]["map"] <= 1
        assert metrics["bits"] == 16 and metrics["ties"] == "expected"
    assert metrics["n_query"] == metrics["n_database"]


def test_the_metrics_of_a_run_as_json_and_csv(run: Path, tmp_path: Path) -> None:
    table = tmp_path / "metrics.csv"
    done = udsph("evaluate", run, "--json", "--output", table)
    assert done.exit_code == 0, done.output
    metrics = json.loads(done.stdout)
    assert metrics == json.loads((run / "metrics.json").read_text())
    rows = dict(csv.reader(table.read_text().splitlines()))
    assert float(rows["image_to_text map"]) == metrics["image_to_text"]["map"]
    assert float(rows["chance"]) == metrics["chance"]
    refused = udsph("evaluate", run, "--cutoffs", "10")
    assert refused.exit_code == 2 and "own definition" in refused.stderr


def test_encode_and_search(run: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = tmp_path / "images.npy"
    np.save(images, rng.integers(0, 256, (7, 64, 64, 3), dtype=np.uint8))
    codes, found = tmp_path / "codes.npy", tmp_path / "found.npz"
    assert udsph("encode", run, "--modality", "image", "--input", images, "--output", codes).exit_code == 0
    stored = np.load(codes)
    assert stored.shape == (7, 2) and stored.dtype == np.uint8
    done = udsph("search", "--database", codes, "--queries", codes, "-k", 3, "--output", found)
    assert done.exit_code == 0, done.output
    expected = hamming.search(stored, stored, 3)
    with np.load(found) as answers:
        np.testing.assert_array_equal(answers["ids"], expected.ids)
        np.testing.assert_array_equal(answers["distances"], expected.distances)


def test_evaluate_bare_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "query-codes": rng.integers(0, 256, (5, 4), dtype=np.uint8),
        "database-codes": rng.integers(0, 256, (40, 4), dtype=np.uint8),
        "query-labels": rng.integers(0, 3, 5),
        "database-labels": rng.integers(0, 3, 40),
    }
    options: list[object] = []
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        options += [f"--{name}", tmp_path / f"{name}.npy"]
    done = udsph("evaluate", *options, "--ties", "optimistic")
    assert done.exit_code == 0, done.output
    assert "map" in done.output
    assert udsph("evaluate", *options[:-2]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--data", "nothing", "--output", "OUT"], "nothing"),
        (["train", "--data", "wiki", "--output", "OUT"], "root"),
        (["train", "--data", "wiki", "--root", "MISSING", "--output", "OUT"], "MISSING"),
        (["train", "--data", "scenes", "--bits", "0", "--output", "OUT"], "bits"),
        (["train", "--data", "scenes", "--bits", "100000", "--output", "OUT"], "bits"),
        (["train", "--data", "scenes", "--set", "colour=red", "--output", "OUT"], "colour"),
        (["train", "--data", "scenes", "--set", "colour", "--output", "OUT"], "colour"),
        (["evaluate", "MISSING"], "MISSING"),
        (["evaluate"], "--query-codes"),
        (["encode", "MISSING", "--modality", "image", "--input", "x.npy", "--output", "OUT/codes.npy"], "OUT"),
        (["encode", "MISSING", "--modality", "sound", "--input", "x.npy", "--output", "codes.npy"], "sound"),
        (["search", "--database", "MISSING.npy", "--queries", "MISSING.npy"], "MISSING.npy"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = udsph(*arguments)
    lines = [line for line in done.stderr.splitlines() if line.startswith("udsph: ")]
    assert done.exit_code == 2, done.output
    assert len(lines) == 1 and said in lines[0]
    assert "Traceback" not in done.output
    assert not list(tmp_path.iterdir()), "nothing may be left behind"


def test_a_wrong_setting_is_said_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("udsph.data.load", lambda *_, **__: pytest.fail("the dataset was loaded first"))
    done = udsph("train", "--data", "scenes", "--bits", 0, "--output", tmp_path / "run")
    assert done.exit_code == 2 and "--bits 0" in done.stderr
