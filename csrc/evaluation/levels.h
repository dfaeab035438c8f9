// The levels of the counting kernels, under the names of the Hamming kernels. The Python layer names the one that
// udsph.hamming uses in every call, so that there is one choice for both.
#pragma once

#include "common/cpu.h"
#include "common/levels.h"
#include "evaluation/count.h"

namespace udsph {

inline const Levels<CountKernels> &count_levels() {
  static const Levels<CountKernels> all({
      {"scalar", true, &count_scalar},
#if UDSPH_X86
      {"avx2", cpu_has_avx2(), &count_avx2},
      {"avx512", cpu_has_avx512(), cpu_has_avx512_popcount() ? &count_avx512_popcount : &count_avx512},
#elif UDSPH_ARM
      {"neon", cpu_has_neon(), &count_neon},
#endif
  });
  return all;
}

// Throws std::invalid_argument for a level that this CPU cannot run.
inline const CountKernels &count_kernels(const std::string &level) { return *count_levels().find(level).kernels; }

}  // namespace udsph
