#!/usr/bin/env bash
# Build udsph.hamming with AddressSanitizer and UndefinedBehaviorSanitizer beside the source tree and run a reduced suite on it.
#   sanitize.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/../../.."
python=$(realpath -s "$1")
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cp -r csrc udsph tests setup.py pyproject.toml "$build"
[ -f README.md ] && cp README.md "$build"
cd "$build"
find udsph -name '*.so' -delete
sanitizers=-fsanitize=address,undefined
# Python's -fwrapv would hide signed overflow.
UDSPH_REQUIRE_NATIVE=1 UDSPH_CFLAGS="$sanitizers -fno-sanitize-recover=undefined -O1 -g -fno-omit-frame-pointer -fno-wrapv" \
    UDSPH_LDFLAGS=$sanitizers "$python" setup.py --quiet build_ext --inplace > build.log 2>&1 || { cat build.log; exit 1; }
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)"
export ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc
"$python" -m pytest -q -p no:cacheprovider tests/hamming -k \
    'not numba and not numpy and not capi and not jit and not torch and not ctrl_c and not without_native'
