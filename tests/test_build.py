"""A missing compiler is a warning, and an error where native code is required; other options build again."""

from __future__ import annotations

import os
import shutil
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


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs build IDs")
def test_other_options_build_the_modules_again(tmp_path: Path) -> None:
    """A compiler that compiles nothing and writes a line for every library that it links."""
    compiler, linked = tmp_path / "compiler", tmp_path / "linked"
    compiler.write_text(
        f"""#!/bin/sh
for option; do
    case "$option" in -c) compile=-c;; -Wl,--build-id=*) id=$option;; esac
    [ "$before" = -o ] && target=$option
    before=$option
done
[ -n "$compile" ] || echo "$target" >> {linked}
exec cc ${{compile:--shared $id}} -x c /dev/null -o "$target"
"""
    )
    compiler.chmod(0o755)
    command = ["setup.py", "-q", "build_ext", "--build-temp", str(tmp_path / "t"), "--build-lib", str(tmp_path / "l")]
    environment = {**os.environ, "CC": str(compiler), "CXX": str(compiler), "UDSPH_CUDA": "0"}
    counts = []
    for options in ("", "", "-DX", "-DX"):
        environment["UDSPH_CFLAGS"] = options
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True, timeout=300)
        modules = [Path(line).name.partition(".")[0] for line in linked.read_text().splitlines()]
        counts.append(modules.count("_native"))
    assert counts == [3, 3, 6, 6]
