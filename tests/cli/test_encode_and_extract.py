"""``udsph extract``, ``share`` and ``encode`` from images and captions to codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from udsph import data

from .command import SMALL, udsph


def test_from_scenes_to_features_to_a_shared_model_to_codes(tmp_path: Path) -> None:
    features, run, shared = tmp_path / "features", tmp_path / "run", tmp_path / "shared"
    scenes = ("extract", "--data", "scenes", "--set", "pairs=80")
    done = udsph(*scenes, "--output", features)
    assert done.exit_code == 0, done.output
    assert "80 items" in done.output
    done = udsph("train", "--data", "features", "--root", features, "--output", run, *SMALL)
    assert done.exit_code == 0, done.output
    assert udsph("evaluate", run).exit_code == 0
    done = udsph("share", run, "--output", shared, "--licence", "apache-2.0")
    assert done.exit_code == 0, done.output
    assert "license: apache-2.0" in (shared / "README.md").read_text()
    assert json.loads((shared / "config.json").read_text())["metrics"]["bits"] == 16
    captions = data.load("scenes", pairs=80, workers=1).captions
    assert captions is not None
    (tmp_path / "captions.txt").write_text("\n".join(captions), encoding="utf-8")
    for model in (run, shared):
        output = tmp_path / f"{model.name}.npy"
        done = udsph("encode", model, "--modality", "text", "--input", tmp_path / "captions.txt", "--output", output)
        assert done.exit_code == 0, done.output
        assert "80 codes of 16 bits" in done.output
    np.testing.assert_array_equal(np.load(tmp_path / "run.npy"), np.load(tmp_path / "shared.npy"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data", "sounds"], "unknown dataset 'sounds'"),
        (["--data", "scenes", "--image", "resnet"], "unknown image features 'resnet'"),
        (["--data", "scenes", "--image", "cnnf"], "imagenet-vgg-f.mat"),
        (["--data", "scenes", "--text", "bert"], "unknown text features 'bert'"),
        (["--data", "scenes", "--dims", "0"], "--dims: 0 is below 1"),
        (["--data", "scenes", "--on-error", "ignore"], "--on-error: invalid choice"),
        (["--data", "scenes", "--set", "pairs=20", "--batch-size", "0"], "--batch-size 0: expected"),
    ],
)
def test_a_wrong_extraction_is_one_line(arguments: list[str], named: str, tmp_path: Path) -> None:
    done = udsph("extract", *arguments, "--output", tmp_path / "out")
    assert done.exit_code == 2
    assert named in done.output and "Traceback" not in done.output
    assert not (tmp_path / "out").exists()
