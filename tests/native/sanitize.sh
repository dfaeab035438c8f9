#!/usr/bin/env bash
# The three native extensions under AddressSanitizer and UndefinedBehaviorSanitizer, on a reduced suite.
#   sanitize.sh PYTHON
#   sanitize.sh PYTHON MUTATIONS [SECONDS]   only so many damaged files of collections, ended after so many seconds
python=$(realpath -s "$1")
. "$(dirname "$0")/common.sh"
# Checks of every pointer's arithmetic and of null double the time to compile, and Python's -fwrapv would hide signed overflow.
checks=address,alignment,bounds,shift,signed-integer-overflow,integer-divide-by-zero,bool,enum,float-cast-overflow
flags="-fsanitize=$checks -fno-sanitize-recover=all -O1 -g1 -fno-omit-frame-pointer -fno-wrapv -w"
rooms="hamming evaluation attention"
[ $# -eq 1 ] || rooms=hamming
package "$python" "$rooms" $flags
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)"
export LD_PRELOAD ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UDSPH_CFLAGS=$flags
# Sections of files are then in memory of their own, which Python's objects need not be.
mutate=(env PYTHONMALLOC=pymalloc "$python" tests/hamming/collection/collection_mutations.py --apart)
if [ $# -gt 1 ]; then
    "${mutate[@]}" --count "$2" --seconds "${3:-inf}"
    exit
fi
"${mutate[@]}" --count 3500
tests=("$python" -m pytest -q -p no:cacheprovider)
# A fork beside threads that allocate can leave the sanitizer's own allocator locked in the child (GCC 12).
hamming='not a_fork_while and not numba and not numpy and not doors and not faiss and not sklearn and not jit and not torch and not ctrl_c and not without_native and not beyond_32'
slow_here='not without_memory and not grow_until and not half_precision and not very_many'
slow_here="$slow_here and not crash_state and not whatever_call and not killed and not other_processes"  # files, not memory
"${tests[@]}" tests/hamming -k "$hamming and $slow_here"
"${tests[@]}" tests/evaluation/test_native.py
"${tests[@]}" tests/cuda_library/test_search.py tests/cuda_library/test_counting.py -k \
    'not every_metric and not threads and not (every_width and not 100)'
"${tests[@]}" tests/attention/test_fused.py tests/attention/test_backends.py tests/attention/test_cuda.py -k \
    'not compile and not distributed and not gram and not reference and not driver'
