// AVX2 and POPCNT: Intel Haswell (2013), AMD Excavator (2015) and later.
#include <utility>

#include "hamming/kernels.h"
#include "common/target.h"

#if UDSPH_X86
#include <immintrin.h>

namespace udsph {
UDSPH_TARGET_BEGIN("avx2,popcnt,bmi,bmi2")
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#define UDSPH_VECTOR_BYTES 32
#define UDSPH_TERNARY_LOGIC 0
#include "hamming/level.inc"

}  // namespace
UDSPH_TARGET_END

const Kernels avx2_kernels = make_kernels();

}  // namespace udsph
#endif
