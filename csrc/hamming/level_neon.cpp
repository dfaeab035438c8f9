// NEON, which every aarch64 CPU has.
#include <utility>

#include "hamming/kernels.h"
#include "common/target.h"

#if UDSPH_ARM
namespace udsph {
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#define UDSPH_VECTOR_BYTES 16
#define UDSPH_TERNARY_LOGIC 0
#include "hamming/level.inc"

}  // namespace

const Kernels neon_kernels = make_kernels();

}  // namespace udsph
#endif
