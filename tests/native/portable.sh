#!/usr/bin/env bash
# The kernels under other compilers, syntax and types only: clang, and g++ for Windows (Debian's clang and
# g++-mingw-w64-x86-64-posix), with clang also as programs that run. Compilers that are not here are named and left out.
#   portable.sh [COMPILER...]
. "$(dirname "$0")/common.sh"
[ $# -gt 0 ] || set -- clang++ x86_64-w64-mingw32-g++-posix
for compiler; do
    command -v "$compiler" > /dev/null || { echo "$compiler is not here: not checked"; continue; }
    find "$root/csrc" -name '*.cpp' ! -name '*bindings.cpp' -print0 \
        | xargs -0 -n 4 -P "$(nproc)" "$compiler" -std=c++17 -fsyntax-only -Wall -Wextra -Werror -Wno-maybe-uninitialized \
            -Wno-unknown-warning-option -I"$root/csrc" -I"$root/udsph/include"
    echo "$compiler: the kernels compile"
done
