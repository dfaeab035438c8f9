#!/usr/bin/env bash
# Levels that the machine itself may not have: NEON cross-compiled and run under qemu, and dispatch on emulated x86 CPUs without
# AVX-512 and without AVX2, where a wrongly chosen instruction is a SIGILL. Needs Debian's g++-aarch64-linux-gnu and qemu-user.
. "$(dirname "$0")/common.sh"
for tool in aarch64-linux-gnu-g++ qemu-aarch64 qemu-x86_64; do
    command -v "$tool" > /dev/null || { echo "$tool is missing: apt-get install g++-aarch64-linux-gnu qemu-user"; exit 1; }
done
# As setup.py: no fused operations, so that sums have the same bits at every level.
flags="-O2 -static -ffp-contract=off"
programs aarch64-linux-gnu-g++ arm $flags &
programs g++ x86 $flags &
wait -n && wait -n

for program in searches operations counts scores; do
    qemu-aarch64 "$build/arm-$program" scalar neon
    [ "$(uname -m)" = x86_64 ] || continue
    qemu-x86_64 -cpu Nehalem "$build/x86-$program" scalar 2> /dev/null
    qemu-x86_64 -cpu Haswell "$build/x86-$program" scalar avx2 2> /dev/null
    "$build/x86-$program"
done
