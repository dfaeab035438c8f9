"""A missing compiler is a warning, and an error where native code is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("required", [False, True])
def test_build_without_a_compiler(tmp_path: Path, required: bool) -> None:
    missing = str(tmp_path / "no-such-compiler")
    command = ["setup.py", "-q", "build_ext", "--build-temp", str(tmp_path / "t"), "--build-lib", str(tmp_path / "l")]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={
            **os.environ,
            "CC": missing,
            "CXX": missing,
            "UDSPH_CUDA": "0",
            "UDSPH_REQUIRE_NATIVE": str(int(required)),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode != 0) == required, done.stderr
    assert not list(tmp_path.rglob("*.so"))
    if not required:
        assert "udsph.hamming._native could not be compiled; the package works without it" in done.stderr
