"""A project of its own cimports the C-level functions: compiled and run outside the source tree."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from udsph import hamming
from udsph.hamming import backend

CLIENT = """
from libc.stdint cimport int32_t, int64_t, uint8_t
from udsph.hamming.capi cimport distances, search

def run(const uint8_t[:, ::1] queries, const uint8_t[:, ::1] codes, int32_t[:, ::1] matrix,
        int32_t[:, ::1] near, int64_t[:, ::1] positions, size_t bits):
    cdef size_t nq = queries.shape[0], n = codes.shape[0], k = near.shape[1]
    cdef int failed
    with nogil:
        failed = distances(&queries[0, 0], nq, &codes[0, 0], n, bits, 1, &matrix[0, 0])
        failed |= search(&queries[0, 0], nq, &codes[0, 0], n, bits, k, 2, &near[0, 0], &positions[0, 0])
        failed |= 2 * (search(&queries[0, 0], nq, &codes[0, 0], n, 0, k, 2, &near[0, 0], &positions[0, 0]) != -1)
    return failed
"""

SETUP = """
from setuptools import Extension, setup
from Cython.Build import cythonize
setup(ext_modules=cythonize([Extension("client", ["client.pyx"], extra_compile_args=["-O0"])], language_level=3))
"""


def test_a_client_outside_the_source_tree(tmp_path, monkeypatch):
    pytest.importorskip("Cython")
    try:
        import udsph.hamming.capi
    except ImportError:
        if "native" in backend.available() and os.environ.get("UDSPH_REQUIRE_NATIVE", "0") not in ("", "0"):
            raise
        pytest.skip("capi is not built here")
    (tmp_path / "client.pyx").write_text(CLIENT)
    (tmp_path / "setup.py").write_text(SETUP)
    package = str(Path(udsph.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    built = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    monkeypatch.syspath_prepend(tmp_path)
    import client

    rng = np.random.default_rng(0)
    queries, codes = (rng.integers(0, 256, (n, 13), dtype=np.uint8) for n in (30, 1000))
    matrix, near = np.empty((30, 1000), np.int32), np.empty((30, 7), np.int32)
    positions = np.empty((30, 7), np.int64)
    assert client.run(queries, codes, matrix, near, positions, 104) == 0
    np.testing.assert_array_equal(matrix, hamming.distances(queries, codes))
    np.testing.assert_array_equal(positions, hamming.search(queries, codes, 7).ids)
    np.testing.assert_array_equal(near, hamming.search(queries, codes, 7).distances)
