"""What an installed package must do with NumPy alone: the compiled parts are there, search and evaluation are right.

    python smoke.py [--closed]

``--closed`` gives up the right to write everywhere (Linux), as in a container. Not for the folder of the checkout.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import pkgutil
import subprocess
import sys
import sysconfig
from pathlib import Path

NEEDS_NUMPY_ONLY = ("hamming", "evaluation", "data", "features", "experiments", "report", "cli")


def close() -> None:
    """Root writes anywhere by a capability, which it gives away; then modes hold for it as for anybody."""
    version, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).capset(version, none) == 0
    with contextlib.suppress(PermissionError):
        open(Path(sys.prefix) / "file", "w").close()
        sys.exit(f"{sys.prefix} can be written")


def import_everything() -> None:
    """Every module comes, or says which extra it needs."""
    import udsph
    from udsph.errors import MissingExtra

    def missing(error: BaseException) -> bool:
        name = (getattr(error, "name", None) or "udsph").partition(".")[0]
        return isinstance(error, MissingExtra) or (isinstance(error, ImportError) and name != "udsph")

    def failed(name: str) -> None:
        error = sys.exc_info()[1]
        if error is not None and not missing(error):
            raise error

    found = {module.name for module in pkgutil.walk_packages(udsph.__path__, "udsph.", onerror=failed)}
    for name in sorted(found - {"udsph.__main__"}):
        try:
            importlib.import_module(name)
        except ImportError:
            failed(name)
    for name in NEEDS_NUMPY_ONLY:
        importlib.import_module(f"udsph.{name}")
    for name in ("hamming._native", "hamming.capi", "evaluation._native", "attention._native"):
        module = sys.modules.get(f"udsph.{name}") or importlib.import_module(f"udsph.{name}")
        assert str(module.__file__).endswith(str(sysconfig.get_config_var("EXT_SUFFIX"))), module


def search_and_evaluate() -> None:
    """Against NumPy."""
    import numpy as np

    from udsph.evaluation import mean_average_precision
    from udsph.hamming import FlatIndex, Index, backend

    assert backend.name() == "native", backend.name()
    rng = np.random.default_rng(0)
    codes, queries = rng.integers(0, 256, (3000, 12), np.uint8), rng.integers(0, 256, (7, 12), np.uint8)
    matrix = np.unpackbits(queries[:, None] ^ codes[None], axis=2).sum(2)
    right = np.argsort(matrix, axis=1, kind="stable")[:, :9]
    for index in (FlatIndex(96), Index(96)):
        index.add(codes)
        distances, ids = index.search(queries, 9)
        assert (ids == right).all() and (distances == np.take_along_axis(matrix, right, 1)).all()
    labels = rng.integers(0, 3, len(codes))
    value = mean_average_precision(queries[:1], codes, np.array([2]), labels, ties="insertion")
    relevant = labels[np.argsort(matrix[0], kind="stable")] == 2
    ranks = 1 + np.flatnonzero(relevant)
    assert np.isclose(value, np.mean(np.arange(1, len(ranks) + 1) / ranks)), value


def command() -> None:
    """The installed command says its version and where its parts come from."""
    import udsph

    place = Path(sysconfig.get_path("scripts")) / ("udsph.exe" if sys.platform == "win32" else "udsph")
    said = subprocess.run([str(place), "--version"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"udsph {udsph.__version__}", said
    assert "hamming" in subprocess.run([str(place), "info"], capture_output=True, text=True, check=True).stdout
    package = Path(udsph.__file__).parent
    assert (Path(udsph.get_include()) / "udsph.h").exists() and (package / "py.typed").exists()
    assert (package / "hamming" / "capi.pxd").exists()


def free_threaded() -> None:
    """Where Python runs without its lock, importing the compiled parts has not brought it back."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled(), "an extension turned the interpreter's lock on"  # type: ignore[attr-defined]


if __name__ == "__main__":
    if "--closed" in sys.argv[1:] and sys.platform == "linux":
        close()
    import_everything()
    search_and_evaluate()
    command()
    free_threaded()
    print(f"udsph works in {sys.prefix} with Python {sys.version.split()[0]}")
