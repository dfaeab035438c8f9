"""udsph.hamming from other programs: C, Numba and scikit-learn. Cython calls the table of functions that C does."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

import udsph
from udsph import hamming

from .common import optional, random_codes, size, skip_unsupported_level

QUERIES, K = 200, 10

# A module whose one function asks a view one query after the other.
SOURCE = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <udsph.h>
static const udsph_api *udsph;
static PyObject *ask(PyObject *module, PyObject *arguments) {
  PyObject *index;
  Py_buffer queries;
  udsph_view *view;
  long long sum = 0;
  if (!PyArg_ParseTuple(arguments, "Oy*", &index, &queries)) return NULL;
  if (udsph->snapshot(index, &view)) return PyErr_Format(PyExc_ValueError, "%s", udsph->message());
  Py_ssize_t bytes = (Py_ssize_t)(udsph->bits(view) + 7) / 8;
  Py_BEGIN_ALLOW_THREADS
  for (Py_ssize_t at = 0; at < queries.len; at += bytes) {
    int32_t distances[10];
    int64_t ids[10];
    udsph->search(view, (const uint8_t *)queries.buf + at, 1, 10, NULL, 1, distances, ids);
    sum += ids[0];
  }
  Py_END_ALLOW_THREADS
  udsph->close(view);
  PyBuffer_Release(&queries);
  return PyLong_FromLongLong(sum);
}
static PyMethodDef methods[] = {{"ask", ask, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "asks", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_asks(void) {
  udsph = udsph_import();
  return udsph == NULL ? NULL : PyModule_Create(&definition);
}
"""


def compiled(folder: Path):
    """The module of SOURCE."""
    compiler = os.environ.get("CC", sysconfig.get_config_var("CC") or "cc").split()[-1]
    if shutil.which(compiler) is None:
        raise NotImplementedError("there is no C compiler here")
    (folder / "asks.c").write_text(SOURCE)
    path = folder / f"asks{sysconfig.get_config_var('EXT_SUFFIX')}"
    includes = [f"-I{udsph.get_include()}", f"-I{sysconfig.get_path('include')}"]
    command = [compiler, "-O2", "-shared", "-fPIC", *includes, str(folder / "asks.c"), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    spec = importlib.util.spec_from_file_location("asks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class OneByOne:
    """200 queries, one after the other, for 10 neighbours: from Python, C and Numba."""

    params = (("python", "c", "numba"), (1000, 1_000_000))
    param_names = ("door", "n")
    timeout = 120

    def setup(self, door, n):
        skip_unsupported_level()
        if hamming.build_info()["backend"] != "native":
            raise NotImplementedError("views are native")
        self.codes = random_codes(size(n), 64, 0)
        self.index, self.queries = hamming.FlatIndex(64), self.codes[:QUERIES].copy()
        self.index.add(self.codes)
        if door == "python":
            self.ask = lambda: [self.index.search(query, K, threads=1) for query in self.queries]
        elif door == "c":
            with tempfile.TemporaryDirectory() as folder:
                module = compiled(Path(folder))
            self.ask = lambda: module.ask(self.index, self.queries)
        else:
            self.ask = self.of_numba()
        self.ask()

    def of_numba(self):
        njit = optional("numba").njit
        from udsph.hamming import numba_functions as functions

        @njit(nogil=True)
        def ask(address, queries, k):
            distances, ids = np.empty((1, k), np.int32), np.empty((1, k), np.int64)
            total = 0
            for i in range(len(queries)):
                functions.search(address, queries[i : i + 1], distances, ids)
                total += ids[0, 0]
            return total

        self.view = functions.view(self.index)
        return lambda: ask(self.view.address, self.queries, K)

    def time_search(self, door, n):
        self.ask()


class NumbaRows:
    """The nearest of packed rows in compiled code, without an index."""

    params = ((100, 10_000),)
    param_names = ("rows",)

    def setup(self, rows):
        njit = optional("numba").njit
        skip_unsupported_level()
        from udsph.hamming import numba_functions as functions

        @njit(nogil=True)
        def ask(queries, codes, k):
            distances, ids = np.empty(k, np.int32), np.empty(k, np.int64)
            for i in range(len(queries)):
                functions.nearest(queries[i], codes, distances, ids)

        self.codes = random_codes(rows, 64, 0)
        self.ask = lambda: ask(self.codes[:QUERIES], self.codes, K)
        self.ask()

    def time_nearest(self, rows):
        self.ask()


class ScikitLearn:
    """``HammingNeighbors`` over codes of 64 bits."""

    timeout = 120

    def setup(self):
        optional("sklearn")
        skip_unsupported_level()
        from udsph.hamming.sklearn import HammingNeighbors

        self.codes = random_codes(size(200_000), 64, 0)
        self.neighbors = HammingNeighbors(n_neighbors=K).fit(self.codes)

    def time_fit(self):
        type(self.neighbors)(n_neighbors=K).fit(self.codes)

    def time_kneighbors(self):
        self.neighbors.kneighbors(self.codes[:QUERIES])

    def time_kneighbors_graph(self):
        self.neighbors.kneighbors_graph(self.codes[:QUERIES])
