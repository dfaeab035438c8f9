#!/usr/bin/env bash
# Levels that the machine itself may not have: NEON cross-compiled and run under qemu, and dispatch on emulated x86 CPUs without
# AVX-512 and without AVX2, where a wrongly chosen instruction is a SIGILL. Needs Debian's g++-aarch64-linux-gnu and qemu-user.
set -euo pipefail
cd "$(dirname "$0")/../../.."
for tool in aarch64-linux-gnu-g++ qemu-aarch64 qemu-x86_64; do
    command -v "$tool" > /dev/null || { echo "$tool is missing: apt-get install g++-aarch64-linux-gnu qemu-user"; exit 1; }
done
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
kernels=$(ls csrc/hamming/*.cpp | grep -v bindings.cpp)
flags="-std=c++17 -O2 -Wall -Wextra -Werror=psabi -Icsrc -pthread -static"

aarch64-linux-gnu-g++ $flags tests/hamming/native/levels.cpp $kernels -o "$build/arm" &
g++ $flags tests/hamming/native/levels.cpp $kernels -o "$build/x86" &
wait -n && wait -n

qemu-aarch64 "$build/arm" scalar neon
if [ "$(uname -m)" = x86_64 ]; then
    qemu-x86_64 -cpu Nehalem "$build/x86" scalar
    qemu-x86_64 -cpu Haswell "$build/x86" scalar avx2
    "$build/x86"
fi
