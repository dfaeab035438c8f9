#!/usr/bin/env bash
# udsph.hamming under ThreadSanitizer while threads add, remove, search and save; and the C++ programs, which use threads of their own.
#   thread_sanitize.sh PYTHON
#
# Python itself is not instrumented: its locks are seen (they are those of the C library), its own accesses are not.
python=$(realpath -s "$1")
. "$(dirname "$0")/common.sh"
flags="-fsanitize=thread -O1 -g1 -fno-omit-frame-pointer -w"
export TSAN_OPTIONS="halt_on_error=1 exitcode=66 history_size=5 die_after_fork=0 suppressions=$root/tests/native/tsan.supp"

programs g++ tsan $flags
g++ $flags -shared -fPIC "$root/tests/native/race.cpp" -o "$build/race.so"
package "$python" hamming $flags

# Where addresses are drawn from more bits than ThreadSanitizer knows of, it needs them fixed.
run=()
"$build/tsan-searches" scalar-is-not-all > /dev/null 2>&1 || [ $? = 1 ] || run=(setarch "$(uname -m)" -R)
for program in searches operations counts scores; do "${run[@]}" "$build/tsan-$program"; done

preload="$(gcc -print-file-name=libtsan.so) $(gcc -print-file-name=libstdc++.so)"
status=0
"${run[@]}" env LD_PRELOAD="$preload" "$python" -c "import ctypes; ctypes.CDLL('$build/race.so').race()" 2> "$build/report" || status=$?
if [ $status != 66 ] || ! grep -q "data race" "$build/report"; then
    cat "$build/report"
    echo "a race on purpose was not reported"
    exit 1
fi
UDSPH_STRESS_SECONDS=${UDSPH_STRESS_SECONDS:-10} "${run[@]}" env LD_PRELOAD="$preload" "$python" -m pytest -q -s -p no:cacheprovider \
    tests/hamming/test_concurrency.py tests/hamming/test_threads.py tests/hamming/test_views.py -k \
    'not numba and not numpy and not fork and not processes and not joblib and not ctrl_c and not interrupt and not spawn'

# The programs of the CUDA kernels on the host, several threads a block and several blocks at once: a missing barrier is a race.
UDSPH_CFLAGS=$flags "${run[@]}" env LD_PRELOAD="$preload" "$python" -m pytest -q -s -p no:cacheprovider \
    tests/cuda_library/test_search.py tests/cuda_library/test_counting.py -k threads
