"""A run made again from its own configuration, on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from udsph.encoding.run_folder import read_splits
from udsph.training import UDSPH, losses
from udsph.training.checkpoint import read_checkpoint

from .command import SMALL_SCENES, udsph


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    more = ["--seed", 3, "--set", "data.seed=5", "--set", "weight_classify=0.7"]
    done = udsph("train", "--data", "scenes", "--output", folder, *SMALL_SCENES, *more)
    assert done.exit_code == 0, done.output
    return folder


def tensors(folder: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in UDSPH.load(folder, "cpu").tensors().items()}


def test_a_run_is_made_again_from_its_configuration_alone(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "config.json", tmp_path / "kept.json")
    for config, output in ((run, tmp_path / "a"), (tmp_path / "kept.json", tmp_path / "b")):
        done = udsph("train", "--config", config, "--output", output)
        assert done.exit_code == 0, done.output
        before, after = (json.loads((folder / "config.json").read_text()) for folder in (run, output))
        assert after["asked"] == after["training"], "nothing was left open"
        assert {**after, "asked": before["asked"]} == before
        first, second = tensors(run), tensors(output)
        assert all(np.array_equal(first[name], second[name]) for name in first)
        for name, index in read_splits(run).items():
            np.testing.assert_array_equal(index, read_splits(output)[name])


def test_other_options_change_what_the_configuration_says(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "changed"
    changes = ["--seed", 4, "--set", "attention=false", "--set", "data.seed=6"]
    done = udsph("train", "--config", run / "config.json", "--output", output, *changes)
    assert done.exit_code == 0, done.output
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (run, output))
    assert after["training"] == before["training"] | {"seed": 4, "attention": "none"}
    assert after["data"]["settings"] == before["data"]["settings"] | {"seed": 6}


def test_neither_data_nor_configuration(tmp_path: Path) -> None:
    done = udsph("train", "--output", tmp_path / "run", *SMALL_SCENES)
    assert done.exit_code == 2 and "--data" in done.stderr and "Traceback" not in done.stderr
    done = udsph("train", "--config", tmp_path, "--output", tmp_path / "run")
    assert done.exit_code == 2 and "is not a run" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_is_one_line_and_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = losses.balance, []

    def breaks(codes: torch.Tensor) -> torch.Tensor:
        calls.append(len(calls))
        return original(codes) * (torch.nan if len(calls) == 5 + 2 * 2 else 1.0)  # the second epoch

    monkeypatch.setattr(losses, "balance", breaks)
    output = tmp_path / "run"
    more = ["--epochs", 3, "--set", "checkpoint_seconds=0"]
    done = udsph("train", "--data", "scenes", "--output", output, *SMALL_SCENES, *more)
    assert done.exit_code == 2, done.output
    assert done.stderr.count("udsph: ") == 1 and "Traceback" not in done.stderr
    assert "the loss text_equal is nan in select epoch 2, batch 1 of 1" in done.stderr
    state = read_checkpoint(output)
    assert state is not None and state["done_epochs"] == 1
    assert all(torch.isfinite(value).all() for value in state["pair"].values())
    monkeypatch.undo()
    assert udsph("train", "--data", "scenes", "--output", output, *SMALL_SCENES, *more).exit_code == 0
