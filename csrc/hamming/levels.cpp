#include "hamming/levels.h"

#include "common/cpu.h"

namespace udsph {
#if UDSPH_X86
namespace {

// Level avx512, with the words of vectors that count bits where the CPU has them.
const Kernels *avx512() {
  static const Kernels counting = [] {
    Kernels kernels = avx512_kernels;
    kernels.words = avx512_popcount_words;
    return kernels;
  }();
  return cpu_has_avx512_popcount() ? &counting : &avx512_kernels;
}

}  // namespace
#endif

Levels<Kernels> &levels() {
  static Levels<Kernels> all({
      {"scalar", true, &scalar_kernels},
#if UDSPH_X86
      {"avx2", cpu_has_avx2(), &avx2_kernels},
      {"avx512", cpu_has_avx512(), avx512()},
#elif UDSPH_ARM
      {"neon", cpu_has_neon(), &neon_kernels},
#endif
  });
  return all;
}

}  // namespace udsph
