// AVX2: Intel Haswell (2013), AMD Zen (2017) and later.
#include <utility>

#include "evaluation/count.h"
#include "common/target.h"

#if UDSPH_X86
#include <immintrin.h>

namespace udsph {
UDSPH_TARGET_BEGIN("avx2,popcnt,bmi,bmi2")
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#define UDSPH_VECTOR_BYTES 32
#define UDSPH_TERNARY_LOGIC 0
#define UDSPH_COUNT_BY UDSPH_BY_SHUFFLE
#include "evaluation/level.inc"

}  // namespace
UDSPH_TARGET_END

const CountKernels count_avx2 = make_kernels();

}  // namespace udsph
#endif
