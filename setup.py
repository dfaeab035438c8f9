"""Native parts of the package. Everything else about it stands in pyproject.toml.

What is built, and what happens where it cannot be:

============================  ===========================  =======================================================
``udsph.hamming._native``     C++17 compiler, pybind11     Numba, else NumPy, serves the same functions
``udsph.hamming.capi``        the same and Cython          other Cython projects cannot cimport it
``udsph.evaluation._native``  C++17 compiler, pybind11     counts in NumPy, many times slower
``udsph.attention._native``   C++17 compiler, pybind11     attention in plain torch (backend ``gram``)
``udsph/libudsph_cuda.so``    nvcc (no GPU, no torch)      the same on GPUs
============================  ===========================  =======================================================

A failed compile is a warning, and an error under ``UDSPH_REQUIRE_NATIVE=1``; for CUDA under ``UDSPH_CUDA=1``, and
``UDSPH_CUDA=0`` leaves it out. ``UDSPH_NVCC`` names an nvcc that is not on the path, ``UDSPH_CUDA_ARCHS`` the GPUs to
compile for ("80,90"). What was built with other options is built again.

No flag depends on the CPU of the build machine: each instruction set has a translation unit that opens its own target
region, and the level is chosen at run time. The sources need GCC or clang; on Windows clang-cl compiles and Microsoft's
linker links.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

REQUIRED = os.environ.get("UDSPH_REQUIRE_NATIVE", "0") not in ("", "0")
# Debug and sanitizer builds add to these: the sanitizer target of the Makefile does.
EXTRA_COMPILE = os.environ.get("UDSPH_CFLAGS", "").split()
EXTRA_LINK = os.environ.get("UDSPH_LDFLAGS", "").split()
# g++ orders the long straight-line kernels of bit slices well only when told to do it before it allocates registers.
GCC = sys.platform == "linux" and "clang" not in os.environ.get("CXX", "")
BIT_SLICES = ["-fschedule-insns", "-fsched-pressure"] if GCC else []
# On Windows clang-cl compiles (vectors and target regions are those of GCC and clang), with their options.
COMMON = ["-std=c++17", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror=psabi", "-pthread"]
COMMON_CL = ["/std:c++17", "/EHsc", "-Wno-unused-command-line-argument"]


def native_extension(name: str, folder: str, *options: str) -> Extension:
    """One pybind11 extension made of every C++ file of a folder, rebuilt when a header changes."""
    import pybind11

    sources = sorted(glob(f"{folder}/*.cpp"))
    headers = sorted(path for path in glob("csrc/**/*", recursive=True) if path.endswith((".h", ".inc")))
    headers.append("udsph/include/udsph.h")
    windows = sys.platform == "win32"
    flags = [*COMMON_CL, *(f"/clang:{option}" for option in options)] if windows else [*COMMON, *options]
    return Extension(
        name,
        sources,
        include_dirs=["csrc", "udsph/include", pybind11.get_include()],
        depends=headers,
        language="c++",
        extra_compile_args=[*flags, *EXTRA_COMPILE],
        extra_link_args=[*([] if windows else ["-pthread"]), *EXTRA_LINK],
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
    extension = Extension(
        "udsph.hamming.capi",
        sources,
        include_dirs=["csrc", "udsph/include"],
        depends=["csrc/hamming/capi.h", "udsph/include/udsph.h"],
        language="c++",
    )
    directives = {"language_level": "3", "freethreading_compatible": True}
    extensions = cythonize([extension], compiler_directives=directives)
    for made in extensions:  # cythonize does not pass this on
        made.optional = not REQUIRED
    return extensions


def optimization(source: str) -> str:
    """Bindings are half of the code that the compiler sees and none of the work: they need not be fast to be quick."""
    return "-O1" if Path(source).name.endswith("bindings.cpp") else "-O3"


class CudaLibrary(Extension):
    """A shared library with a plain C interface, compiled by nvcc and loaded with ctypes: no Python module."""


def cuda_libraries() -> list[Extension]:
    """The CUDA library where nvcc is, or an error if it was asked for and is not."""
    wanted = os.environ.get("UDSPH_CUDA", "auto")
    if wanted not in ("auto", "0", "1"):
        raise SystemExit(f"UDSPH_CUDA={wanted}: expected auto, 0 or 1")
    if wanted == "0":
        return []
    if find_nvcc() is None:
        if wanted == "1":
            raise SystemExit("UDSPH_CUDA=1, but nvcc was not found: put it on the path or name it in UDSPH_NVCC")
        print("udsph: nvcc was not found, the CUDA library is not built", file=sys.stderr)
        return []
    sources = sorted(glob("csrc/**/*.cu", recursive=True))
    headers = [path for pattern in ("common/*.h", "*/cuda/*.h", "*/cuda/*.inc") for path in glob(f"csrc/{pattern}")]
    headers.append("csrc/attention/formula.h")
    return [CudaLibrary("udsph.libudsph_cuda", sources, depends=headers, optional=wanted == "auto")]


def find_nvcc() -> str | None:
    """The one that UDSPH_NVCC names, else that on the path, in CUDA_HOME or in the usual folder."""
    if named := os.environ.get("UDSPH_NVCC"):
        return shutil.which(named)
    return shutil.which("nvcc") or shutil.which("nvcc", path=os.environ.get("CUDA_HOME", "/usr/local/cuda") + "/bin")


def nvcc_command(sources: list[str]) -> list[str]:
    """Machine code for each architecture of UDSPH_CUDA_ARCHS, and PTX of the last for GPUs to come."""
    architectures = os.environ.get("UDSPH_CUDA_ARCHS", "80,90").split(",")
    generate = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
    generate.append(f"-gencode=arch=compute_{architectures[-1]},code=compute_{architectures[-1]}")
    options = ["-O3", "-std=c++17", "-shared", "--threads=0", "-Xcompiler=-fPIC,-Wall,-Wextra", "-Icsrc"]
    return [str(find_nvcc()), *options, *generate, *sources]


def build_id(*options: object) -> str:
    """What the linker shall write into a library so that it can be told whether it was built with these options."""
    return hashlib.sha256(repr(options).encode()).hexdigest()[:40]


def has_build_id(library: Path, wanted: str) -> bool:
    return library.exists() and bytes.fromhex(wanted) in library.read_bytes()


class BuildNative(build_ext):
    """Compile translation units in parallel and say plainly what a failure means."""

    def get_ext_filename(self, fullname: str) -> str:
        if fullname.endswith("libudsph_cuda"):
            return os.path.join(*fullname.split(".")) + ".so"
        return super().get_ext_filename(fullname)

    def build_extensions(self) -> None:
        from pybind11.setup_helpers import ParallelCompile

        if self.compiler.compiler_type == "msvc":
            self.compiler.initialize(self.plat_name)
            self.compiler.cc = shutil.which("clang-cl") or "clang-cl"
        compile_one = self.compiler._compile

        def compile_source(obj, source, ext, cc_args, extra_postargs, pp_opts):  # the options of an extension are last
            return compile_one(obj, source, ext, cc_args, [optimization(source), *extra_postargs], pp_opts)

        self.compiler._compile = compile_source
        with ParallelCompile("UDSPH_BUILD_JOBS", default=os.cpu_count() or 1):
            super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        try:
            if isinstance(ext, CudaLibrary):
                self.build_cuda(ext)
            else:
                self.build_module(ext)
        except Exception:
            if ext.optional:
                variable = "UDSPH_CUDA" if isinstance(ext, CudaLibrary) else "UDSPH_REQUIRE_NATIVE"
                print(
                    f"udsph: {ext.name} could not be compiled; the package works without it, slower "
                    f"(set {variable}=1 to make this an error)",
                    file=sys.stderr,
                )
            raise

    def build_module(self, ext: Extension) -> None:
        """As setuptools does, and again where the options differ from those of the module that is there."""
        force = self.force
        if sys.platform == "linux":
            tools = [os.environ.get(name) for name in ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS")]
            wanted = build_id(tools, ext.extra_compile_args, ext.extra_link_args, sys.version)
            ext.extra_link_args.append(f"-Wl,--build-id=0x{wanted}")
            self.force = force or not has_build_id(Path(self.get_ext_fullpath(ext.name)), wanted)
        try:
            super().build_extension(ext)
        finally:
            self.force = force

    def build_cuda(self, ext: CudaLibrary) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        command = nvcc_command(ext.sources)
        # By what is in the files: they may change while nvcc reads them, before the library is written.
        wanted = build_id(command, [Path(path).read_bytes() for path in (*ext.sources, *ext.depends)])
        if not self.force and has_build_id(target, wanted):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        command += [f"-Xlinker=--build-id=0x{wanted}", "-o", str(target)]
        print(" ".join(command))
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            target.unlink(missing_ok=True)
            raise CompileError(f"nvcc failed: {error}") from error  # the kind of error that an optional part survives


setup(
    ext_modules=[
        # No fused operations: sums of floating-point numbers have the same bits at every level.
        native_extension("udsph.hamming._native", "csrc/hamming", "-ffp-contract=off", *BIT_SLICES),
        native_extension("udsph.evaluation._native", "csrc/evaluation", "-ffp-contract=off", *BIT_SLICES),
        # Square roots and comparisons of whole vectors: no errno, no floating-point traps.
        native_extension("udsph.attention._native", "csrc/attention", "-fno-math-errno", "-fno-trapping-math"),
        *cython_extensions(),
        *cuda_libraries(),
    ],
    cmdclass={"build_ext": BuildNative},
)
