import subprocess
import sys

import pytest

from udsph import hamming
from udsph.hamming import backend


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    import os

    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


SEARCH = "import numpy as np, udsph.hamming as h; h.search(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), 1); "


@pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")
def test_levels_are_listed_and_forced():
    assert hamming.simd_levels()[0] == "scalar"
    assert hamming.simd_level() in hamming.simd_levels()
    for level in hamming.simd_levels():
        assert run(SEARCH + "print(h.simd_level())", UDSPH_SIMD=level).stdout == f"{level}\n"


@pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")
@pytest.mark.parametrize(("name", "why"), [("sse9", "not an instruction-set level"), ("neon", "not available")])
def test_an_unknown_or_missing_level_is_an_error_that_names_it(name, why):
    if name in hamming.simd_levels():
        pytest.skip(f"{name} is available here")
    outcome = run(SEARCH, UDSPH_SIMD=name)
    assert outcome.returncode == 1
    assert f"ValueError: UDSPH_SIMD={name} is {why}" in outcome.stderr


@pytest.mark.parametrize("name", ["numba", "numpy"])
def test_without_native_code_the_next_backend_serves_with_one_warning(name):
    hide = "import sys; sys.modules['udsph.hamming._native'] = None; "
    hide += "sys.modules['numba'] = None; " if name == "numpy" else ""
    if name not in backend.available():
        pytest.skip(f"{name} is not installed")
    outcome = run(hide + SEARCH + SEARCH + "print(h.simd_level())")
    assert outcome.stdout == f"{name}\n"
    assert outcome.stderr.count("RuntimeWarning") == 1
    assert f"runs on {name}" in outcome.stderr


def test_import_is_light():
    outcome = run("import sys, udsph.hamming; print({'numba', 'torch', 'scipy'} & set(sys.modules))")
    assert outcome.stdout == "set()\n"


def test_build_info_tells_what_serves():
    info = hamming.build_info()
    assert info["backend"] in info["backends"]
    assert info["simd_level"] in info["simd_levels"]
    assert info["threads"] >= 1
    assert info["native"] == ("native" in info["backends"])
