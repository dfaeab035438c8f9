// The levels of the attention kernels, under the names of the Hamming kernels.
#pragma once

#include "attention/kernels.h"
#include "common/cpu.h"
#include "common/levels.h"

namespace udsph::attention {

inline Levels<Kernels> &levels() {
  static Levels<Kernels> all({
      {"scalar", true, &scalar_kernels},
#if UDSPH_X86
      {"avx2", cpu_has_avx2(), &avx2_kernels},
      {"avx512", cpu_has_avx512(), &avx512_kernels},
#elif UDSPH_ARM
      {"neon", cpu_has_neon(), &scalar_kernels},  // the portable vectors are as wide as NEON's
#endif
  });
  return all;
}

}  // namespace udsph::attention
