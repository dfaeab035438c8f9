// NEON, which every aarch64 CPU has.
#include "hamming/kernels.h"
#include "hamming/target.h"

#if UDSPH_ARM
namespace udsph {
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#include "hamming/rows.inc"

}  // namespace

const Kernels neon_kernels = {"neon", row_distances};

}  // namespace udsph
#endif
