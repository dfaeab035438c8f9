// AVX2 and FMA: Intel since Haswell (2013), AMD since Zen (2017).
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "attention/kernels.h"
#include "common/target.h"

#if UDSPH_X86
namespace udsph::attention {
UDSPH_TARGET_BEGIN("avx2,fma")
namespace {

#define UDSPH_VECTOR_BYTES 32
#include "attention/strip.inc"

}  // namespace
UDSPH_TARGET_END

const Kernels avx2_kernels = {passes<float>(), passes<double>()};

}  // namespace udsph::attention
#endif
