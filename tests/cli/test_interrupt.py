"""Ctrl-C during training: exit code 130, a checkpoint, and nothing half-written."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path


def test_interrupted_training_exits_130_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    output = tmp_path / "run"
    command = [
        "train",
        "--data",
        "scenes",
        "--bits",
        "8",
        "--epochs",
        "5000",
        "--device",
        "cpu",
        "--output",
        str(output),
    ]
    settings = ["--set", "pairs=120", "--set", "label_steps=2", "--set", "checkpoint_seconds=0"]
    training = subprocess.Popen(
        [sys.executable, "-m", "udsph", *command, *settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (output / "checkpoint.pt").exists():
            assert training.poll() is None, "training ended before its first checkpoint"
            time.sleep(0.05)
        training.send_signal(signal.SIGINT)
        _, said = training.communicate(timeout=120)
    finally:
        training.kill()
    assert training.returncode == 130
    assert "interrupted" in said and "Traceback" not in said
    assert (output / "checkpoint.pt").exists()
    assert not list(output.glob("*.part")) and not list(output.glob("*.tmp"))
