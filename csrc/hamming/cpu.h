// What this CPU and operating system can run. Self-contained, so that other extensions dispatch by the same rules.
#pragma once

#include "hamming/target.h"

namespace udsph {

// The compiler's run-time library asks CPUID and XGETBV: a feature counts only if the system also saves its registers.
inline bool cpu_has_avx2() {
#if UDSPH_X86
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

inline bool cpu_has_avx512() {
#if UDSPH_X86
  return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#else
  return false;
#endif
}

inline bool cpu_has_neon() { return UDSPH_ARM; }

}  // namespace udsph
