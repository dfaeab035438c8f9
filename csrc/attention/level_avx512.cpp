// AVX-512 F and BW: Intel since Skylake-X (2017), AMD since Zen 4 (2022).
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "attention/kernels.h"
#include "common/target.h"

#if UDSPH_X86
namespace udsph::attention {
UDSPH_TARGET_BEGIN("avx512f,avx512bw,avx2,fma")
namespace {

#define UDSPH_VECTOR_BYTES 64
#include "attention/strip.inc"

}  // namespace
UDSPH_TARGET_END

const Kernels avx512_kernels = {passes<float>(), passes<double>()};

}  // namespace udsph::attention
#endif
