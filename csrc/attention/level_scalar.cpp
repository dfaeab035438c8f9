// The portable level: 16-byte vectors, which every x86-64 and aarch64 has (SSE2, NEON).
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "attention/kernels.h"
#include "common/target.h"

namespace udsph::attention {
namespace {

#define UDSPH_VECTOR_BYTES 16
#include "attention/strip.inc"

}  // namespace

const Kernels scalar_kernels = {passes<float>(), passes<double>()};

}  // namespace udsph::attention
