// AVX-512 F and BW, no population count among them: Intel Skylake-X (2017), AMD Zen 4 (2022) and later.
#include "hamming/kernels.h"
#include "hamming/target.h"

#if UDSPH_X86
#include <immintrin.h>

namespace udsph {
UDSPH_TARGET_BEGIN("avx512f,avx512bw,popcnt,bmi,bmi2")
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#include "hamming/rows.inc"

}  // namespace
UDSPH_TARGET_END

const Kernels avx512_kernels = {"avx512", row_distances};

}  // namespace udsph
#endif
