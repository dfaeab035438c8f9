#include "hamming/levels.h"

#include "common/cpu.h"

namespace udsph {

Levels<Kernels> &levels() {
  static Levels<Kernels> all({
      {"scalar", true, &scalar_kernels},
#if UDSPH_X86
      {"avx2", cpu_has_avx2(), &avx2_kernels},
      {"avx512", cpu_has_avx512(), &avx512_kernels},
#elif UDSPH_ARM
      {"neon", cpu_has_neon(), &neon_kernels},
#endif
  });
  return all;
}

}  // namespace udsph
