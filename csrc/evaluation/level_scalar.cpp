// Plain C++: what every CPU of the architecture runs (SSE2 on x86-64).
#include <utility>

#include "evaluation/count.h"

namespace udsph {
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#define UDSPH_VECTOR_BYTES 16
#define UDSPH_TERNARY_LOGIC 0
#define UDSPH_COUNT_BY UDSPH_BY_FIELDS
#include "evaluation/level.inc"

}  // namespace

const CountKernels count_scalar = make_kernels();

}  // namespace udsph
