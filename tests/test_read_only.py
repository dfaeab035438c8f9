"""The package in a container: in a closed folder, without a home, for a user whom the system does not know."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Root writes anywhere by a capability, so it gives its capabilities away; then modes hold for it as for anybody.
CLOSED = """
import ctypes, os, pwd, sys, tempfile
if hasattr(os, "geteuid") and os.geteuid() == 0:
    version, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).capset(version, none) == 0
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
try:
    open(os.path.join(sys.argv[1], "udsph", "file"), "w")
except PermissionError:
    pass
else:
    sys.exit("the folder of the package can be written")
"""

# The largest file that may be written has no bytes: wherever a library looks for a place, the disk is full.
FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    tempfile.gettempdir()
except FileNotFoundError:
    pass
else:
    sys.exit("a temporary file can be written")
"""

IMPORT_ALL = """
import importlib, pkgutil
from udsph.errors import MissingExtra
import udsph
assert udsph.__path__[0].startswith(sys.argv[1]), udsph.__path__
def name_of(error):
    return (getattr(error, "name", None) or "udsph").partition(".")[0]
def failed(name):
    error = sys.exc_info()[1]
    if not isinstance(error, MissingExtra) and name_of(error) == "udsph":
        raise error
names = {found.name for found in pkgutil.walk_packages(udsph.__path__, "udsph.", onerror=failed)}
for name in sorted(names - {"udsph.__main__", "udsph.libudsph_cuda"}):  # a program, a library without Python
    try:
        importlib.import_module(name)
    except ImportError:
        failed(name)
print({"udsph.evaluation", "udsph.hamming.flat", "udsph.training.trainer", "udsph.cli.app"} <= names)
"""

EVALUATE = """
import numpy as np
from udsph.evaluation import evaluate
codes, labels = np.array([[0], [1], [3]], np.uint8), np.array([0, 1, 0])
print(evaluate(codes[:1], codes, labels[:1], labels, metrics=["precision@2"], ranks=())["precision@2"])
"""

SEARCH = """
import numpy as np
from udsph.hamming import jit
codes = np.array([[0], [1], [3]], np.uint8)
print(jit.distance(codes[0], codes[2]))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with a copy of the package that nobody may write to."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "udsph", folder / "udsph", ignore=shutil.ignore_patterns("__pycache__"))
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in everything:
        path.chmod(0o755)


def run(package: Path, code: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(package)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=kept | {"PYTHONPATH": str(package)},
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.strip()


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="modes and limits as Linux has them")


def test_every_part_can_be_imported(package):
    """Some seconds: torch is among them, and Lightning Fabric, which asks for a folder of temporary files."""
    assert run(package, CLOSED + IMPORT_ALL) == "True"


def test_codes_are_evaluated(package):
    assert run(package, CLOSED + FULL + EVALUATE) == "0.5"


def test_numba_functions_run(package):
    pytest.importorskip("numba")
    assert run(package, CLOSED + FULL + SEARCH) == "2"
