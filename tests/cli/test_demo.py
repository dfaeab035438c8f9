"""``udsph demo`` on toy sizes: it trains, scores, indexes and searches, and prints commands that do the same."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from udsph import Hasher
from udsph.cli.demo import SETTINGS

from .command import udsph

pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")


def test_the_demo_and_the_commands_that_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SETTINGS, "label_steps", 5)
    command = ("demo", "--output", "a demo", "--pairs", 60, "--epochs", 1, "--bits", 16, "--seed", 3)
    done = udsph(*command)
    assert done.exit_code == 0, done.stderr
    assert "a red star" in done.stdout and "image to text" in done.stdout
    assert "minutes" in done.stderr  # said before it begins
    for name in ("run/metrics.json", "images.index/items.json", "retrieval.png", "found.png"):
        assert (tmp_path / "a demo" / name).stat().st_size
    again = udsph(*command, "--json")  # shows what is there
    assert again.exit_code == 0 and len(json.loads(again.stdout)["answers"]) == 2, again.stderr
    printed = [shlex.split(line) for line in done.stdout.splitlines() if line.startswith("  udsph ")]
    assert [words[1] for words in printed] == ["train", "evaluate", "index", "search"]
    (tmp_path / "a demo").rename("the demo")
    (tmp_path / "a demo").mkdir()
    for words in printed:
        again = udsph(*words[1:])
        assert again.exit_code == 0, again.stderr
    metrics = [
        json.loads((tmp_path / folder / "run" / "metrics.json").read_text()) for folder in ("a demo", "the demo")
    ]
    assert metrics[0] == metrics[1]
    assert Hasher.load("a demo/run").config == Hasher.load("the demo/run").config
    assert (tmp_path / "found.png").exists()
