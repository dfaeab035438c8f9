// AVX-512 F and BW without its population count: Intel Skylake-X and Cascade Lake.
#include <utility>

#include "evaluation/count.h"
#include "common/target.h"

#if UDSPH_X86
#include <immintrin.h>

namespace udsph {
UDSPH_TARGET_BEGIN("avx512f,avx512bw,popcnt,bmi,bmi2")
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#define UDSPH_VECTOR_BYTES 64
#define UDSPH_TERNARY_LOGIC 1
#define UDSPH_COUNT_BY UDSPH_BY_SHUFFLE
#include "evaluation/level.inc"

}  // namespace
UDSPH_TARGET_END

const CountKernels count_avx512 = make_kernels();

}  // namespace udsph
#endif
