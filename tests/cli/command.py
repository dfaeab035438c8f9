"""The ``udsph`` command within this process, and settings with which a training takes a second."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from udsph.cli.app import main

SMALL = ["--bits", "16", "--epochs", "1", "--device", "cpu", "--set", "label_steps=5"]
SMALL_SCENES = [*SMALL, "--set", "pairs=120"]


@dataclass
class Result:
    """What a command ended with and said."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def udsph(*arguments: object) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Result(code, out.getvalue(), err.getvalue())
