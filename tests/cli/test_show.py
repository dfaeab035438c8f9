"""``udsph show``, and what commands print of a dataset's bad items."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .command import SMALL, udsph

pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "folder"
    root.mkdir()
    rows = ["image,caption,labels"]
    for k in range(20):
        Image.fromarray(np.full((9, 9, 3), 12 * k, np.uint8)).save(root / f"{k}.png")
        rows.append(f"{k}.png,thing {k} costs $5 or $x_{{$,{'odd' if k % 2 else 'even'}")
    (root / "7.png").write_bytes(b"no picture")
    (root / "pairs.csv").write_text("\n".join(rows))
    return root


def test_train_and_show_on_files(folder: Path, tmp_path: Path) -> None:
    run, picture = tmp_path / "run", tmp_path / "picture.png"
    command = ["train", "--data", "folder", "--root", str(folder), "--output", str(run), *SMALL, "--set", "size=16"]
    # In a process of its own: pytest takes the warnings of this one.
    done = subprocess.run([sys.executable, "-m", "udsph", *command], capture_output=True, text=True, check=True)
    named = "left out 1: the image is damaged (7.png is no whole image"
    assert done.stderr.startswith(f"udsph: folder: {named}")
    assert "warnings.warn" not in done.stderr and ".py:" not in done.stderr
    assert named in " ".join(done.stdout.split())  # once more at the end
    shown = udsph("show", run, "--output", picture, "--queries", 2, "-k", 3)
    assert shown.exit_code == 0, shown.output
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"
    assert "2 queries in both directions, 15 items" in shown.output
    looks = udsph("show", run, "--output", tmp_path / "looks.png", "--queries", 2, "--attended")
    assert looks.exit_code == 0, looks.output
    assert "where the 2 surest classes looked in 4 items" in looks.output  # pictures and texts
    with Image.open(tmp_path / "looks.png") as drawn:
        assert drawn.format == "PNG"


def test_what_cannot_be_shown_is_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    values = np.random.default_rng(0).random((20, 5))
    np.savez(tmp_path / "f.npz", image=values, text=values, labels=np.arange(20) % 2)
    done = udsph("train", "--data", "features", "--root", tmp_path / "f.npz", "--output", run, *SMALL)
    assert done.exit_code == 0, done.output
    for output, named in (("a.png", "features: a picture of retrieved items needs"), ("a.jpg", "expected a .png file")):
        shown = udsph("show", run, "--output", tmp_path / output)
        assert shown.exit_code == 2
        assert named in shown.output and "Traceback" not in shown.output
        assert not (tmp_path / output).exists()
    assert udsph("show", tmp_path / "none", "--output", tmp_path / "a.png").exit_code == 2
