"""Native parts of the package. Everything else about it stands in pyproject.toml.

What is built, and what happens where it cannot be:

==========================  =======================================  ==========================================
``udsph.hamming._native``   C++17 compiler, pybind11                 Numba, else NumPy, serves the same functions
``udsph.hamming.capi``      the same and Cython                      other Cython projects cannot cimport it
``udsph.attention._native`` C++17 compiler, pybind11                 attention in plain torch (backend ``gram``)
==========================  =======================================  ==========================================

A failed compile is a warning, and an error under ``UDSPH_REQUIRE_NATIVE=1``. No flag depends on the CPU of the build
machine: each instruction set has a translation unit that opens its own target region, and the level is chosen at run
time.
"""

from __future__ import annotations

import os
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

REQUIRED = os.environ.get("UDSPH_REQUIRE_NATIVE", "0") not in ("", "0")
# Debug and sanitizer builds add to these: the sanitizer target of the Makefile does.
EXTRA_COMPILE = os.environ.get("UDSPH_CFLAGS", "").split()
EXTRA_LINK = os.environ.get("UDSPH_LDFLAGS", "").split()


def native_extension(name: str, folder: str, *options: str) -> Extension:
    """One pybind11 extension made of every C++ file of a folder, rebuilt when a header changes."""
    import pybind11

    sources = sorted(glob(f"{folder}/*.cpp"))
    headers = sorted(path for path in glob("csrc/**/*", recursive=True) if path.endswith((".h", ".inc")))
    flags = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror=psabi", "-pthread"]
    return Extension(
        name,
        sources,
        include_dirs=["csrc", pybind11.get_include()],
        depends=headers,
        language="c++",
        extra_compile_args=[*flags, *options, *EXTRA_COMPILE],
        extra_link_args=["-pthread", *EXTRA_LINK],
        optional=not REQUIRED,
    )


def cython_extensions() -> list[Extension]:
    """The C-level door for other Cython projects; absent where Cython is."""
    sources = ["udsph/hamming/capi.pyx"]
    if not Path(sources[0]).exists():
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if REQUIRED:
            raise
        print("udsph: Cython is not installed, udsph.hamming.capi is not built", file=sys.stderr)
        return []
    extension = Extension("udsph.hamming.capi", sources, include_dirs=["csrc"], language="c++", optional=not REQUIRED)
    return cythonize([extension], compiler_directives={"language_level": "3"})


class BuildNative(build_ext):
    """Compile translation units in parallel and say plainly what a failure means."""

    def build_extensions(self) -> None:
        from pybind11.setup_helpers import ParallelCompile

        with ParallelCompile("UDSPH_BUILD_JOBS", default=os.cpu_count() or 1):
            super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception:
            if not REQUIRED:
                print(
                    f"udsph: {ext.name} could not be compiled; the package works without it, slower "
                    "(set UDSPH_REQUIRE_NATIVE=1 to make this an error)",
                    file=sys.stderr,
                )
            raise


setup(
    ext_modules=[
        native_extension("udsph.hamming._native", "csrc/hamming"),
        # Square roots and comparisons of whole vectors: no errno, no floating-point traps.
        native_extension("udsph.attention._native", "csrc/attention", "-fno-math-errno", "-fno-trapping-math"),
        *cython_extensions(),
    ],
    cmdclass={"build_ext": BuildNative},
)
