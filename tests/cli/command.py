"""The ``udsph`` command within this process, and settings with which a training takes a second."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from udsph.cli.commands import app

SMALL = ["--bits", "16", "--epochs", "1", "--device", "cpu", "--set", "label_steps=5"]
SMALL_SCENES = [*SMALL, "--set", "pairs=120"]


def udsph(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
