// NEON, which every aarch64 CPU has.
#include <utility>

#include "evaluation/count.h"
#include "common/target.h"

#if UDSPH_ARM
#include <arm_neon.h>

namespace udsph {
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#define UDSPH_VECTOR_BYTES 16
#define UDSPH_TERNARY_LOGIC 0
#define UDSPH_COUNT_BY UDSPH_BY_NEON
#include "evaluation/level.inc"

}  // namespace

const CountKernels count_neon = make_kernels();

}  // namespace udsph
#endif
