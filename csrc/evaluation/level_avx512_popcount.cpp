// AVX-512 with VPOPCNTDQ and VBMI2: Intel Ice Lake (2019), AMD Zen 4 (2022) and later.
#include <utility>

#include "evaluation/count.h"
#include "common/target.h"

#if UDSPH_X86
#include <immintrin.h>

namespace udsph {
UDSPH_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vbmi2,avx512vpopcntdq,popcnt,bmi,bmi2")
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#define UDSPH_VECTOR_BYTES 64
#define UDSPH_TERNARY_LOGIC 1
#define UDSPH_COUNT_BY UDSPH_BY_INSTRUCTION
#define UDSPH_COMPRESS_BYTES 1
#include "evaluation/level.inc"

}  // namespace
UDSPH_TARGET_END

const CountKernels count_avx512_popcount = make_kernels();

}  // namespace udsph
#endif
