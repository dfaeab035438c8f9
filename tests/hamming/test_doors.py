"""The projects of docs/c-cython-numba.md are built and run outside the source tree; the C functions by themselves."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import udsph
from udsph import hamming
from udsph.hamming import backend

ROOT = Path(__file__).parents[2]
COMPILER = os.environ.get("CC", sysconfig.get_config_var("CC") or "cc").split()[-1]

# The functions that the page does not show, and those that were there before views.
FURTHER = """
def over_rows(const uint8_t[:, ::1] queries, const uint8_t[:, ::1] codes, int32_t[:, ::1] matrix, int32_t[:, ::1] near,
              int64_t[:, ::1] rows):
    cdef size_t nq = queries.shape[0], n = codes.shape[0], k = near.shape[1], bits = 8 * codes.shape[1], q, many
    cdef int failed
    cdef int32_t one
    cdef int64_t row
    with nogil:
        failed = udsph.distances(&queries[0, 0], nq, &codes[0, 0], n, bits, 1, &matrix[0, 0])
        failed |= udsph.search(&queries[0, 0], nq, &codes[0, 0], n, bits, k, 2, &near[0, 0], &rows[0, 0])
        failed |= 2 * (udsph.search(&queries[0, 0], nq, &codes[0, 0], n, 0, k, 2, &near[0, 0], &rows[0, 0]) != -1)
        for q in range(nq):
            failed |= udsph.within(&queries[q, 0], &codes[0, 0], n, bits, near[q, k - 1], 1, &one, &row, &many)
            failed |= 4 * (many < k or row != rows[q, 0])
            failed |= udsph.nearest(&queries[q, 0], &codes[0, 0], n, bits, k, &near[q, 0], &rows[q, 0])
    return failed

def over_a_view(index, const uint8_t[:, ::1] queries, size_t radius):
    cdef udsph.View *view
    cdef udsph.Range found
    cdef const char *utf8
    cdef size_t length
    assert udsph.view_snapshot(index, &view) == 0
    assert udsph.view_range_search(view, &queries[0, 0], queries.shape[0], radius, NULL, 1, &found) == 0
    names = []
    for i in range(found.offsets[queries.shape[0]]):
        assert udsph.view_text(view, found.ids[i], &utf8, &length) == 0
        names.append(utf8[:length].decode())
    distances = [found.distances[i] for i in range(len(names))]
    udsph.view_release(&found)
    shape = udsph.view_count(view), udsph.view_bits(view)
    udsph.view_close(view)
    return *shape, distances, names

def over_a_file(bytes path, const uint8_t[::1] query, size_t radius):
    cdef udsph.View *view
    cdef udsph.Range found
    assert udsph.view_open(b"no such file", &view) != 0
    assert udsph.view_open(path, &view) == 0
    assert udsph.view_range_search(view, &query[0], 1, radius, NULL, 1, &found) == 0
    count = found.offsets[1]
    udsph.view_release(&found)
    udsph.view_close(view)
    assert udsph.view_from_codes(&query[0], 1, 8 * query.shape[0], NULL, &view) == 0
    assert udsph.view_count(view) == 1
    udsph.view_close(view)
    return count
"""

# The functions of the Numba page against the search, compiled by Numba.
WITHOUT_NATIVE_CODE = """
import sys
sys.modules["udsph.hamming._native"] = None
import votes
sys.path.insert(0, {!r})
import test_numba_functions as test
assert test.backend.available()[0] == "numba"
test.check_parity()
try:
    test.functions.view(test.hamming.FlatIndex(8))
except RuntimeError as error:
    print(error)
"""

needs_native = pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")
needs_compiler = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="there is no C compiler here")
pytestmark = needs_native


@functools.cache
def project() -> dict[str, str]:
    """The files of the page, by name."""
    page = (ROOT / "docs" / "c-cython-numba.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", page, re.M | re.S))


def python(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    paths = [str(Path(udsph.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "CFLAGS": "-O0 -Wall -Wextra"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def built(folder: Path, setup: str, *sources: str) -> None:
    for name in (setup, *sources):
        (folder / name).write_text(project()[name])
    done = python(folder, setup, "-q", "build_ext", "--inplace")
    assert done.returncode == 0, done.stdout + done.stderr


def check_printed(folder: Path, name: str) -> None:
    """A script prints what its comments say."""
    (folder / name).write_text(project()[name])
    done = python(folder, name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)$", project()[name], re.M)


@needs_compiler
def test_the_c_project_of_the_page(tmp_path: Path) -> None:
    built(tmp_path, "setup.py", "near.c")
    check_printed(tmp_path, "try_near.py")
    wrong = python(tmp_path, "-c", "import near; near.nearest('no-such-file', b'12345678')")
    assert "ValueError: [Errno 2]" in wrong.stderr


@needs_compiler
def test_the_cython_project_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("Cython")
    if os.environ.get("UDSPH_REQUIRE_NATIVE", "0") in ("", "0"):
        pytest.importorskip("udsph.hamming.capi")
    monkeypatch.setitem(project(), "client.pyx", project()["client.pyx"] + FURTHER)
    built(tmp_path, "setup_client.py", "client.pyx")
    check_printed(tmp_path, "try_client.py")
    monkeypatch.syspath_prepend(tmp_path)
    import client

    rng = np.random.default_rng(0)
    queries, codes = (rng.integers(0, 256, (n, 13), dtype=np.uint8) for n in (30, 1000))
    with pytest.raises(ValueError, match="index must be a FlatIndex or an Index, got int"):
        client.nearest(5, queries, np.empty((1, 1), np.int32), np.empty((1, 1), np.int64))
    matrix, near = np.empty((30, 1000), np.int32), np.empty((30, 7), np.int32)
    positions = np.empty((30, 7), np.int64)
    expected = hamming.search(queries, codes, 7)
    assert client.over_rows(queries, codes, matrix, near, positions) == 0
    np.testing.assert_array_equal(matrix, hamming.distances(queries, codes))
    np.testing.assert_array_equal(positions, expected.ids)
    np.testing.assert_array_equal(near, expected.distances)
    index = hamming.FlatIndex(104)
    index.add(codes, ids=[f"name {i}" for i in range(1000)])
    within = index.range_search(queries, 40)
    assert client.over_a_view(index, queries, 40) == (1000, 104, within.distances.tolist(), within.ids.tolist())
    index = hamming.FlatIndex(104)
    index.add(codes)
    index.save(tmp_path / "codes.udsph")
    assert client.over_a_file(bytes(tmp_path / "codes.udsph"), queries[0], 40) == len(
        index.range_search(queries[0], 40).ids
    )


def test_the_numba_script_of_the_page_with_native_code_and_without(tmp_path: Path) -> None:
    """What it keeps compiled in one process works in the other."""
    pytest.importorskip("numba")
    kept = project()["try_numba.py"].replace("nogil=True", "nogil=True, cache=True")
    (tmp_path / "votes.py").write_text(kept)
    (tmp_path / "without.py").write_text(WITHOUT_NATIVE_CODE.format(str(Path(__file__).parent)))
    for command in (("-c", "import votes"), ("-W", "ignore", "without.py")):
        done = python(tmp_path, *command)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("[0, 1, 2, 3]\n")
    assert done.stdout.endswith("\na view of an index needs native code: install udsph where a C++ compiler is\n")
    compiled = list((tmp_path / "__pycache__").glob("votes.votes-*.nbc"))
    assert len(compiled) == 1, "the second process compiled nothing"


@needs_compiler
@pytest.mark.parametrize("standard", ["c99", "c11", "c++11", "c++20"])
def test_the_header_is_plain_c_and_cpp(tmp_path: Path, standard: str) -> None:
    language = "c++" if "+" in standard else "c"
    (tmp_path / "plain.c").write_text(
        "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n#include <udsph.h>\n"
        "int main(void) { return udsph_import() != NULL ? UDSPH_OK : UDSPH_FAILED; }\n"
    )
    folders = ["-isystem", sysconfig.get_paths()["include"], "-I", udsph.get_include()]
    command = [COMPILER, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Werror", *folders, "-fsyntax-only"]
    done = subprocess.run([*command, "plain.c"], cwd=tmp_path, capture_output=True, text=True, check=False)
    if "c++" in standard and "cc1plus" in done.stderr:
        pytest.skip("there is no C++ compiler here")
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_a_package_that_is_older_than_the_header_is_refused_by_version(tmp_path: Path) -> None:
    """The same module, built with a header of a version to come."""
    header = (Path(udsph.get_include()) / "udsph.h").read_text()
    later = header.replace("} udsph_api;", "int (*later)(void);\n} udsph_api;").replace("VERSION 1", "VERSION 2")
    (tmp_path / "udsph.h").write_text(later)
    (tmp_path / "near.c").write_text(project()["near.c"].replace("<udsph.h>", '"udsph.h"'))
    (tmp_path / "setup.py").write_text(project()["setup.py"])
    done = python(tmp_path, "setup.py", "-q", "build_ext", "--inplace")
    assert done.returncode == 0, done.stderr
    refused = python(tmp_path, "-c", "import near")
    assert (
        "ImportError: this module was built for the C functions of udsph up to version 2, the installed udsph"
        in refused.stderr
    )
    assert "has version 1: upgrade udsph" in refused.stderr
