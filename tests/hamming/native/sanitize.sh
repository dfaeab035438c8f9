#!/usr/bin/env bash
# Build udsph.hamming with AddressSanitizer and UndefinedBehaviorSanitizer beside the source tree and run a reduced suite on it.
#   sanitize.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/../../.."
python=$(realpath -s "$1")
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
mkdir "$build/source"
cp -r csrc udsph setup.py pyproject.toml LICENSE README.md "$build/source"
find "$build/source" -name '*.so' -delete
cp -r tests "$build"
cd "$build"
sanitizers=-fsanitize=address,undefined
# Python's -fwrapv would hide signed overflow.
export UDSPH_CFLAGS="$sanitizers -fno-sanitize-recover=undefined -O1 -g -fno-omit-frame-pointer -fno-wrapv" UDSPH_LDFLAGS=$sanitizers
UDSPH_REQUIRE_NATIVE=1 "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target site ./source
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)"
export ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTHONPATH=$build/site
"$python" -c "import sys, udsph; sys.exit(not udsph.__file__.startswith(sys.argv[1]))" "$build"
"$python" -m pytest -q -p no:cacheprovider tests/hamming -k \
    'not numba and not numpy and not capi and not jit and not torch and not ctrl_c and not without_native and not beyond_32'
