# What the scripts of this folder share; they source it. Sets root and build, a temporary folder.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

# programs COMPILER PREFIX FLAGS...: compile the C++ programs of this folder to $build/PREFIX-{searches,counts,scores}.
programs() {
    local compiler=$1 prefix=$2 pair program sources
    shift 2
    for pair in searches:hamming operations:hamming counts:evaluation scores:attention; do
        program=${pair%%:*}
        sources=$(find "$root/csrc/${pair##*:}" -maxdepth 1 -name '*.cpp' ! -name '*bindings.cpp')
        [ "$program" != scores ] || sources="$sources $root/tests/attention/emulation.cpp"
        # shellcheck disable=SC2086
        "$compiler" -std=c++17 -Wall -Wextra -Werror=psabi -Wno-maybe-uninitialized -I"$root/csrc" -I"$root/tests/cuda_library" -pthread "$@" \
            "$root/tests/native/$program.cpp" $sources -o "$build/$prefix-$program"
    done
}

# package PYTHON ROOMS FLAGS...: the package in $build/site with the native parts of these rooms, compiled with these flags too, and
# the tests in $build/tests.
package() {
    local python=$1 rooms=$2
    shift 2
    mkdir "$build/source"
    (cd "$root" && cp -r csrc udsph setup.py pyproject.toml LICENSE README.md "$build/source" && cp -r tests csrc "$build")
    find "$build/source" -name '*.so' -delete
    (cd "$build/source" && UDSPH_CFLAGS="$*" UDSPH_LDFLAGS="$*" UDSPH_REQUIRE_NATIVE=1 UDSPH_CUDA=0 "$python" -c "
import runpy, setuptools
def setup(ext_modules, make=setuptools.setup, **options):
    make(ext_modules=[e for e in ext_modules if e.name.split('.')[1] in '$rooms' and e.name.endswith('_native')], **options)
setuptools.setup = setup
runpy.run_path('setup.py')" -q build --build-base "$build/objects" --build-lib "$build/site")
    export PYTHONPATH=$build/site PYTHONMALLOC=malloc OMP_NUM_THREADS=1
    cd "$build"
    "$python" -c "import sys, udsph; sys.exit(not udsph.__file__.startswith(sys.argv[1]))" "$build"
}
