// AVX-512 F and BW, no population count among them: Intel Skylake-X (2017), AMD Zen 4 (2022) and later.
#include <utility>

#include "hamming/kernels.h"
#include "common/target.h"

#if UDSPH_X86
#include <immintrin.h>

namespace udsph {
UDSPH_TARGET_BEGIN("avx512f,avx512bw,popcnt,bmi,bmi2")
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#define UDSPH_VECTOR_BYTES 64
#define UDSPH_TERNARY_LOGIC 1
#include "hamming/level.inc"

}  // namespace
UDSPH_TARGET_END

const Kernels avx512_kernels = make_kernels();

}  // namespace udsph
#endif
