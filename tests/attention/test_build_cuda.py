"""Building the CUDA library: optional where nothing was asked for, an error where it was. No other part is compiled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from udsph.cuda import LIBRARY

ROOT = Path(__file__).parent.parent.parent


def build(tmp_path, root=ROOT, **variables):
    """``setup.py build_ext`` without a C++ compiler, so that only the CUDA library can come out."""
    missing = str(tmp_path / "no-such-compiler")
    command = ["setup.py", "-q", "build_ext", "--build-temp", str(tmp_path / "t"), "--build-lib", str(tmp_path / "l")]
    environment = {**os.environ, "CC": missing, "CXX": missing, "UDSPH_REQUIRE_NATIVE": "0", **variables}
    return subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture
def failing_nvcc(tmp_path):
    script = tmp_path / "nvcc"
    script.write_text("#!/bin/sh\necho 'no such architecture' >&2\nexit 1\n")
    script.chmod(0o755)
    return str(script)


def test_a_failing_nvcc_is_a_warning(tmp_path, failing_nvcc):
    done = build(tmp_path, UDSPH_CUDA="auto", UDSPH_NVCC=failing_nvcc)
    assert done.returncode == 0, done.stderr
    assert "udsph.libudsph_cuda could not be compiled; the package works without it" in done.stderr


def test_a_failing_nvcc_is_an_error_where_cuda_was_asked_for(tmp_path, failing_nvcc):
    assert build(tmp_path, UDSPH_CUDA="1", UDSPH_NVCC=failing_nvcc).returncode != 0


def test_a_missing_nvcc(tmp_path):
    absent = str(tmp_path / "absent")
    done = build(tmp_path, UDSPH_CUDA="1", UDSPH_NVCC=absent)
    assert done.returncode != 0
    assert "UDSPH_CUDA=1, but nvcc was not found" in done.stderr
    done = build(tmp_path, UDSPH_CUDA="auto", UDSPH_NVCC=absent)
    assert done.returncode == 0, done.stderr
    assert "nvcc was not found, the CUDA library is not built" in done.stderr


def test_nvcc_is_not_called_where_cuda_is_left_out(tmp_path, failing_nvcc):
    done = build(tmp_path, UDSPH_CUDA="0", UDSPH_NVCC=failing_nvcc)
    assert done.returncode == 0, done.stderr
    assert "libudsph_cuda" not in done.stderr


def test_an_unknown_wish_is_an_error(tmp_path):
    assert "UDSPH_CUDA=yes: expected auto, 0 or 1" in build(tmp_path, UDSPH_CUDA="yes").stderr


@pytest.fixture
def recording_nvcc(tmp_path):
    """An nvcc that writes a line for each call and an empty shared library, by the linker of the C compiler."""
    script, calls = tmp_path / "nvcc", tmp_path / "calls"
    script.write_text(
        f"""#!{sys.executable}
import subprocess, sys
id = next(a.removeprefix("-Xlinker=") for a in sys.argv if a.startswith("-Xlinker="))
target = sys.argv[sys.argv.index("-o") + 1]
open({str(calls)!r}, "a").write(" ".join(a for a in sys.argv if "code=sm" in a) + "\\n")
sys.exit(subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", "-Wl," + id, "-o", target]).returncode)
"""
    )
    script.chmod(0o755)
    return str(script), calls


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs a linker that writes build IDs"
)
def test_other_architectures_build_the_library_again(tmp_path, recording_nvcc):
    nvcc, calls = recording_nvcc
    for architectures in ("80", "80", "90", "90", "80,90"):
        done = build(tmp_path, UDSPH_CUDA="1", UDSPH_NVCC=nvcc, UDSPH_CUDA_ARCHS=architectures)
        assert done.returncode == 0, done.stderr
    made = [line.count("-gencode") for line in calls.read_text().splitlines()]
    assert made == [1, 1, 2], "once for each set of architectures"


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs a linker that writes build IDs"
)
def test_a_source_that_changed_while_it_was_compiled_builds_the_library_again(tmp_path, recording_nvcc):
    """It is older than the library then, whose code is of what stood there before."""
    nvcc, calls = recording_nvcc
    root = tmp_path / "checkout"
    unwanted = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("csrc", "udsph"):
        shutil.copytree(ROOT / name, root / name, ignore=unwanted)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    source = root / "csrc" / "common" / "device.cu"
    for text in ("", "", "// more\n"):
        source.write_text(source.read_text() + text)
        os.utime(source, (0, 0))
        done = build(tmp_path, root, UDSPH_CUDA="1", UDSPH_NVCC=nvcc)
        assert done.returncode == 0, done.stderr
    assert len(calls.read_text().splitlines()) == 2


@pytest.mark.skipif(LIBRARY.exists(), reason="the installation has compiled it, and test_cuda.py loads it")
@pytest.mark.skipif(shutil.which(os.environ.get("UDSPH_NVCC") or "nvcc") is None, reason="needs nvcc")
def test_the_library_compiles_and_loads(tmp_path):
    done = build(tmp_path, UDSPH_CUDA="1", UDSPH_CUDA_ARCHS="90")
    assert done.returncode == 0, done.stderr
    (library,) = (tmp_path / "l").rglob("libudsph_cuda.so")
    pytest.importorskip("torch")
    from udsph.attention import cuda

    assert cuda.Library(library).chunks(128, 128) == 8
