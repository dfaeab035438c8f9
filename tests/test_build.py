"""A missing compiler is a warning, and an error where native code is required; other options build again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
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


def test_an_editable_install_is_a_path_that_tools_can_follow(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for path in (ROOT / "udsph").rglob("*.py"):
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    missing = str(tmp_path / "no-such-compiler")
    environment = {**os.environ, "CC": missing, "CXX": missing, "UDSPH_CUDA": "0", "UDSPH_REQUIRE_NATIVE": "0"}
    command = [sys.executable, "setup.py", "-q", "editable_wheel", "--dist-dir", str(tmp_path)]
    subprocess.run(command, cwd=source, env=environment, check=True, capture_output=True, timeout=300)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        paths = [name for name in wheel.namelist() if name.endswith(".pth")]
        assert [wheel.read(name).decode().strip() for name in paths] == [str(source)]
        assert not [name for name in wheel.namelist() if name.endswith(".py")], "an import hook hides the package"


def test_what_the_package_lists_is_there() -> None:
    """A pattern of package-data that no file has is a file that was forgotten."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["udsph"]
    assert [pattern for pattern in patterns if not list((ROOT / "udsph").glob(pattern))] == []
